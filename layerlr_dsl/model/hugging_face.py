"""`hf:FOLDER`: a transformers model built from the config.json of a local folder, and from nothing else.

The configuration is read here and not by `AutoConfig.from_pretrained`, so that no other file, no cache and
no network is asked, and nothing in it can bring in code or weights.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory_file import read_bounded
from layerlr_dsl.model.libraries import import_library
from layerlr_dsl.model.spec_syntax import Spec
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import first_line, shown

if TYPE_CHECKING:
    from torch import nn

_LARGEST_CONFIG = 16 * 2**20
# Keys that choose an implementation, which may be one to fetch; they change neither names nor shapes.
_IMPLEMENTATIONS = (
    "attn_implementation",
    "experts_implementation",
    "kernel_config",
    "use_kernels",
)


def config_bytes(folder: Path) -> bytes:
    """The text of a folder's config.json. Raises ModelError."""
    if not folder.is_dir():
        raise ModelError(f"hf: there is no folder {shown(str(folder))}")
    file = folder / "config.json"
    if not file.exists():
        raise ModelError(
            f"hf: {shown(str(folder))} holds no config.json",
            "give a folder that `save_pretrained` wrote",
        )
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"hf: {shown(str(file))} is a link that leaves its folder")
    return read_bounded(file, _LARGEST_CONFIG)


def maker(spec: Spec) -> Callable[[], nn.Module]:
    """What builds the model of a folder: the class that its config names, else the bare model."""
    folder = spec.path
    assert folder is not None
    config = _read_config(folder)
    import_library("transformers")

    def make() -> nn.Module:
        with offline():
            return with_torchvision(lambda: _construct(config, str(spec)))

    return make


def _read_config(folder: Path) -> dict[str, Any]:
    name = shown(str(folder / "config.json"))
    try:
        config = json.loads(config_bytes(folder))
    except (ValueError, RecursionError) as fault:
        if isinstance(fault, ModelError):
            raise
        raise ModelError(f"{name}: is not JSON: {first_line(fault)}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{name}: names no model_type",
            "give a folder that `save_pretrained` wrote",
        )
    cleaned = _harmless(config, name, 0)
    assert isinstance(cleaned, dict)
    return cleaned


def _harmless(value: object, name: str, depth: int) -> object:
    """The configuration without what could bring in code, weights or other files."""
    if depth > 50:
        raise ModelError(f"{name}: is nested too deeply")
    if isinstance(value, list):
        return [_harmless(item, name, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    kept: dict[str, object] = {}
    for key, item in value.items():
        if key == "auto_map" and item:
            raise ModelError(
                f"{name}: its `auto_map` asks for code of its own, which is never run",
                "write an inventory where the model can be built: `layerlr inspect python:... -o model.json`",
            )
        if key == "backbone" and isinstance(item, str) and any(sign in item for sign in "/\\:"):
            raise ModelError(f"{name}: its backbone `{shown(item)}` is not a plain name")
        if key == "use_pretrained_backbone":
            kept[key] = False
        elif key != "auto_map" and not any(key.strip("_").startswith(word) for word in _IMPLEMENTATIONS):
            kept[key] = _harmless(item, name, depth + 1)
    return kept


def _construct(config: dict[str, Any], spec: str) -> nn.Module:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = config["model_type"]
    if kind not in CONFIG_MAPPING:
        meant = nearest(kind, CONFIG_MAPPING)
        raise ModelError(
            f"`{spec}`: transformers {transformers.__version__} knows no model_type `{shown(kind)}`",
            f"did you mean `{meant}`?" if meant else "a newer transformers may know it",
        )
    configuration = CONFIG_MAPPING[kind].from_dict(config)
    named = config.get("architectures")
    architecture = named[0] if isinstance(named, list) and named else None
    model_class = _model_class(transformers, architecture, configuration)
    model: nn.Module
    if model_class is None:
        model = transformers.AutoModel.from_config(configuration, trust_remote_code=False)
    else:
        # What AutoModel.from_config calls once it has found the class; it also applies the config's dtype.
        model = model_class._from_config(configuration)
    return model


def _model_class(transformers: Any, name: object, configuration: object) -> Any:
    """The class of that name, if it is a model of transformers' own for this configuration."""
    if not isinstance(name, str) or not name.isidentifier():
        return None
    found: Any = getattr(transformers, name, None)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        return None
    wanted: Any = getattr(found, "config_class", None)
    return found if isinstance(wanted, type) and isinstance(configuration, wanted) else None


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Let huggingface_hub refuse every request, whatever the environment said when it was imported."""
    constants = sys.modules.get("huggingface_hub.constants")
    before = getattr(constants, "HF_HUB_OFFLINE", None)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if constants is not None:
            constants.HF_HUB_OFFLINE = before  # type: ignore[attr-defined]
