"""Cutting a model in two: what stands still and only depends on the input, and what follows.

The model is traced by torch.fx (Reed et al. 2022) down to the modules that are frozen or trained as a
whole. The cut runs through the graph of values and not between modules, so branches that skip over it
are kept apart too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

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


class NoPrefix(Exception):
    """Why a model has nothing whose output could be remembered; the text follows "because"."""


@dataclass(frozen=True, slots=True)
class Cut:
    """`before` maps inputs to a tuple of tensors, one row a sample; `after` takes those to the output."""

    before: Callable[[Any], tuple[Tensor, ...]]
    after: Callable[..., Any]
    modules: tuple[str, ...]


def cut(model: nn.Module, sample: Any) -> Cut:
    """Cut `model`, in the mode in which it stands, at the last values that no trained parameter touches.

    sample: inputs of a small batch, to see which values are tensors with a row for each sample.
    Raises NoPrefix.
    """
    if not isinstance(sample, Tensor):
        raise NoPrefix("the model takes more than one input")
    model = _OneInput(model)
    graph = _trace(model)
    steady = _steady(model, graph)
    values = _values(model, graph, sample)
    steady = _only_rows(graph, steady, values, len(sample))
    frontier = [n for n in graph.nodes if n in steady and any(user not in steady for user in n.users)]
    modules = _passed(model, frontier)
    if not modules:
        raise NoPrefix("no frozen layer comes before the first one that trains")
    before = fx.GraphModule(model, _before(graph, frontier))
    after = fx.GraphModule(model, _after(graph, steady, frontier))
    _check(model, before, after, sample)
    return Cut(before, after, modules)


class _OneInput(nn.Module):
    """A model called with its first argument alone, the others being left at their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Any) -> Any:
        return self.model(inputs)


class _Tracer(fx.Tracer):
    """Goes into a module only where it holds both what stands still and what does not."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        flags = {p.requires_grad for p in m.parameters()}
        if len(flags) == 2 or not flags:
            return super().is_leaf_module(m, module_qualified_name)
        return True


def _trace(model: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(model)
    except Exception as fault:
        reason = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
        raise NoPrefix(f"the way from input to output cannot be traced ({reason[:120]})") from None


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
        return not any(p.requires_grad for p in module.parameters()) and isinstance(
            getattr(module, leaf), Tensor
        )
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


def _values(model: nn.Module, graph: fx.Graph, sample: Tensor) -> dict[fx.Node, Any]:
    recorder = _Recorder(model, graph)
    states = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        recorder.run(sample)
        # layers that train have updated their statistics by this look
        for name, buffer in model.named_buffers():
            buffer.copy_(states[name])
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


def _check(model: nn.Module, before: nn.Module, after: nn.Module, sample: Tensor) -> None:
    """Whatever the graph says, only a prefix that gives the same bits twice is remembered."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        first, second = before(sample), before(sample)
    if not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        raise NoPrefix("the frozen layers do not give the same output twice")
