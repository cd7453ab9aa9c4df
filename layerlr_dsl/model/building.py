"""Building the model that a spec names, with every way it can fail told in a sentence."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext, redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import hugging_face, limits
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.libraries import import_library
from layerlr_dsl.model.limits import limited_memory
from layerlr_dsl.model.meta_device import build_on_meta, quiet
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.own_faults import raised_at
from layerlr_dsl.tools.printable import first_line, shown

if TYPE_CHECKING:
    from torch import nn

Make = Callable[..., "nn.Module"]

_UNEXPECTED = re.compile(r"(?:unexpected keyword argument|multiple values for keyword argument) '(\w+)'")


def build_spec(spec: Spec, *, meta: bool) -> nn.Module:
    """Build the model; with `meta`, without memory and without moving any random state. Raises ModelError."""
    with redirect_stdout(sys.stderr):  # standard output is for results, whatever a constructor prints
        if spec.kind == "python":
            return _built(spec, _callable(spec), meta)
        with quiet():
            make = _maker(spec)
            with limited_memory() if meta else nullcontext():
                return _built(spec, make, meta)


def _maker(spec: Spec) -> Make:
    if spec.kind == "hf":
        return hugging_face.maker(spec)
    return _architecture(spec)


def _built(spec: Spec, make: Make, meta: bool) -> nn.Module:
    from torch import nn

    arguments = dict(spec.arguments)
    try:
        model = build_on_meta(lambda: make(**arguments), _most(spec)) if meta else make(**arguments)
    except ModelError:
        raise
    except (Exception, SystemExit) as fault:
        raise _cannot_build(spec, make, fault) from None
    if not isinstance(model, nn.Module):
        raise ModelError(f"`{spec}` gives a {type(model).__name__}, not a torch.nn.Module")
    return model


def _most(spec: Spec) -> int:
    """How many modules and parameters a model may have."""
    if spec.kind in ("torchvision", "timm"):
        return limits.MOST_OF_AN_ARCHITECTURE
    return limits.MOST_REGISTRATIONS


def _cannot_build(spec: Spec, make: Make, fault: BaseException) -> ModelError:
    unexpected = _UNEXPECTED.search(str(fault)) if isinstance(fault, TypeError) else None
    if unexpected and unexpected[1] in dict(spec.arguments):
        name = unexpected[1]
        meant = nearest(name, _keywords_of(make))
        help = f"did you mean `{meant}`?" if meant else "see the library's documentation of this model"
        elsewhere = spec.kind == "python" and not meant
        return ModelError(f"`{spec}` cannot be built: it takes no `{name}`", None if elsewhere else help)
    if isinstance(fault, MemoryError):
        return ModelError(f"`{spec}` cannot be built: it takes too much memory")
    place = raised_at(fault) if spec.kind == "python" else ""
    return ModelError(f"`{spec}` cannot be built: {type(fault).__name__}: {first_line(fault)}{place}")


def _keywords_of(make: Callable[..., Any]) -> set[str]:
    """The keywords that a builder takes, those of the class it says it returns included."""
    names: set[str] = set()
    sources: list[Any] = [make]
    try:
        returned = inspect.signature(make, eval_str=True).return_annotation
        sources += [returned] if inspect.isclass(returned) else []
        for source in sources:
            for name, parameter in inspect.signature(source).parameters.items():
                if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                    names.add(name)
    except Exception:  # a builder may have a signature that cannot be read; then nothing is near
        pass
    return names - {"weights", "weights_backbone", "pretrained", "progress"}


# ---------------------------------------------------------------- torchvision and timm


def _architecture(spec: Spec) -> Make:
    if spec.kind == "torchvision":
        models = import_library("torchvision.models")
        _known(spec, models.list_models())
        make = models.get_model_builder(spec.name)
        # Said outright: some builders would fetch a backbone's weights by default.
        off = [name for name in ("weights", "weights_backbone") if name in inspect.signature(make).parameters]
        return _with(make, dict.fromkeys(off))
    timm = import_library("timm")
    architecture = spec.name.partition(".")[0]
    if not timm.is_model(architecture):
        _known(spec, timm.list_models())
    make = timm.models.model_entrypoint(architecture)
    return _with(make, {"pretrained": False}, calls=_timm_create(timm, spec.name))


def _timm_create(timm: ModuleType, name: str) -> Make:
    def create(**arguments: Any) -> nn.Module:
        model: nn.Module = timm.create_model(name, **arguments)
        return model

    return create


def _with(make: Callable[..., Any], fixed: dict[str, Any], calls: Make | None = None) -> Make:
    """`make` (or `calls` in its stead) with some arguments fixed, its signature kept for near misses."""

    def made(**arguments: Any) -> nn.Module:
        model: nn.Module = (calls or make)(**arguments, **fixed)
        return model

    made.__wrapped__ = make  # type: ignore[attr-defined]
    return made


def _known(spec: Spec, names: Iterable[str]) -> None:
    names = list(names)
    if spec.name not in names:
        meant = nearest(spec.name, names)
        raise ModelError(
            f"{spec.kind} has no model `{shown(spec.name)}`",
            f"did you mean `{spec.kind}:{meant}`?" if meant else f"it has {len(names)} others",
        )


# ---------------------------------------------------------------- python:


def called(spec: Spec) -> Any:
    """What the callable of a `python:` spec gives, whatever that is. Raises ModelError."""
    make = _callable(spec)
    try:
        with redirect_stdout(sys.stderr):
            return make(**dict(spec.arguments))
    except ModelError:
        raise
    except (Exception, SystemExit) as fault:
        raise _cannot_build(spec, make, fault) from None


def _callable(spec: Spec) -> Make:
    """What `python:package.module:callable` names; the working directory is searched too."""
    module_name, _, path = spec.name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found: Any = with_torchvision(lambda: importlib.import_module(module_name))
    except ModuleNotFoundError as fault:
        if module_name == fault.name or module_name.startswith(f"{fault.name}."):
            raise ModelError(
                f"there is no module `{fault.name}` for `{spec}`",
                "it is looked for in the working directory and where Python's packages are",
            ) from None
        raise ModelError(f"`{spec}`: {module_name} cannot be imported: {first_line(fault)}") from None
    except (Exception, SystemExit) as fault:
        reason = f"{type(fault).__name__}: {first_line(fault)}"
        raise ModelError(f"`{spec}`: {module_name} cannot be imported: {reason}") from None
    finally:
        if here in sys.path:
            sys.path.remove(here)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            meant = nearest(part, [name for name in dir(found) if not name.startswith("__")])
            help = f"did you mean `{meant}`?" if meant else None
            raise ModelError(f"`{spec}`: there is no `{part}` in {module_name}", help) from None
    if not callable(found):
        raise ModelError(f"`{spec}`: `{path}` is a {type(found).__name__}, not something to call")

    @functools.wraps(found)
    def made(**arguments: Any) -> nn.Module:
        model: nn.Module = with_torchvision(lambda: found(**arguments))
        return model

    return made
