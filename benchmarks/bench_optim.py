"""LayerAdaptive beside its published loop and AdamW, and what the number of groups costs.

Every figure is a ratio taken in one run: the contenders take turns, and the best turn of each
counts, so that other work on the machine falls on all alike. Run it by hand:

    OMP_NUM_THREADS=1 python benchmarks/bench_optim.py
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable

import torch
from measure import Row, median_of_builds, report
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.specs import build
from layerlr_dsl.optim import LAMB, LARS, LayerAdaptive

SMALL = [((64, 64), (64,), (32, 32))[i % 3] for i in range(300)]


def resnet18() -> list[tuple[int, ...]]:
    """The shapes of torchvision's ResNet-18, in its own order."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    width = 64
    for channels in (64, 128, 256, 512):
        for block in range(2):
            shapes += [(channels, width, 3, 3), (channels,), (channels,)]
            shapes += [(channels, channels, 3, 3), (channels,), (channels,)]
            if block == 0 and channels > 64:
                shapes += [(channels, width, 1, 1), (channels,), (channels,)]
            width = channels
    return [*shapes, (1000, 512), (1000,)]


class Loop:
    """The published form: a loop over tensors that reads each mean back to the host."""

    def __init__(self, params: list[torch.nn.Parameter]) -> None:
        self.params = params
        self.first = [torch.zeros_like(p) for p in params]
        self.second = [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self) -> None:
        for p, m, v in zip(self.params, self.first, self.second, strict=True):
            g = p.grad
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            rate = 1e-3 * (m.abs() / (v.sqrt() + 1e-8)).mean().item()
            p.add_(m, alpha=-rate)


def compiled(params: list[torch.nn.Parameter]) -> LayerAdaptive:
    optimizer = LayerAdaptive(params)
    optimizer.step = torch.compile(optimizer.step)  # type: ignore[method-assign]
    return optimizer


def contenders(device: str) -> dict[str, Callable[[list[torch.nn.Parameter]], object]]:
    return {
        "published loop": Loop,
        "AdamW fused": lambda params: torch.optim.AdamW(params, fused=True),
        "AdamW foreach": lambda params: torch.optim.AdamW(params, foreach=True),
        "LayerAdaptive": LayerAdaptive,
        "LayerAdaptive, weight decay": lambda params: LayerAdaptive(params, weight_decay=0.01),
        "LayerAdaptive, foreach=False": lambda params: LayerAdaptive(params, foreach=False),
        "LARS": LARS,
        "LAMB": LAMB,
    }


def best_steps(
    shapes: list[tuple[int, ...]], device: str, rounds: int, compile_too: bool
) -> dict[str, float]:
    """The best time of a step in milliseconds, contenders taking turns."""
    built = {}
    entries = contenders(device) | ({"LayerAdaptive, compiled": compiled} if compile_too else {})
    for name, make in entries.items():
        generator = torch.Generator().manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(s, generator=generator).to(device)) for s in shapes]
        for param in params:
            param.grad = torch.randn_like(param) * 0.01
        built[name] = make(params)
        for _ in range(3):
            built[name].step()  # type: ignore[attr-defined]
    best = dict.fromkeys(built, math.inf)
    # Not processor time: threads that wait for each other spin, which would count.
    clock = time.perf_counter
    for _ in range(rounds):
        for name, optimizer in built.items():
            _wait(device)
            start = clock()
            optimizer.step()  # type: ignore[attr-defined]
            _wait(device)
            best[name] = min(best[name], (clock() - start) * 1e3)
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


RULES = """
** -> lr 1e-3
layer<i> -> lr *= 0.7 ^ (5 - i)
conv1, bn1 -> lr 1e-4
fc -> lr 2e-3
** where ndim <= 1 -> weight_decay 0
"""


def by_hand(model: nn.Module) -> list[dict[str, object]]:
    """The best grouping of RULES that can be written by hand: one group for each stage and decay."""
    rates = {"conv1": 1e-4, "bn1": 1e-4, "fc": 2e-3} | {
        f"layer{i}": 1e-3 * 0.7 ** (5 - i) for i in range(1, 5)
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = 0.0 if parameter.ndim <= 1 else 0.01
        groups.setdefault((rates[name.split(".")[0]], decay), []).append(parameter)
    return [{"params": held, "lr": rate, "weight_decay": decay} for (rate, decay), held in groups.items()]


def grouping() -> list[Row]:
    """optimizer.step() of ResNet-18 in the plan's groups, in those made by hand, and in one for each tensor."""
    seconds = median_of_builds(_grouped, 7, 6)
    return [
        Row(
            "optimizer.step() with the plan's groups",
            seconds["plan"],
            seconds["hand"],
            "groups by hand",
            1.03,
        ),
        Row("peer: one group for each tensor", seconds["single"], seconds["hand"], "groups by hand"),
    ]


def _grouped() -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    models = [build("torchvision:resnet18") for _ in range(3)]
    plan = layerlr.parse(RULES).resolve(models[0])
    singles = [{**group, "params": [p]} for group in by_hand(models[2]) for p in group["params"]]  # type: ignore[attr-defined]
    groups = plan.param_groups(models[0]), by_hand(models[1]), singles
    optimizers = [torch.optim.AdamW(each, lr=1e-3, fused=True) for each in groups]
    assert len(optimizers[0].param_groups) == len(optimizers[1].param_groups)
    for model in models:
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter) * 0.01
    return dict(zip(("plan", "hand", "single"), (optimizer.step for optimizer in optimizers), strict=True))


def rows(rounds: int = 20) -> list[Row]:
    """What the table shows: LayerAdaptive beside the loop and AdamW fused, and the cost of groups."""
    found = grouping()
    for name, shapes in (("ResNet-18", resnet18()), ("300 small tensors", SMALL)):
        best = {key: each / 1e3 for key, each in best_steps(shapes, "cpu", rounds, False).items()}
        ours, loop, fused = (best[key] for key in ("LayerAdaptive", "published loop", "AdamW fused"))
        found += [
            Row(f"LayerAdaptive, {name}", ours, loop, "the published loop", 0.4),
            Row(f"LayerAdaptive, {name}", ours, fused, "AdamW fused", 1.5),
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--compile", action="store_true", help="the compiled step too (minutes of compiling)")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads")
    for name, shapes in (("ResNet-18", resnet18()), ("300 small tensors", SMALL)):
        best = best_steps(shapes, options.device, options.rounds, options.compile and name == "ResNet-18")
        loop, adamw = best["published loop"], best["AdamW fused"]
        print(f"\n| {name} | ms | faster than the loop | times AdamW fused |\n|---|---|---|---|")
        for contender, value in best.items():
            print(f"| {contender} | {value:.2f} | {loop / value:.2f} | {value / adamw:.2f} |")


if __name__ == "__main__":
    if "--json" in sys.argv:
        report(rows())
    else:
        main()
