"""What a process pays for its part of a model with 1 trillion parameters, whose experts lie on 1,024 processes.

python benchmarks/bench_parts.py

A mixture of experts of 64 layers and 5,120 experts in each, close to a million tensors. Rules are resolved for the
whole of it, from its inventory; one process then binds its five experts of each layer and what all of them have.
The other processes are played by their packed messages. Seconds are of the processor, each measured once; memory is
how much the process grew (resident set), in the order of the table, which what was freed before may fill.
"""

from __future__ import annotations

import gc
import pickle
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory, ModuleClass
from layerlr_dsl.training.agreement import Said, fingerprint, nobody_holds, packed

LAYERS, EXPERTS, RANKS = 64, 5_120, 1_024
WIDTH, INNER, WORDS = 2_048, 512, 131_072
MIB = 2**20
RULES = """
optimizer adamw(fused=true)
schedule cosine(warmup=2%)
** -> lr 3e-4, weight_decay ramp((0%, 0.1), (100%, 0.01))
layers.<i> -> lr *= 0.98 ^ (last(i) - i)
layers.*.router -> lr 1e-5, weight_decay 0
embed, head -> lr *= 0.5
freeze embed until 10%
freeze layers.0, layers.1
unfreeze layers.1 at 50%
"""
NUMBERED = "layers.*.experts.<e> where e > last(e) - 256 -> lr *= 2"
"""A rule that captures the number of each expert, so that 327,680 classes of parameters are told apart."""
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step of the way costs a process. memory: bytes that it keeps."""

    what: str
    seconds: float
    memory: int
    words: str = ""


def shared(layer: int) -> dict[str, tuple[int, ...]]:
    """What every process has of a layer."""
    matrices = {f"layers.{layer}.attention.{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "o")}
    return {**matrices, f"layers.{layer}.router": (EXPERTS, WIDTH)}


def expert(layer: int, number: int) -> dict[str, tuple[int, ...]]:
    place = f"layers.{layer}.experts.{number}"
    return {f"{place}.gate": (INNER, WIDTH), f"{place}.up": (INNER, WIDTH), f"{place}.down": (WIDTH, INNER)}


def whole() -> Inventory:
    """The inventory of the whole model, from a tree that has no tensors."""
    linear = ModuleClass("Linear", "torch.nn.modules.linear.Linear", ("Linear",), frozenset({"linear"}))
    plain = ModuleClass("Module", "torch.nn.modules.module.Module", ("Module",), frozenset())
    parents, segments, prefixes, classes = [-1], [""], [""], [1]
    rows = {"": 0}
    names, owners, shapes = [], [], []

    def place(path: str, kind: int) -> int:
        if path not in rows:
            above, _, segment = path.rpartition(".")
            parents.append(place(above, 1))
            segments.append(segment)
            prefixes.append(f"{path}.")
            classes.append(kind)
            rows[path] = len(parents) - 1
        return rows[path]

    for path, shape in every_linear():
        owners.append(place(path, 0))
        names.append(f"{path}.weight")
        shapes.append(shape)
    count = len(names)
    leaves, dtypes, on = ["weight"] * count, ["bfloat16"] * count, [True] * count
    return Inventory(
        "a mixture of experts",
        parents,
        segments,
        prefixes,
        classes,
        [linear, plain],
        names,
        owners,
        leaves,
        shapes,
        dtypes,
        on,
    )


def every_linear() -> list[tuple[str, tuple[int, ...]]]:
    found = [("embed", (WORDS, WIDTH))]
    for layer in range(LAYERS):
        found += shared(layer).items()
        for number in range(EXPERTS):
            found += expert(layer, number).items()
    return [*found, ("head", (WORDS, WIDTH))]


def part(rank: int) -> dict[str, nn.Parameter]:
    """What one process has, without memory: the costs of tensors are not ours."""
    each = EXPERTS // RANKS
    found: dict[str, tuple[int, ...]] = {"embed": (WORDS, WIDTH), "head": (WORDS, WIDTH)}
    for layer in range(LAYERS):
        found |= shared(layer)
        for number in range(rank * each, rank * each + each):
            found |= expert(layer, number)
    return {
        f"{name}.weight": nn.Parameter(torch.empty(s, device="meta", dtype=torch.bfloat16))
        for name, s in found.items()
    }


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def cost(
    what: str, make: Callable[[], Made], words: Callable[[Made], str] = lambda made: ""
) -> tuple[Made, Cost]:
    gc.collect()
    before, start = resident(), time.process_time()
    made = make()
    seconds = time.process_time() - start
    return made, Cost(what, seconds, max(resident() - before, 0), words(made))


def costs(folder: Path) -> list[Cost]:
    """The way of one process, from the stored inventory to the first step of its schedule."""
    file = folder / "whole.json"
    inventory = whole()
    inventory.save(file)
    del inventory
    size = f"{file.stat().st_size / MIB:.0f} MiB of JSON"
    found = []
    inventory, one = cost(
        "load the inventory", lambda: Inventory.load(file), lambda made: f"{len(made):,} tensors, {size}"
    )
    found.append(one)
    plan, one = cost(
        "resolve the rules",
        lambda: layerlr.parse(RULES).resolve(inventory, steps=100_000),
        lambda made: (
            f"{sum(group.numel for group in made.groups):.3g} parameters in {len(made.groups)} groups"
        ),
    )
    found.append(one)
    _, one = cost(
        "resolve them with one that captures the expert's number",
        lambda: layerlr.parse(f"{RULES}{NUMBERED}").resolve(inventory, steps=100_000),
        lambda made: f"in {len(made.groups)} groups",
    )
    found.append(one)
    held = part(rank=17)
    optimizer, one = cost(
        "plan.optimizer(part)", lambda: plan.optimizer(held), lambda made: f"{len(held):,} tensors"
    )
    found.append(one)
    schedule, one = cost("plan.schedule(part, optimizer)", lambda: plan.schedule(held, optimizer))
    found.append(one)
    found += agreement(plan, held)
    _, one = cost("schedule.step()", schedule.step)
    return [*found, one]


def agreement(plan: layerlr.Plan, held: dict[str, nn.Parameter]) -> list[Cost]:
    """What comparing with the other processes adds to making the schedule."""
    digest, first = cost("digest of the plan", lambda: fingerprint(plan))
    own, second = cost("packing what is held", lambda: packed(plan, held))
    said = pickle.dumps(Said(digest, None, own))
    every = [zlib.decompress(packed(plan, part(rank))) for rank in range(0, RANKS, RANKS // 16)]
    # 16 processes, each taken for 64 that differ from it a little: those that are equal are read once.
    others = [zlib.compress(bytes([bits[0] ^ k, *bits[1:]]), 1) for bits in every for k in range(RANKS // 16)]
    words = f"{len(said):,} bytes from each process, {len(said) * RANKS / MIB:.1f} MiB in all"
    _, third = cost("reading what all hold", lambda: nobody_holds(plan, others), lambda made: words)
    return [first, second, third]


def warm() -> None:
    """Import what is imported when it is first needed, and start what torch starts once."""
    model = nn.Linear(2, 2)
    plan = layerlr.parse(RULES.splitlines()[1]).resolve(model, steps=10)
    plan.schedule(model, plan.optimizer(model)).step()


def main() -> int:
    warm()
    with tempfile.TemporaryDirectory() as folder:
        found = costs(Path(folder))
    print("| one process of 1,024 | processor time | memory | |\n|---|---:|---:|---|")
    for one in found:
        seconds = f"{one.seconds:.2f} s" if one.seconds >= 0.1 else f"{one.seconds * 1e3:.3g} ms"
        print(f"| {one.what} | {seconds} | {one.memory / MIB:.0f} MiB | {one.words} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
