"""Pretrained weights into a model: all of them, or a list of what does not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner import weight_files
from layerlr_dsl.runner.errors import RunnerError

if TYPE_CHECKING:
    from torch import Tensor, nn

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading did: how many tensors came from the file, which kept their fresh values, and which of
    the file, heads for other tasks, were of no use.
    """

    source: str
    tensors: int
    fresh: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def text(self) -> str:
        text = f"{self.tensors} tensors from {self.source}"
        if self.fresh:
            text += f"; {', '.join(self.fresh)} start afresh: the file's head has other classes or none"
        if self.left_out:
            more = ", ..." if len(self.left_out) > 2 else ""
            text += f"; left out, of a head for another task: {', '.join(self.left_out[:2])}{more}"
        return text


@dataclass(frozen=True, slots=True)
class Differences:
    """How the tensors of a file and those of a model differ."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    def text(self) -> str:
        lines = []
        lines += _listed("in the model, not in the file", self.missing)
        lines += _listed("in the file, not in the model", self.unexpected)
        lines += _listed(
            "of another shape",
            tuple(f"{name}: file {_shape(a)}, model {_shape(b)}" for name, a, b in self.shapes),
        )
        return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _listed(title: str, names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    lines = [f"  {title} ({len(names)}):", *(f"    {name}" for name in names[:SHOWN])]
    if len(names) > SHOWN:
        lines.append(f"    ... and {len(names) - SHOWN} more")
    return lines


def load_weights(model: nn.Module, weights: str, spec: str | None) -> Loaded:
    """Fill `model` with `weights`: a path, or a name that goes with the model's `spec`.

    A classifier of another number of classes keeps its fresh values; any other difference raises
    RunnerError with the names and shapes that differ, and leaves the model as it was.
    """
    source, tensors = weight_files.find(weights, spec)
    own = model.state_dict()
    tensors, left_out = _renamed(_without_wrappers(tensors, own), model)
    differences = compare(tensors, own)
    fresh = head_tensors(model, differences)
    if _without(differences, fresh):
        raise RunnerError(f"{source} holds the weights of another model\n{differences.text()}")
    usable = {name: value for name, value in tensors.items() if name in own and name not in fresh}
    model.load_state_dict(usable, strict=False)
    return Loaded(source, len(usable), tuple(sorted(fresh)), left_out)


def _renamed(tensors: dict[str, Any], model: nn.Module) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Names as `from_pretrained` of transformers would understand them, and those of heads for other tasks.

    Published weights are often those of the bare model, without the prefix that it has inside one with a
    head; some hold buffers that newer releases no longer save, or norms under TensorFlow's names.
    """
    tensors = _without_unsaved(tensors, model)
    prefix = _prefix(model)
    if prefix is None:
        return tensors, ()
    own = model.state_dict()
    tensors = {_old_name(name, own, prefix): value for name, value in tensors.items()}
    inside = any(name.startswith(prefix) for name in own)
    told = any(name.startswith(prefix) for name in tensors)
    if inside and not told:
        return {name if name in own else prefix + name: value for name, value in tensors.items()}, ()
    if not told:
        return tensors, ()
    heads = tuple(name for name in tensors if name not in own and not name.startswith(prefix))
    kept = {name: value for name, value in tensors.items() if name not in heads}
    if not inside:
        kept = {name.removeprefix(prefix): value for name, value in kept.items()}
    return kept, heads


def _prefix(model: nn.Module) -> str | None:
    """What the names of the bare model begin with, inside one of transformers that has a head."""
    prefix = getattr(model, "base_model_prefix", None)
    return f"{prefix}." if isinstance(prefix, str) and prefix else None


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


def _old_name(name: str, own: Mapping[str, Any], prefix: str) -> str:
    """Norms are called gamma and beta in files that came from TensorFlow."""
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        renamed = name.removesuffix(old) + new
        known = any(form in own for form in (renamed, prefix + renamed, renamed.removeprefix(prefix)))
        if name.endswith(old) and name not in own and known:
            return renamed
    return name


def compare(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Differences:
    """Names and shapes in which `tensors` differ from the model's `own` (counters of batches aside)."""
    counter = "num_batches_tracked"
    missing = tuple(name for name in own if name not in tensors and not name.endswith(counter))
    unexpected = tuple(name for name in tensors if name not in own and not name.endswith(counter))
    shapes = tuple(
        (name, tuple(value.shape), tuple(own[name].shape))
        for name, value in tensors.items()
        if name in own and value.shape != own[name].shape
    )
    return Differences(missing, unexpected, shapes)


def head_tensors(model: nn.Module, differences: Differences) -> frozenset[str]:
    """The tensors of classifiers that differ in nothing but the number of classes, or that the file lacks.

    The last module that holds tensors is taken for the classifier; an auxiliary one has as many classes
    on both sides.
    """
    owners: dict[str, set[str]] = {}
    for name in model.state_dict():
        owners.setdefault(name.rpartition(".")[0], set()).add(name)
    last = next(reversed(owners), None)
    if last is None:
        return frozenset()
    prefix = _prefix(model)
    heads = frozenset(name for name in differences.missing if prefix and not name.startswith(prefix))
    if heads and len(heads) == len(differences.missing):
        return heads
    if owners[last] <= set(differences.missing):
        return frozenset(owners[last])
    classes = {name: (a[0], b[0]) for name, a, b in differences.shapes if a and b and a[1:] == b[1:]}
    counts = {classes.get(name) for name in owners[last]}
    if len(counts) != 1 or None in counts:
        return frozenset()
    several = [names for names in owners.values() if {classes.get(name) for name in names} == counts]
    return frozenset().union(*several)


def _without(differences: Differences, names: frozenset[str]) -> Differences:
    return Differences(
        tuple(name for name in differences.missing if name not in names),
        tuple(name for name in differences.unexpected if name not in names),
        tuple(row for row in differences.shapes if row[0] not in names),
    )


def _without_wrappers(tensors: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Names as the bare model has them, where every name carries the prefix of a wrapper."""
    for prefix in ("module.", "_orig_mod.", "model."):
        if tensors and all(name.startswith(prefix) for name in tensors) and not tensors.keys() & own.keys():
            return _without_wrappers({name[len(prefix) :]: value for name, value in tensors.items()}, own)
    return tensors
