"""The length of a run whose batches are counted through all epochs."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, product

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.training.following import length_of


def test_a_step_may_take_batches_of_two_epochs() -> None:
    """Five batches, two to a step: two steps and a half, and what the last epoch leaves over counts or not."""
    assert length_of(5, 3, 2) == {"steps_per_epoch": Fraction(5, 2), "steps": 7}
    assert length_of(5, 3, 2, rest=True) == {"steps_per_epoch": Fraction(5, 2), "steps": 8}


def test_whole_steps_are_whole() -> None:
    """Six batches, two to a step."""
    assert length_of(6, 4, 2) == {"epochs": 4, "steps_per_epoch": 3}


RULES = """schedule multistep(at=(2 epochs, 3 epochs), gamma=0.5)
** -> lr 1
** -> weight_decay floor(epoch) / 100
freeze 0 until epoch 1"""


def run(batches: int, together: int, epochs: int, rules: str = RULES):
    """What each optimizer step of a loop that counts through saw, with the batch that it began with."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    plan = layerlr.parse(rules).resolve(model, epochs=epochs, steps_per_epoch=batches / together)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    seen = []
    for number, _ in enumerate(product(range(epochs), range(batches)), 1):
        model(torch.ones(1, 2)).sum().backward()
        if number % together == 0:
            group = optimizer.param_groups[-1]
            seen.append(
                (number - together, schedule.frozen == frozenset(), group["lr"], group["weight_decay"])
            )
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return seen


@pytest.mark.parametrize(("batches", "together"), [(25, 4), (25, 3), (7, 2), (3, 4), (8, 4), (11, 5)])
def test_marks_fall_with_the_first_step_that_begins_in_the_loop_s_epoch(batches: int, together: int) -> None:
    """A loop that carries the left-over batches over: thaw, drops and `epoch` are never a step too early or late."""
    seen = run(batches, together, epochs=8)
    assert len(seen) == 8 * batches // together
    for began, thawed, lr, decay in seen:
        epoch = began // batches
        assert thawed == (epoch >= 1)
        assert lr == 0.5 ** ((epoch >= 2) + (epoch >= 3))
        assert decay == epoch / 100


def test_a_rate_by_epoch_is_looked_up_with_an_epoch_s_first_step() -> None:
    """`interval=epoch` on 6.25 steps: the rate changes with the first step of each epoch, and only there."""
    seen = run(25, 4, 8, "schedule cosine(interval=epoch)\n** -> lr 1\nfreeze 0 until epoch 1")
    changes = [
        began // 25 for (began, _, lr, _), before in zip(seen[1:], seen, strict=False) if lr != before[2]
    ]
    assert changes == list(range(1, 8))


def test_a_resumed_run_goes_on_in_the_same_epoch(tmp_path) -> None:
    """The fraction is in the checkpoint, exactly, and `weights_only` loads it."""
    model = nn.Linear(2, 2)
    plan = layerlr.parse("schedule linear\n** -> lr 1").resolve(model, epochs=6, steps_per_epoch=25 / 3)
    schedule = plan.schedule(model, plan.optimizer(model))
    for _ in range(25):
        schedule.optimizer.step()
        schedule.step()
    torch.save(schedule.state_dict(), tmp_path / "state.pt")
    again = plan.schedule(model, plan.optimizer(model))
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.last_epoch == 25
    other = layerlr.parse("schedule linear\n** -> lr 1").resolve(model, epochs=6, steps_per_epoch=10)
    elsewhere = other.schedule(model, other.optimizer(model))
    elsewhere.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert elsewhere.last_epoch == 30


def test_a_report_belongs_to_the_loop_s_epoch() -> None:
    """`for 2 epochs` on 6.25 steps, reported after each: the third report in a row without a gain is the second bad one."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    rules = "** -> lr 1\nfreeze 0 until loss stops falling for 2 epochs"
    plan = layerlr.parse(rules).resolve(model, epochs=8, steps_per_epoch=25 / 4)
    schedule = plan.schedule(model, plan.optimizer(model))
    frozen = []
    done = accumulate([25] * 8)
    for batches in done:
        while schedule.last_epoch < batches // 4:
            schedule.optimizer.step()
            schedule.step()
        schedule.report(loss=1.0)
        frozen.append(schedule.frozen != frozenset())
    assert frozen == [True, True, False, False, False, False, False, False]
