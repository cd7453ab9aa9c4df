"""Epochs with a frozen prefix, computed each time and remembered; run by hand or by `make bench`.

    python benchmarks/bench_features.py [--side 112] [--samples 96] [--epochs 3]

Processor seconds of one epoch of ResNet-18, within one run: with everything training, with a part frozen
and computed each time, with that part remembered, and its first epoch, which fills the table. What stays
in a remembered epoch is the training of the layers that are not frozen; nothing can be saved of that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from measure import Row, report
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.specs import build
from layerlr_dsl.runner.classification import Classification
from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.data import Data
from layerlr_dsl.runner.display import Silent
from layerlr_dsl.runner.feed import Feed, Loading
from layerlr_dsl.runner.feeds import FeedChoice
from layerlr_dsl.runner.order import Order
from layerlr_dsl.runner.phases import PhaseWatch
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.step import Numerics, Stepper

BATCH = 16
EPOCHS_PLANNED = 100
CASES = {
    "all but the last stage and the head": "conv1, bn1, layer1, layer2, layer3",
    "all but the head": "** except fc",
}


class Pictures:
    """Random pictures in memory, handed out in batches."""

    def __init__(self, count: int, side: int) -> None:
        self.images = torch.randn(count, 3, side, side)
        self.labels = torch.arange(count) % 10

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [index for index, _ in keys]
        return self.images[chosen], self.labels[chosen]


def measure(
    frozen: str | None, side: int, samples: int, epochs: int, remember: bool
) -> tuple[float, float, nn.Module]:
    """Seconds of the first epoch, the median of the later ones, and the trained model."""
    torch.manual_seed(0)
    model = build("torchvision:resnet18(num_classes=10)")
    rules = layerlr.parse("optimizer adamw\n** -> lr 1e-3\n" + (f"freeze {frozen}\n" if frozen else ""))
    pictures = Pictures(samples, side)
    order = Order(samples, BATCH)
    plan = rules.resolve(model, EPOCHS_PLANNED, order.steps_per_epoch)
    optimizer = plan.optimizer(model)
    phases = PhaseWatch(plan, model, plan.schedule(model, optimizer), optimizer)
    device = torch.device("cpu")
    numerics = Numerics.make("fp32", device)
    config = TrainConfig(rules="-", data="-", remember_features=remember)
    data = Data("pictures", pictures, pictures, lambda batch: batch, 10)
    task, loading = Classification(), Loading(device)
    choice = FeedChoice(
        config, model, data, order, loading, numerics, task, phases, Silent(), None, lambda: False
    )
    stepper = Stepper(optimizer, numerics, Processes(), task, clip=None, accumulating=_always)
    times = [
        timed(lambda e=e: epoch(choice(Progress()), model, stepper, phases, e)) for e in range(epochs + 1)
    ]
    return times[0], statistics.median(times[1:]), model


def _always(last: bool) -> torch.autograd.set_grad_enabled:
    return torch.enable_grad()


def epoch(feed: Feed, model: nn.Module, stepper: Stepper, phases: PhaseWatch, number: int) -> None:
    model.train()
    for batches in feed.training(number, 0):
        stepper.apply(stepper.compute(batches, feed.outputs, False))
        phases.step()


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def rows() -> list[Row]:
    """What the table shows: an epoch with remembered features beside one without."""
    found = []
    for (name, frozen), target in zip(CASES.items(), (3.0, 50.0), strict=True):
        _, plain, _ = measure(frozen, 112, 64, 2, remember=False)
        _, quick, _ = measure(frozen, 112, 64, 2, remember=True)
        what = f"an epoch, features remembered, {name} frozen"
        found.append(Row(what, quick, plain, "features computed", 1 / target))
    _, whole, _ = measure(None, 112, 64, 2, remember=False)
    name = f"the same, {next(iter(CASES))} frozen"
    found.append(Row(name, found[0].ours, whole, "everything training", 1 / 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    print(
        f"ResNet-18, {given.samples} pictures of {given.side} px, batch {BATCH}, processor seconds of an epoch"
    )
    whole = measure(None, given.side, given.samples, given.epochs, remember=False)[1]
    print(f"everything trains: {whole:.3f}")
    print(
        f"{'frozen':<36} {'computed':>9} {'first':>9} {'remembered':>11} {'to all':>7} {'to computed':>12} {'weights':>9}"
    )
    for name, frozen in CASES.items():
        _, plain, one = measure(frozen, given.side, given.samples, given.epochs, remember=False)
        first, quick, other = measure(frozen, given.side, given.samples, given.epochs, remember=True)
        pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        apart = max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
        ratios = f"{whole / quick:>6.1f}x {plain / quick:>11.1f}x"
        print(f"{name:<36} {plain:>9.3f} {first:>9.3f} {quick:>11.4f} {ratios} {apart:>9.1e}")


if __name__ == "__main__":
    if "--json" in sys.argv:
        report(rows())
    else:
        main()
