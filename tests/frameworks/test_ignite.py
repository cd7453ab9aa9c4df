"""ignite's handlers around a schedule: they count by themselves, and ask for rates."""

import warnings

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning

engine = pytest.importorskip("ignite.engine")
handlers = pytest.importorskip("ignite.handlers")

Events = engine.Events
BATCHES = [(torch.randn(3, 4), torch.randn(3, 2)) for _ in range(6)]


def made(rules="schedule linear\n** -> lr 0.1\n1 -> lr 1\nfreeze 0 until epoch 1", epochs=2, steps=6):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    plan = layerlr.parse(rules).resolve(model, epochs=epochs, steps_per_epoch=steps)
    optimizer = plan.optimizer(model)
    return model, optimizer, plan.schedule(model, optimizer)


def run(attach, epochs=2, **more):
    """Train; return the rates and whether layer 0 trains at each iteration, and the schedule's warnings."""
    model, optimizer, schedule = made(**more)
    trainer = engine.create_supervised_trainer(model, optimizer, torch.nn.MSELoss())
    seen = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(trainer, schedule)
        trainer.add_event_handler(
            Events.ITERATION_STARTED,
            lambda _: seen.append(([g["lr"] for g in optimizer.param_groups], model[0].weight.requires_grad)),
        )
        trainer.run(BATCHES, max_epochs=epochs)
    return seen, [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


RIGHT = [(pytest.approx([0.1 * (1 - k / 12), 1 - k / 12]), k >= 6) for k in range(12)]

WAYS = {
    "its handler": lambda trainer, schedule: trainer.add_event_handler(
        Events.ITERATION_STARTED, handlers.LRScheduler(schedule)
    ),
    "its handler, as of old": lambda trainer, schedule: trainer.add_event_handler(
        Events.ITERATION_COMPLETED, handlers.LRScheduler(schedule, use_legacy=True)
    ),
    "a handler of one's own": lambda trainer, schedule: trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: schedule.step()
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_moves_rates_and_thaws(way):
    """ignite's never calls `step()`: it moves `last_epoch` and asks for the rates."""
    seen, told = run(WAYS[way])
    assert seen == RIGHT
    assert told == []


@pytest.mark.parametrize("steps", [3, 9, 60])
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_length_is_named_and_put_right_within_a_few_steps(way, steps):
    """The engine knows how many iterations an epoch has."""
    seen, told = run(
        WAYS[way], steps=steps, rules="schedule linear\n** -> lr 0.1\n1 -> lr 1\nfreeze 0 from epoch 1"
    )
    assert seen[4:] == [(rates, not trains) for rates, trains in RIGHT[4:]]
    assert len(told) == 1
    assert f"with {steps} optimizer steps in an epoch" in told[0]
    assert "takes 6" in told[0]


def test_a_wrong_length_behind_a_warmup_is_named_too():
    """Its steps stay counted from the end of the warm-up."""

    def attach(trainer, schedule):
        warmup = handlers.create_lr_scheduler_with_warmup(schedule, 0.0, 5)
        trainer.add_event_handler(Events.ITERATION_STARTED, warmup)

    seen, told = run(attach, epochs=3, steps=4)
    assert "takes 6" in told[0]
    assert [trains for _, trains in seen] == [False] * 10 + [True] * 8


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_ends_before_its_rules_is_named(way):
    """The engine knows how many epochs it runs for."""
    _, told = run(WAYS[way], epochs=1)
    assert len(told) == 1
    assert "takes 6 optimizer steps in all, and the rules were resolved for 12" in told[0]


def test_a_warmup_before_it_delays_it():
    """create_lr_scheduler_with_warmup puts its own before ours, which goes on from its second step, as torch's do."""

    def attach(trainer, schedule):
        warmup = handlers.create_lr_scheduler_with_warmup(schedule, 0.0, 4)
        trainer.add_event_handler(Events.ITERATION_STARTED, warmup)

    seen, told = run(attach, epochs=3)
    assert [trains for _, trains in seen] == [False] * 9 + [True] * 9
    assert seen[4:15] == RIGHT[1:]
    assert all("goes on after the 12 steps" in text for text in told)


def test_a_handler_of_epochs_is_told_of():
    """Attached to the start of an epoch, it steps once an epoch what counts steps."""
    _, told = run(
        lambda trainer, schedule: trainer.add_event_handler(
            Events.EPOCH_STARTED, handlers.LRScheduler(schedule)
        )
    )
    assert len(told) == 1
    assert "once for 6 optimizer steps" in told[0]


@pytest.mark.parametrize(("afresh", "goes_by"), [(False, 1.5), (True, 1)])
def test_what_an_epoch_leaves_over_shows_in_the_next(afresh, goes_by):
    """Six batches by four: carried over to the next epoch's first step, or dropped where each counts afresh."""
    _, optimizer, schedule = made(epochs=6, steps=2)

    def update(running, batch):
        number = running.state.iteration
        if ((number - 1) % 6 + 1 if afresh else number) % 4 == 0:
            optimizer.step()
            schedule.step()

    with pytest.warns(ScheduleWarning, match="resolved with 2 "):
        engine.Engine(update).run(BATCHES, max_epochs=6)
    assert schedule.plan.clock.steps_per_epoch == goes_by


def test_the_steps_of_an_epoch_are_counted():
    """Resolved for 6 steps where the engine accumulates two batches to one: from the third step on it goes by 3."""
    model, optimizer, schedule = made()
    seen = []

    def update(running, batch):
        torch.nn.functional.mse_loss(model(batch[0]), batch[1]).backward()
        if running.state.iteration % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            seen.append((running.state.epoch - 1, model[0].weight.requires_grad))

    with pytest.warns(ScheduleWarning, match="takes 3"):
        engine.Engine(update).run(BATCHES, max_epochs=2)
    assert seen == [(0, False)] * 2 + [(0, True)] + [(1, True)] * 3
