"""A study of seconds: scikit-learn's digits at their own size, and a network of two layers."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from effect.design import Arm, Budget, Claim, Study, Task
from effect.networks import Network
from torch import nn

from layerlr_dsl.tuning.ranges import Range

GRID = Range(3e-3, 3e-2, log=True)


def task(name: str = "tiny", data: str = "digits") -> Task:
    return Task(
        name, "tiny", data, "digits", side=16, train=4, validation=4, batch=20, packages=(), shift="turned"
    )


def arms() -> tuple[Arm, ...]:
    return (
        Arm("plain", "one rate", starter="plain", grid=GRID, networks=("tiny",)),
        Arm("head", "the head", starter="head", grid=GRID, networks=("tiny",)),
        Arm(
            "free",
            "no held statistics",
            starter="head-then-all",
            without="freeze statistics of **",
            grid=GRID,
            networks=("tiny",),
        ),
    )


def study(*tasks: Task) -> Study:
    said = Claim(
        "Somebody 2020", ("lp_ft",), "a head is as good", "head", "plain", "test", "size", expects="not less"
    )
    return Study(tasks or (task(),), arms(), (Budget(2),), (said,), tuning=(11, 12), reporting=(1, 2, 3))


def network(classes: int, cache: Path) -> Network:
    import torch

    torch.manual_seed(0)
    layers = [("conv", nn.Conv2d(3, 8, 3, 2)), ("norm", nn.BatchNorm2d(8)), ("flat", nn.Flatten())]
    model = nn.Sequential(OrderedDict([*layers, ("classifier", nn.Linear(8 * 7 * 7, classes))]))
    return Network(model, None, ("classifier.weight", "classifier.bias"), (0.5,) * 3, (0.5,) * 3)
