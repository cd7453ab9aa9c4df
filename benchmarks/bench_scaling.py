"""How resolving grows with parameters and with rules: time and memory, as two plots beside this file.

python benchmarks/bench_scaling.py

Memory is what Python's allocator held at most beyond what it held before, from `tracemalloc`; time comes
from runs of their own, since tracing makes everything slower. Models are trees of three kinds of layers,
as wide as the sizes ask for, read into an inventory beforehand.
"""

from __future__ import annotations

import gc
import math
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory, ModuleClass

HERE = Path(__file__).parent
PARAMETERS = (1_000, 10_000, 100_000, 1_000_000)
RULES = (1, 10, 100, 1_000, 10_000)
PER_LAYER = 1_000
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Point:
    """One size, with processor seconds and bytes."""

    size: int
    seconds: float
    memory: int


def inventory(parameters: int) -> Inventory:
    """Layers of 500 experts, each a module with a weight and a bias."""
    linear = ModuleClass("Linear", "torch.nn.modules.linear.Linear", ("Linear",), frozenset({"linear"}))
    plain = ModuleClass("Module", "torch.nn.modules.module.Module", ("Module",), frozenset())
    parents, segments, classes = [-1, 0], ["", "layers"], [1, 1]
    prefixes = ["", "layers."]
    names, owners, leaves = [], [], []
    for layer in range(parameters // PER_LAYER):
        place = len(parents)
        parents += [1, place]
        segments += [str(layer), "experts"]
        prefixes += [f"layers.{layer}.", f"layers.{layer}.experts."]
        classes += [1, 1]
        for expert in range(PER_LAYER // 2):
            parents.append(place + 1)
            segments.append(str(expert))
            prefixes.append(f"layers.{layer}.experts.{expert}.")
            classes.append(0)
            for leaf in ("weight", "bias"):
                names.append(prefixes[-1] + leaf)
                owners.append(len(parents) - 1)
                leaves.append(leaf)
    count = len(names)
    return Inventory(
        source="layers of experts",
        module_parents=parents,
        module_segments=segments,
        module_prefixes=prefixes,
        module_classes=classes,
        classes=[linear, plain],
        names=names,
        owners=owners,
        leaves=leaves,
        shapes=[(8, 8), (8,)] * (count // 2),
        dtypes=["float32"] * count,
        requires_grad=[True] * count,
    )


def text_of(rules: int, layers: int) -> str:
    """Broad rules with conditions and narrow ones for single experts, in turns."""
    lines = ["** -> lr 1e-4"]
    for k in range(1, rules):
        if k % 10 == 1:
            lines.append(f"layers.<i> where i >= {k % layers} and ndim <= 1 -> weight_decay {k * 1e-6:.6g}")
        else:
            lines.append(f"layers.{k % layers}.experts.{k * 7 % 500} -> lr {1e-6 * (k + 1):.6g}")
    return "\n".join(lines)


def point(size: int, text: str, model: Inventory) -> Point:
    """Rules that are resolved for the first time: nothing that they keep helps."""
    seconds = math.inf
    for _ in range(3 if len(model) < 500_000 else 1):
        rules = layerlr.parse(text)
        gc.collect()
        start = time.process_time()
        plan = rules.resolve(model)
        seconds = min(seconds, time.process_time() - start)
        del plan
    rules = layerlr.parse(text)
    gc.collect()
    tracemalloc.start()
    rules.resolve(model)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Point(size, seconds, memory)


def over_parameters() -> list[Point]:
    """100 rules, more and more parameters."""
    return [point(n, text_of(100, n // PER_LAYER), inventory(n)) for n in PARAMETERS]


def over_rules() -> list[Point]:
    """100,000 parameters, more and more rules."""
    model = inventory(100_000)
    return [point(n, text_of(n, 100), model) for n in RULES]


def growth(points: Sequence[Point]) -> float:
    """The exponent of time between the last two points: 1 is linear."""
    one, other = points[-2:]
    return math.log(other.seconds / one.seconds) / math.log(other.size / one.size)


def draw(path: Path, label: str, note: str, points: Sequence[Point]) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "layerlr"
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    sizes = [p.size for p in points]
    left.loglog(sizes, [p.seconds for p in points], "o-", color="#1f5fa8")
    left.set(xlabel=label, ylabel="processor seconds")
    right.loglog(sizes, [p.memory / MIB for p in points], "o-", color="#b3541e")
    right.set(xlabel=label, ylabel="MiB beyond the model, at most")
    for axes in (left, right):
        axes.grid(True, which="major", alpha=0.3)
    figure.suptitle(note, fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def table(label: str, points: Sequence[Point]) -> str:
    lines = [f"| {label} | processor time | memory beyond the model |", "|---:|---:|---:|"]
    lines += [f"| {p.size:,} | {p.seconds * 1e3:,.1f} ms | {p.memory / MIB:,.1f} MiB |" for p in points]
    lines.append(f"\nTime grows between the last two as n^{growth(points):.2f}.\n")
    return "\n".join(lines)


def main() -> None:
    parameters, rules = over_parameters(), over_rules()
    draw(HERE / "scaling_parameters.svg", "parameters (tensors)", "resolving 100 rules", parameters)
    draw(HERE / "scaling_rules.svg", "rules", "resolving against 100,000 parameters", rules)
    print(table("parameters", parameters))
    print(table("rules", rules))


if __name__ == "__main__":
    sys.exit(main())
