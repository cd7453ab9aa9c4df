"""LayerAdaptive beside its published loop and AdamW, and a schedule beside LambdaLR.

Every figure is a ratio taken in one run: the contenders take turns, and the best turn of each
counts, so that other work on the machine falls on all alike. Run it by hand:

    OMP_NUM_THREADS=1 python benchmarks/bench_optim.py
"""

from __future__ import annotations

import argparse
import math
import time
import timeit
from collections.abc import Callable
from fractions import Fraction

import torch
from torch.optim import lr_scheduler

from layerlr_dsl.optim import LAMB, LARS, LayerAdaptive
from layerlr_dsl.plan.clock import Clock, Length
from layerlr_dsl.plan.schedules import make

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
    for name, build in entries.items():
        generator = torch.Generator().manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(s, generator=generator).to(device)) for s in shapes]
        for param in params:
            param.grad = torch.randn_like(param) * 0.01
        built[name] = build(params)
        for _ in range(3):
            built[name].step()  # type: ignore[attr-defined]
    best = dict.fromkeys(built, math.inf)
    for _ in range(rounds):
        for name, optimizer in built.items():
            _wait(device)
            start = time.perf_counter()
            optimizer.step()  # type: ignore[attr-defined]
            _wait(device)
            best[name] = min(best[name], (time.perf_counter() - start) * 1e3)
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def schedule_beside_lambda_lr(groups: int) -> tuple[float, float]:
    """Microseconds of LambdaLR's step, and of one factor written to as many groups."""
    params = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(groups)]
    optimizer = torch.optim.SGD(params, lr=1.0)
    optimizer.step()
    theirs = lr_scheduler.LambdaLR(optimizer, lambda tick: 1.0 - tick * 1e-9)
    ours = make("cosine", {"warmup": Length(Fraction(5), "percent")}, Clock(Fraction(30), 100))
    peaks = [1.0] * groups

    def write() -> None:
        factor = ours.factor(500)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * factor

    lambda_lr, plain = (min(timeit.repeat(f, number=200, repeat=9)) / 200 * 1e6 for f in (theirs.step, write))
    return lambda_lr, plain


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
    print("\n| schedule, groups | LambdaLR us | one factor, all groups us | share |\n|---|---|---|---|")
    for groups in (7, 60):
        theirs, ours = schedule_beside_lambda_lr(groups)
        print(f"| {groups} | {theirs:.1f} | {ours:.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
