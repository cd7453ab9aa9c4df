"""Cutting a model in two: what stands still and only depends on the input, and what follows.

The model is traced by torch.fx (Reed et al. 2022) down to the modules that are frozen or trained as a
whole. The cut runs through the graph of values and not between modules, so branches that skip over it
are kept apart too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten

from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.training import chance
from layerlr_dsl.training.digests import digest

_HARMLESS = ("activation", "pooling", "flatten", "padding", "upsampling", "fold", "pixelshuffle", "container")
_RANDOM_MODULES = (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, nn.MultiheadAttention)
_RANDOM_NAMES = (
    "dropout",
    "rand",
    "bernoulli",
    "multinomial",
    "normal",
    "rrelu",
    "stochastic",
    "drop_path",
    "fractional",
)


_SEEDS = 2
"""How often both halves are held against the model, draw for draw."""


class NoPrefix(Exception):
    """Why a model has nothing whose output could be remembered; the text follows "because"."""


@dataclass(frozen=True, slots=True)
class Cut:
    """`before` maps inputs to a tuple of tensors, one row a sample; `after` takes those to the output.

    `finished` says that the output is what the `outputs` of `cut` make of the model's.
    """

    before: fx.GraphModule
    after: fx.GraphModule
    modules: tuple[str, ...]
    finished: bool = False

    def key(self) -> Hashable:
        """What two prefixes have in common that give the same: the way, the modules and their modes, the weights."""
        parts = [(name, type(part), part.training) for name, part in self.before.named_modules() if name]
        state = self.before.state_dict()
        weights = torch.stack([digest(value) for value in state.values()]).flatten().tolist() if state else []
        return self.before.code, tuple(parts), tuple(state), tuple(weights)


def cut(model: nn.Module, sample: Any, outputs: Callable[[Any], Any] | None = None) -> Cut:
    """Cut `model`, in the mode in which it stands, at the last values that no trained parameter touches.

    sample: inputs of a small batch (a tensor, or a mapping of the model's keyword arguments), to see which
    values are tensors with a row for each sample, and to hold both halves against the model.
    outputs: makes tensors of what the model returns, where that is something else.
    Leaves the model's buffers and all random generators as they were. Raises NoPrefix.
    """
    named = isinstance(sample, Mapping)
    if not (named or isinstance(sample, Tensor)) or not all(isinstance(v, Tensor) for v in _leaves(sample)):
        raise NoPrefix("the model takes neither a tensor nor tensors by name")
    finished = outputs is not None and not _gives_a_tensor(model, sample)
    model = _OneInput(model, tuple(sample) if named else None, outputs if finished else None)
    with untouched(model):
        graph = _trace(model)
    steady = _steady(model, graph)
    count = len(_leaves(sample)[0])
    # Two lengths: a value that has so many rows by chance does not follow both.
    for rows in sorted({count, max(min(2, count), count - 1)}):
        with untouched(model), _seen():
            values = _values(model, graph, _rows(sample, slice(rows)))
        steady = _only_rows(graph, steady, values, rows)
    frontier = [n for n in graph.nodes if n in steady and any(user not in steady for user in n.users)]
    modules = _passed(model, frontier)
    if not modules:
        raise NoPrefix("no frozen layer comes before the first one that trains")
    before = fx.GraphModule(model, _before(graph, frontier))
    after = fx.GraphModule(model, _after(graph, steady, frontier))
    with _seen():
        _check(model, before, after, sample)
    return Cut(before, after, modules, finished)


def _gives_a_tensor(model: nn.Module, sample: Any) -> bool:
    with untouched(model), _seen():
        return isinstance(model(**sample) if isinstance(sample, Mapping) else model(sample), Tensor)


def _leaves(sample: Any) -> list[Any]:
    return list(sample.values()) if isinstance(sample, Mapping) else [sample]


def _rows(sample: Any, which: Any) -> Any:
    """Some samples of a batch."""
    if isinstance(sample, Mapping):
        return {name: value[which] for name, value in sample.items()}
    return sample[which]


@contextmanager
def _seen() -> Iterator[None]:
    """What goes wrong in a look at a small batch is a reason, and no end of the run."""
    try:
        yield
    except NoPrefix:
        raise
    except Exception as fault:
        raise NoPrefix(f"a look at a small batch fails ({first_line(fault, 120)})") from None


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Undo what running layers leaves behind: statistics, other buffers, draws from random generators.

    Gradients are off, unless they are asked for inside.
    """
    states = {name: buffer.clone() for name, buffer in model.named_buffers()}
    chance_before = chance.capture()
    try:
        with torch.no_grad():
            yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in states:
                    buffer.copy_(states[name])
        chance.restore(chance_before)


class _OneInput(nn.Module):
    """A model called with its first argument alone, or with those `named`, the others being left at their defaults."""

    def __init__(
        self, model: nn.Module, named: tuple[str, ...] | None, outputs: Callable[[Any], Any] | None
    ) -> None:
        super().__init__()
        self.model = model
        self._named = named
        self._outputs = outputs

    def forward(self, inputs: Any) -> Any:
        if self._named is None:
            returned = self.model(inputs)
        else:
            returned = self.model(**{name: inputs[name] for name in self._named})
        return returned if self._outputs is None else self._outputs(returned)


class _Tracer(fx.Tracer):
    """Goes into a module only where it holds both what stands still and what does not."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        flags = {p.requires_grad for p in m.parameters()}
        if len(flags) == 2 or not flags:
            return super().is_leaf_module(m, module_qualified_name)
        return True


def _trace(model: nn.Module) -> fx.Graph:
    places = chance.places()
    try:
        graph = _Tracer().trace(model)
    except Exception as fault:
        raise NoPrefix(f"the way from input to output cannot be traced ({first_line(fault, 120)})") from None
    if chance.places() != places:  # the graph would throw the same coin for ever
        raise NoPrefix("its forward draws random numbers of its own")
    return graph


def _steady(model: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose values follow from the input alone, the same each time."""
    steady: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "output" and all(n in steady for n in node.all_input_nodes) and _repeats(model, node):
            steady.add(node)
    return steady


def _repeats(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "placeholder":
        return True
    if node.op == "call_module":
        return module_repeats(model.get_submodule(str(node.target)))
    if node.op == "get_attr":
        owner, _, leaf = str(node.target).rpartition(".")
        module = model.get_submodule(owner)
        value = getattr(module, leaf)
        if isinstance(value, nn.Parameter):  # a token of its own, beside modules that may train
            return not value.requires_grad
        return not any(p.requires_grad for p in module.parameters()) and isinstance(value, Tensor)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if not any(word in str(name) for word in _RANDOM_NAMES):
        return not str(name).endswith("_") and float(node.kwargs.get("dropout_p", 0.0) or 0.0) == 0.0  # type: ignore[arg-type]
    return node.kwargs.get("training") is False


def module_repeats(module: nn.Module) -> bool:
    """Whether calling `module` twice gives the same: nothing in it trains, updates statistics or is random."""
    if any(p.requires_grad for p in module.parameters()):
        return False
    return all(not part.training or _harmless(part) for part in module.modules())


def _harmless(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p == 0
    if isinstance(module, _RANDOM_MODULES):
        return False
    home = type(module).__module__
    return isinstance(module, nn.Identity) or (
        home.startswith("torch.nn.modules.") and home.rpartition(".")[2] in _HARMLESS
    )


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the value of every node."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = value = super().run_node(n)
        return value


def _values(model: nn.Module, graph: fx.Graph, sample: Any) -> dict[fx.Node, Any]:
    recorder = _Recorder(model, graph)
    recorder.run(sample)
    return recorder.values


def _only_rows(graph: fx.Graph, steady: set[fx.Node], values: dict[fx.Node, Any], rows: int) -> set[fx.Node]:
    """Leave to the second part what is no tensor with a row for each sample: sizes, constants."""
    steady = set(steady)
    for node in reversed(list(graph.nodes)):
        needed = node in steady and any(user not in steady for user in node.users)
        value = values.get(node)
        if needed and not (isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows):
            steady.discard(node)
    return steady


def _passed(model: nn.Module, frontier: Iterable[fx.Node]) -> tuple[str, ...]:
    """The modules with parameters that lie before the frontier, in the order in which they run."""
    seen: dict[fx.Node, None] = {}
    waiting = list(frontier)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = None
            waiting += node.all_input_nodes
    order = [node for node in next(iter(seen)).graph.nodes if node in seen] if seen else []
    names = [str(node.target) for node in order if node.op == "call_module"]
    held = [name for name in names if next(model.get_submodule(name).parameters(), None) is not None]
    return tuple(name.partition(".")[2] for name in held)


def _before(graph: fx.Graph, frontier: list[fx.Node]) -> fx.Graph:
    part = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    wanted = set(frontier)
    for node in reversed(list(graph.nodes)):
        if node in wanted:
            wanted.update(node.all_input_nodes)
    for node in graph.nodes:
        if node in wanted or node.op == "placeholder":
            made[node] = part.node_copy(node, lambda n: made[n])
    part.output(tuple(made[node] for node in frontier))
    return part


def _after(graph: fx.Graph, steady: set[fx.Node], frontier: list[fx.Node]) -> fx.Graph:
    part = fx.Graph()
    made = {node: part.placeholder(f"feature_{place}") for place, node in enumerate(frontier)}
    for node in graph.nodes:
        if node not in steady:
            made[node] = part.node_copy(node, lambda n: made[n])
    return part


def _check(model: nn.Module, before: fx.GraphModule, after: fx.GraphModule, sample: Any) -> None:
    """Whatever the graph says, only a prefix that gives the same bits twice is remembered.

    And only where each sample's row is its own, and both halves do what the model does, draw for draw:
    what a model does in Python (a coin that skips a layer, a count of its calls) is not in the graph.
    """
    with untouched(model):
        first, second = _copied(before(sample)), _copied(before(sample))
    if not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        raise NoPrefix("the frozen layers do not give the same output twice")
    count = len(_leaves(sample)[0])
    if count > 2:
        for order in (list(reversed(range(count))), [2, 0]):
            with untouched(model):
                moved = before(_rows(sample, order))
            if not _close(moved, [value[order] for value in first]):
                raise NoPrefix("what they give for one sample depends on the rest of its batch")
    for seed in range(_SEEDS):
        seen = []
        for whole in (True, False):
            with untouched(model):
                chance.seed_everything(seed, 0)
                # Remembered rows are copies: what is written into one reaches no other.
                output = model(sample) if whole else after(*_copied(before(sample)))
                seen.append(([*_tensors(output)], [buffer.clone() for buffer in model.buffers()]))
        (wanted, states), (found, left) = seen
        if not (_close(found, wanted) and _close(left, states)):
            raise NoPrefix("cut in two, the model does not do what it does as a whole")


def _copied(values: Iterable[Tensor]) -> list[Tensor]:
    return [value.clone() for value in values]


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in what a model gives."""
    leaves, _ = tree_flatten(dict(output) if isinstance(output, Mapping) else output)
    return (leaf for leaf in leaves if isinstance(leaf, Tensor))


def _close(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Equal but for the rounding of other kernels, which a batch of another size may get."""
    if len(found) != len(wanted):
        return False
    for one, other in zip(found, wanted, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if not one.is_floating_point():
            if not torch.equal(one, other):
                return False
            continue
        half = one.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled(one.device.type)
        part = 2e-2 if half else 1e-4
        most = float(other.abs().max()) if other.numel() else 0.0
        if not torch.allclose(one, other, rtol=0.0, atol=part * most, equal_nan=True):
            return False
    return True
