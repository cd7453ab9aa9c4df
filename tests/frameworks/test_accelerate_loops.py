"""accelerate's ways of stepping a scheduler: which are right without a word, and which are told of."""

import math
import warnings

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning

accelerate = pytest.importorskip("accelerate")

BATCHES, ACCUMULATED = 10, 4
STEPS = math.ceil(BATCHES / ACCUMULATED)


def run(prepared=True, epochs=2, steps=STEPS, **settings):
    """Train; return whether layer 0 trains at each optimizer step, the schedule, and its warnings."""
    given = (
        {"gradient_accumulation_steps": ACCUMULATED} if "gradient_accumulation_plugin" not in settings else {}
    )
    accelerator = accelerate.Accelerator(cpu=True, **given, **settings)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    loader = accelerator.prepare(torch.utils.data.DataLoader(torch.randn(2 * BATCHES, 4), batch_size=2))
    rules = layerlr.parse("schedule linear\n** -> lr 0.1\nfreeze 0 until epoch 1")
    plan = rules.resolve(model, epochs=epochs, steps_per_epoch=steps)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    model, optimizer = accelerator.prepare(model, optimizer)
    stepped = accelerator.prepare(schedule) if prepared else schedule
    seen = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(epochs):
            for batch in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(model(batch).square().mean())
                    if accelerator.sync_gradients:
                        seen.append(not schedule.frozen)
                    optimizer.step()
                    stepped.step()
                    optimizer.zero_grad()
    return seen, schedule, [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


def test_a_prepared_schedule_is_stepped_with_the_optimizer():
    """Three optimizer steps an epoch; layer 0 thaws with the fourth."""
    seen, schedule, told = run()
    assert seen == [False] * 3 + [True] * 3
    assert (schedule.last_epoch, told) == (6, [])


def test_what_an_epoch_leaves_over_may_be_carried_over():
    """`sync_with_dataloader=False`: two and a half steps an epoch, and the third begins in the first."""
    plugin = accelerate.utils.GradientAccumulationPlugin(num_steps=ACCUMULATED, sync_with_dataloader=False)
    seen, schedule, told = run(epochs=4, steps=BATCHES / ACCUMULATED, gradient_accumulation_plugin=plugin)
    assert seen == [False] * 3 + [True] * 7
    assert (schedule.last_epoch, told) == (10, [])
    _, schedule, told = run(epochs=4, gradient_accumulation_plugin=plugin)
    assert schedule.plan.clock.steps_per_epoch == 2.5
    assert (
        "resolved with 3 optimizer steps in an epoch, and the loop that calls schedule.step() takes 5/2"
        in told[0]
    )


def test_a_schedule_that_counts_batches_is_right_where_its_epochs_are_batches():
    """Not prepared, it is stepped for every batch; resolved with as many, it thaws at its epoch."""
    seen, schedule, told = run(prepared=False, steps=BATCHES)
    assert seen == [False] * 3 + [True] * 3
    assert (schedule.last_epoch, told) == (20, [])


def test_a_schedule_that_is_not_prepared_runs_out_and_is_told_of():
    """It is stepped for every batch and resolved for optimizer steps, and over before the first epoch is."""
    _, _, told = run(prepared=False)
    assert any("goes on after the 6 steps" in text for text in told)


def test_a_scheduler_that_is_stepped_for_itself_is_right():
    """step_scheduler_with_optimizer=False leaves it to the loop, as if it had not been prepared."""
    seen, schedule, told = run(steps=BATCHES, step_scheduler_with_optimizer=False)
    assert seen == [False] * 3 + [True] * 3
    assert (schedule.last_epoch, told) == (20, [])


def test_a_length_in_batches_is_followed_after_the_first_epoch():
    """Resolved for the batches of an epoch, a prepared schedule takes three steps where ten were planned."""
    seen, schedule, told = run(steps=BATCHES, epochs=3)
    assert seen == [False] * 4 + [True] * 5  # the first step of the second epoch shows how long the first was
    assert schedule.last_epoch == 9
    assert len(told) == 1
    assert "takes 3" in told[0]
