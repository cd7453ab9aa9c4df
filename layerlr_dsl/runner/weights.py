"""Pretrained weights into a model: all of them, or a list of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner import weight_files, weight_names
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
    tensors, left_out = weight_names.understood(_without_wrappers(tensors, own), model)
    tensors = _with_ties(tensors, own)
    differences = compare(tensors, own)
    fresh = head_tensors(model, differences)
    if _without(differences, fresh):
        raise RunnerError(f"{source} holds the weights of another model\n{differences.text()}")
    usable = {name: value for name, value in tensors.items() if name in own and name not in fresh}
    model.load_state_dict(usable, strict=False)
    return Loaded(source, len(usable), tuple(sorted(fresh)), left_out)


def _with_ties(tensors: dict[str, Any], own: Mapping[str, Tensor]) -> dict[str, Any]:
    """Names of the model that the file left out because they share their tensor with one that it has."""
    homes = {_home(own[name]): value for name, value in tensors.items() if name in own and own[name].numel()}
    tied = {name: homes[_home(value)] for name, value in own.items() if _home(value) in homes}
    return {**tied, **tensors}


def _home(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


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
    heads = _heads_of_transformers(model, differences)
    if heads and not _without(differences, heads):
        return heads
    if owners[last] <= set(differences.missing):
        return frozenset(owners[last])
    classes = {name: (a[0], b[0]) for name, a, b in differences.shapes if a and b and a[1:] == b[1:]}
    counts = {classes.get(name) for name in owners[last]}
    if len(counts) != 1 or None in counts:
        return frozenset()
    several = [names for names in owners.values() if {classes.get(name) for name in names} == counts]
    return frozenset().union(*several)


def _heads_of_transformers(model: nn.Module, differences: Differences) -> frozenset[str]:
    """What is missing, or of another shape, outside of the bare model."""
    prefix = weight_names.prefix_of(model)
    if prefix is None:
        return frozenset()
    carried = any(name.startswith(prefix) for name in model.state_dict())
    names = (*differences.missing, *(name for name, _, _ in differences.shapes))
    return frozenset(name for name in names if weight_names.of_head(name, prefix, carried))


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
