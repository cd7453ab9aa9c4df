"""What a freeze saves is measured before the run, and leaves no trace in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tinyruns import settings
from torch import nn

from layerlr_dsl.runner import costs, savings
from layerlr_dsl.runner.costs import Cost
from layerlr_dsl.runner.savings import measured, text


def _stack() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Sequential(nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU()) for _ in range(4))
    )


def test_a_frozen_beginning_keeps_no_activations_and_a_frozen_end_keeps_nearly_all():
    """Frozen layers behind one that trains must be gone through all the same."""
    x = torch.randn(64, 256)
    model = _stack()
    model[:3].requires_grad_(False)
    first, thawed = measured(model, lambda: model(x).square().mean())
    model.requires_grad_(True)
    model[1:].requires_grad_(False)
    last, again = measured(model, lambda: model(x).square().mean())
    assert first.activations < thawed.activations / 2
    assert last.activations > 0.6 * again.activations
    assert thawed.activations == again.activations


def test_a_look_leaves_flags_statistics_gradients_and_generators_alone():
    """So that a run is the same with and without it."""
    model = nn.Sequential(*_stack(), nn.Dropout(0.5))
    model[0].requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    state = torch.get_rng_state()
    measured(model, lambda: model(torch.randn(8, 256)).square().mean())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


class _Machine:
    """A clock that only steps move on: by their work, and by the clock as much longer as the machine is busy."""

    def __init__(self, busy: Callable[[int], float]) -> None:
        self.busy, self.steps = busy, 0
        self.wall = self.work = 0.0

    def step(self, work: float) -> None:
        self.steps += 1
        self.work += work * (1 + 0.2 * (self.busy(self.steps) - 1))
        self.wall += work * self.busy(self.steps)


@pytest.mark.parametrize(
    "busy",
    [
        pytest.param(lambda step: 5.0 if step > 3 else 1.0, id="from the first look on"),
        pytest.param(lambda step: 5.0 if step > 7 else 1.0, id="from the middle on"),
        pytest.param(lambda step: 5.0 if step < 7 else 1.0, id="until the middle"),
        pytest.param(lambda step: 9.0 if step in (5, 8) else 1.0, id="twice for a step"),
    ],
)
def test_a_machine_that_gets_busy_in_between_does_not_change_what_is_saved(busy, monkeypatch):
    """Half the work is told as half the time, whenever the other work begins and ends."""
    machine = _Machine(busy)
    monkeypatch.setattr(costs.time, "perf_counter", lambda: machine.wall)
    monkeypatch.setattr(costs.time, "process_time", lambda: machine.work)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)

    def loss() -> torch.Tensor:
        machine.step(0.2 if model[0].weight.requires_grad else 0.1)
        return model(torch.ones(1, 2)).sum()

    now, thawed = measured(model, loss)
    assert now.seconds / thawed.seconds == pytest.approx(0.5)
    assert thawed.seconds == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("seconds", "error", "expected"),
    [
        (0.05, 0.001, "a step takes 50% of the time"),
        (0.05, 0.005, "a step takes 50 ± 5% of the time"),
        (0.099, 0.0, "saves no time that can be measured"),
        (0.09, 0.01, "saves no time that can be measured (50% trains): a step takes 90 ± 10%"),
    ],
)
def test_a_freeze_that_saves_nothing_is_called_that(seconds, error, expected):
    """With the times, or with why."""
    assert expected in text(Cost(seconds, 2**20, error), Cost(0.1, 2**22), 0.5)


def test_a_run_says_it_once_and_is_the_same_as_without(layerlr, rules, tmp_path, monkeypatch):
    """Where it is long enough, before the first epoch; losses are bit for bit those of a run without a look."""
    monkeypatch.setattr(savings, "LEAST_STEPS", 10)
    told = layerlr(*settings(rules, tmp_path / "told", "--plain"))
    monkeypatch.setattr(savings, "LEAST_STEPS", 1000)
    silent = layerlr(*settings(rules, tmp_path / "silent", "--plain"))
    assert told.status == silent.status == 0, told.err
    assert told.out.count("the freeze at the start") == 1
    assert told.out.index("the freeze at the start") < told.out.index("epoch  train loss")
    assert "the freeze at the start" not in silent.out
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("told", "silent")]
    assert metrics[0] == metrics[1]
