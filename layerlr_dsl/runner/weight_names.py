"""The names of a file of weights, as `from_pretrained` of transformers would understand them for a model."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.hugging_face import offline
from layerlr_dsl.model.meta_device import quiet, untouched_random_state
from layerlr_dsl.model.torchvision_compat import with_torchvision

if TYPE_CHECKING:
    from torch import nn

POOLER = "pooler."
"""What gives one vector for a sequence: the bare model may have it, may be made without, and many files lack it."""


def understood(tensors: dict[str, Any], model: nn.Module) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Tensors by the model's names, and the names of those of heads for other tasks, which are left out.

    What neither is a name of the model nor of a head keeps the name it has. Values of which only the shape
    counts, since the model's is another, may be on the meta device.
    """
    prefix = prefix_of(model)
    tensors = _without_unsaved(tensors, model)
    if prefix is None:
        return tensors, ()
    own, carried = model.state_dict(), any(name.startswith(prefix) for name in tensors)
    read = _by_transformers(tensors, model)
    if read is None:
        read = _by_prefix(tensors, own, prefix, carried)
    tops = {_top(name) for name in tensors if carried and not name.startswith(prefix)}
    heads = tuple(
        name
        for name in read
        if name not in own and (_top(name) in tops or name.removeprefix(prefix).startswith(POOLER))
    )
    return {name: value for name, value in read.items() if name not in heads}, heads


def prefix_of(model: nn.Module) -> str | None:
    """What the names of the bare model begin with, inside one of transformers that has a head."""
    prefix = getattr(model, "base_model_prefix", None)
    return f"{prefix}." if isinstance(prefix, str) and prefix else None


def of_head(name: str, prefix: str, carried: bool) -> bool:
    """Whether a tensor lies outside of the bare model, which is to be seen where its names have the prefix."""
    bare = name.removeprefix(prefix)
    return bare.startswith(POOLER) or (carried and bare == name)


def _top(name: str) -> str:
    """The part of a model that a tensor belongs to: of heads it keeps its name where those below are renamed."""
    return name.partition(".")[0]


def _by_transformers(tensors: dict[str, Any], model: nn.Module) -> dict[str, Any] | None:
    """What the library itself makes of the file: releases rename layers, and it knows their former names.

    None where the model is none of the library's, or its class wants more than a configuration.
    """
    library: Any = sys.modules.get("transformers")
    if library is None or not isinstance(model, library.PreTrainedModel):
        return None
    try:
        with untouched_random_state(), offline(), _unseen(library):
            filled, told = with_torchvision(lambda: _filled(model, tensors))
    except Exception:  # a constructor of the user's own may raise anything
        return None
    return _as_told(filled.state_dict(), told)


def _filled(model: Any, tensors: dict[str, Any]) -> tuple[nn.Module, Mapping[str, Any]]:
    """Another model of the class with the tensors in it, and what of them was missing, needless or of another shape."""
    config = copy.deepcopy(model.config)
    config.dtype = model.dtype  # else values are rounded to what the configuration says
    given = {"state_dict": dict(tensors), "ignore_mismatched_sizes": True, "output_loading_info": True}
    filled, told = type(model).from_pretrained(None, config=config, **given)
    return filled, told


def _as_told(state: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    missing = set(told["missing_keys"])
    read = {name: value for name, value in state.items() if name not in missing}
    read |= {name: torch.empty(shape, device="meta") for name, shape, _ in told["mismatched_keys"]}
    return read | {name: torch.empty(0, device="meta") for name in sorted(told["unexpected_keys"])}


@contextmanager
def _unseen(library: Any) -> Iterator[None]:
    """The library's bar and report of what it loaded would stand beside ours."""
    said = library.utils.logging
    bars = said.is_progress_bar_enabled()
    said.disable_progress_bar()
    try:
        with quiet():
            yield
    finally:
        if bars:
            said.enable_progress_bar()


def _by_prefix(
    tensors: Mapping[str, Any], own: Mapping[str, Any], prefix: str, carried: bool
) -> dict[str, Any]:
    """The prefix of the bare model put before names, or taken off, and norms under their names of today."""
    tensors = {_old_name(name, own, prefix): value for name, value in tensors.items()}
    inside = any(name.startswith(prefix) for name in own)
    if inside and not carried:
        return {name if name in own else prefix + name: value for name, value in tensors.items()}
    if carried and not inside:
        return {
            name.removeprefix(prefix) if name.startswith(prefix) else name: v for name, v in tensors.items()
        }
    return tensors


def _old_name(name: str, own: Mapping[str, Any], prefix: str) -> str:
    """Norms are called gamma and beta in files that came from TensorFlow."""
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        renamed = name.removesuffix(old) + new
        known = any(form in own for form in (renamed, prefix + renamed, renamed.removeprefix(prefix)))
        if name.endswith(old) and name not in own and known:
            return renamed
    return name


def _without_unsaved(tensors: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Without buffers that the model computes by itself, and what its class says it can do without."""
    own = model.state_dict()
    computed = {name.rpartition(".")[2] for name, _ in model.named_buffers() if name not in own}
    needless = [
        re.compile(pattern) for pattern in getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    ]
    return {
        name: value
        for name, value in tensors.items()
        if name in own
        or not (name.rpartition(".")[2] in computed or any(pattern.search(name) for pattern in needless))
    }
