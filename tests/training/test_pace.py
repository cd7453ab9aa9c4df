"""Whether a loop steps the schedule as its clock counts: what is warned of, and what is right and is not."""

import warnings

import pytest
import torch
from nets import Stack, resolve, seeded

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.training.errors import ScheduleWarning

THAW = "schedule cosine\n** -> lr 1e-2\nfreeze layers.0 until epoch 2"


def made(rules=THAW, epochs=4, steps=6, model=None, **settings):
    model = model or seeded(Stack)
    plan = resolve(rules, model, epochs, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2, **settings)
    return model, optimizer, plan.schedule(model, optimizer)


def backward(model):
    model(torch.randn(3, 4)).square().sum().backward()


def train(model, optimizer, schedule, steps, each=1):
    for _ in range(steps):
        for _ in range(each):
            optimizer.zero_grad()
            backward(model)
            optimizer.step()
        schedule.step()


@pytest.fixture
def told():
    """The schedule's warnings so far."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


# ---------------------------------------------------------------- what no right loop does


@pytest.mark.parametrize("steps", [4, 6, 50])
def test_a_schedule_of_steps_that_is_stepped_once_an_epoch_is_told_of_after_one(steps, told):
    """`interval: epoch` is the default of frameworks; nothing would thaw for 50 epochs."""
    model, optimizer, schedule = made(steps=steps)
    train(model, optimizer, schedule, 1, each=steps)
    assert len(told()) == 1
    assert f"once for {steps} optimizer steps" in told()[0]
    assert "interval" in told()[0]
    train(model, optimizer, schedule, 2, each=steps)
    assert len(told()) == 1


def test_a_step_that_is_told_the_epoch_where_steps_are_counted_is_told_of(told):
    """`lr_scheduler_step` as Lightning's documentation has it for timm: `scheduler.step(epoch=self.current_epoch)`."""
    model, optimizer, schedule = made()
    for _ in range(5):
        backward(model)
        optimizer.step()
        schedule.step(epoch=0)
    assert len(told()) == 1
    assert "the number is of an optimizer step here" in told()[0]


def test_a_step_that_names_each_optimizer_step_is_right(told):
    """timm's `step_update(num_updates)`, which says the same number throughout an accumulation."""
    model, optimizer, schedule = made()
    for batch in range(24):
        backward(model)
        if batch % 4 == 3:
            optimizer.step()
        schedule.step((batch + 1) // 4)
    assert not told()
    assert schedule.last_epoch == 6


def test_a_fraction_of_an_epoch_is_refused_where_steps_are_counted():
    """`scheduler.step(epoch + i / iters)`, as for CosineAnnealingWarmRestarts: cut to whole ticks, it would stand still."""
    model, optimizer, schedule = made()
    train(model, optimizer, schedule, 1)
    with pytest.raises(ValueError, match=r"step\(0\.5\): the number is of an optimizer step"):
        schedule.step(0.5)


def test_an_optimizer_that_is_trained_without_its_schedule_is_told_of(told):
    """`optimizers=(optimizer, None)`: in the first epoch, before anything could have thawed."""
    model, optimizer, schedule = made()
    for _ in range(7):
        backward(model)
        optimizer.step()
    assert len(told()) == 1
    assert "not called once" in told()[0]
    assert schedule.last_epoch == 0


def test_a_schedule_that_is_stepped_no_more_is_told_of(told):
    """A callback puts its own in the place of ours, and what thaws later never would."""
    model, optimizer, schedule = made()
    train(model, optimizer, schedule, 6)
    for _ in range(16):
        backward(model)
        optimizer.step()
    assert len(told()) == 1
    assert "last called" in told()[0]


def test_a_short_run_is_told_within_a_few_steps_of_the_last(told):
    """SWALR takes over in the sixth step of 24: the twice eight steps that are looked at now and then are enough."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze layers.0 until epoch 2", epochs=3, steps=4)
    average = torch.optim.swa_utils.SWALR(optimizer, swa_lr=5e-3)
    train(model, optimizer, schedule, 6)
    for _ in range(10):
        backward(model)
        optimizer.step()
        average.step()
    assert len(told()) == 1
    assert "8 steps since schedule.step() was last called" in told()[0]


def test_a_schedule_that_may_rest_is_not_told_of(told):
    """Where nothing is left to thaw, another scheduler may well take the rates over."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze layers.0 until epoch 1")
    train(model, optimizer, schedule, 6)
    for _ in range(40):
        backward(model)
        optimizer.step()
    assert told() == []


@pytest.mark.parametrize(
    "rules", [THAW, "** -> lr 1e-2\nfreeze layers.0 until loss stops falling for 1 epochs"]
)
def test_a_schedule_that_nobody_keeps_is_told_of(rules, told):
    """plan.schedule(model, optimizer) as a statement of its own freezes at the start, and never again."""
    model, optimizer, schedule = made(rules)
    del schedule
    backward(model)
    optimizer.step()
    assert len(told()) == 1
    assert "is gone" in told()[0]


def test_a_schedule_with_nothing_to_do_need_not_be_kept(told):
    """What is frozen for ever is frozen when the schedule is made."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze layers.0")
    del schedule
    for _ in range(40):
        backward(model)
        optimizer.step()
    assert told() == []


@pytest.mark.parametrize(
    ("rules", "warned"),
    [(THAW, True), ("** -> lr 1e-2\nfreeze layers.0", True), ("** -> lr 1e-2", False)],
)
def test_an_optimizer_of_the_rules_without_any_schedule_is_told_of(rules, warned, told):
    """Nothing is frozen by groups alone; where all is constant nothing is missed."""
    model = seeded(Stack)
    optimizer = resolve(rules, model).optimizer(model)
    for _ in range(4):
        backward(model)
        optimizer.step()
    assert len(told()) == warned
    assert all("without plan.schedule" in text for text in told())


def test_an_optimizer_of_the_rules_with_its_schedule_is_right(told):
    """The schedule takes over from what would have told of it."""
    model = seeded(Stack)
    plan = resolve(THAW, model, 4, 6)
    optimizer = plan.optimizer(model)
    train(model, optimizer, plan.schedule(model, optimizer), 24)
    assert told() == []


def test_a_run_that_outlasts_its_plan_is_told_of_at_its_first_step_too_many(told):
    """With a wrong steps_per_epoch the rate would be 0 for the rest, and nobody would say."""
    model, optimizer, schedule = made(steps=3)
    train(model, optimizer, schedule, 12)
    assert told() == []
    train(model, optimizer, schedule, 1)
    assert len(told()) == 1
    assert "goes on after the 12 steps" in told()[0]
    assert "relength" in told()[0]


def test_a_schedule_of_epochs_that_is_stepped_every_step_is_told_of(told):
    """Each call counts as an epoch where steps_per_epoch was not given, and four are soon over."""
    model, optimizer, schedule = made(steps=None)
    train(model, optimizer, schedule, 5)
    assert len(told()) == 1
    assert "each call counts as an epoch" in told()[0]


@pytest.mark.parametrize("where", ["between", "ahead"])
def test_stepping_before_the_optimizer_is_told_of(where, told):
    """The order of torch 1.0: the first rate is skipped."""
    model, optimizer, schedule = made()
    for _ in range(3):
        if where == "ahead":
            schedule.step()
        backward(model)
        if where == "between":
            schedule.step()
        optimizer.step()
    assert len(told()) == 1
    assert "before optimizer.step()" in told()[0]


@pytest.mark.parametrize(("real", "warned"), [(4, True), (9, True), (6, False), (12, False)])
def test_an_epoch_that_ends_elsewhere_is_told_of_where_the_loop_says_so(real, warned, told):
    """`end_of_epoch` gives the true length away; evaluating every second epoch is no other length."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze layers.0 until loss stops falling for 9 epochs")
    for _ in range(2):
        train(model, optimizer, schedule, real)
        schedule.report(loss=1.0, end_of_epoch=True)
    texts = [text for text in told() if "relength" in text]
    assert len(texts) == warned
    assert all(f"steps_per_epoch={real}" in text for text in texts)


def test_the_warning_points_at_the_loop(told):
    """And not at a line of torch or of this package."""
    model, optimizer, schedule = made(steps=3)
    with pytest.warns(ScheduleWarning) as caught:
        train(model, optimizer, schedule, 2, each=3)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("together", [True, False], ids=["as one", "part by part"])
def test_of_several_optimizers_the_files_own_is_held_against_the_clock(together, told):
    """The other parts may be stepped when they like."""
    model = seeded(Stack)
    plan = resolve("layers.0 -> optimizer sgd(lr=0.1)\n" + THAW, model, 4, 6)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    own, other = optimizer.parts["default"], next(p for n, p in optimizer.parts.items() if n != "default")
    for _ in range(6):
        backward(model)
        if together:
            optimizer.step()
        else:
            own.step()
            for _ in range(3):
                other.step()
    assert told() == []
    schedule.step()
    assert len(told()) == 1
    assert "once for 6 optimizer steps" in told()[0]


# ---------------------------------------------------------------- what is right


@pytest.mark.parametrize("each", [2, 3, 5])
def test_several_optimizer_steps_for_one_of_the_schedule_are_right(each, told):
    """The critic of a GAN is stepped five times in a turn; its clock counts turns."""
    model, optimizer, schedule = made(steps=7)
    train(model, optimizer, schedule, 28, each)
    assert told() == []
    assert not schedule.frozen


def test_bursts_of_optimizer_steps_are_right(told):
    """WGAN trains its critic a hundred times at the start, and now and then again."""
    model, optimizer, schedule = made(
        steps=600, epochs=1, rules="** -> lr 1e-2\nfreeze layers.0 until step 500"
    )
    for turn in range(40):
        train(model, optimizer, schedule, 1, each=100 if turn < 5 or turn % 20 == 0 else 5)
    assert told() == []


@pytest.mark.parametrize("every", [2, 4])
def test_several_steps_of_the_schedule_for_one_of_the_optimizer_are_right(every, told):
    """A loop may count batches where gradients are accumulated, if its steps_per_epoch are batches too."""
    model, optimizer, schedule = made(steps=8)
    for batch in range(32):
        backward(model)
        if batch % every == every - 1:
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
    assert told() == []


@pytest.mark.parametrize("skipped", [1, 2, 5])
def test_steps_that_a_scaler_skips_are_right(skipped, told):
    """It finds its scale in the first steps, in which the optimizer is not stepped at all."""
    model, optimizer, schedule = made()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=1)
    for seed in range(24):
        optimizer.zero_grad()
        loss = model(torch.randn(3, 4)).square().sum()
        scaler.scale(loss * (float("inf") if seed < skipped else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    assert told() == []


def test_a_tool_that_steps_the_optimizer_for_its_state_is_right(told):
    """torch.distributed.checkpoint takes a real step to see which state there is."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    model = seeded(Stack)
    plan = resolve(THAW, model, 4, 6)
    optimizer = plan.optimizer(model)
    get_optimizer_state_dict(model, optimizer)
    train(model, optimizer, plan.schedule(model, optimizer), 24)
    assert told() == []


def test_closures_are_right(told):
    """Forward and backward run inside of the step."""
    model = seeded(Stack)
    plan = resolve("freeze layers.0 until epoch 1", model, 4, 6)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    schedule = plan.schedule(model, optimizer)

    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(3, 4)).square().sum()
        loss.backward()
        return loss

    for _ in range(24):
        optimizer.step(closure)
        schedule.step()
    assert told() == []


@pytest.mark.parametrize("saved", [1, 7, 12])
def test_a_resumed_run_is_right(saved, told):
    """Its first steps are no first steps."""
    model, optimizer, schedule = made()
    train(model, optimizer, schedule, saved)
    states = optimizer.state_dict(), schedule.state_dict()
    model, optimizer, schedule = made(model=model)
    optimizer.load_state_dict(states[0])
    schedule.load_state_dict(states[1])
    train(model, optimizer, schedule, 24 - saved)
    assert told() == []


def test_epochs_of_any_number_of_steps_are_right_where_epochs_are_counted(told):
    """A clock of epochs knows nothing of steps, and asks for nothing."""
    model, optimizer, schedule = made(steps=None)
    for each in (40, 41, 300, 2):
        train(model, optimizer, schedule, 1, each)
    assert told() == []


def test_reports_in_mid_epoch_wait_where_epochs_are_counted(told):
    """Before `step()` an epoch may have further reports; right after it nothing is to come."""
    rules = "** -> lr 1e-2\nfreeze layers.0 until loss stops falling for 1 epochs"
    model, optimizer, schedule = made(rules, steps=None)
    seen = []
    for values in ((3.0, 1.0), (2.0, 0.5), (0.4, 0.6)):
        for value in values:
            backward(model)
            optimizer.step()
            schedule.report(loss=value)
        schedule.step()
        seen.append(bool(schedule.frozen))
    assert seen == [True, True, False]
    model, optimizer, schedule = made(rules, steps=None)
    for value in (1.0, 2.0):
        backward(model)
        optimizer.step()
        schedule.step()
        schedule.report(loss=value)
    assert not schedule.frozen
    assert told() == []


# ---------------------------------------------------------------- another length


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("done", [0, 3])
def test_relength_is_as_if_the_rules_had_been_resolved_so(done, told):
    """Rates, thaws and the end come where a plan of that length has them; what was done stays counted."""
    model, optimizer, schedule = made(steps=6)
    right, expected, oracle = made(steps=9)
    for part in ((model, optimizer, schedule), (right, expected, oracle)):
        train(*part, done)
    schedule.relength(steps_per_epoch=9)
    assert schedule.last_epoch == done
    for _ in range(36 - done):
        assert rates(optimizer) == rates(expected)
        assert schedule.frozen == oracle.frozen
        train(model, optimizer, schedule, 1)
        train(right, expected, oracle, 1)
    assert told() == []
    assert rates(optimizer) == pytest.approx([0.0] * len(rates(optimizer)))


def test_relength_takes_epochs_or_steps():
    """The length of the run may be what was wrong."""
    _, optimizer, schedule = made()
    schedule.relength(epochs=8)
    assert schedule.plan.clock.total == 48
    schedule.relength(steps=30)
    assert schedule.plan.clock.total == 30
    with pytest.raises(ValueError, match="give one of them"):
        schedule.relength(epochs=2, steps=3)
    with pytest.raises(ValueError, match="must be a positive number"):
        schedule.relength(steps_per_epoch=0)
    assert len(rates(optimizer)) == len(schedule.get_last_lr())


def test_relength_keeps_an_epoch_that_is_named():
    """Where epochs have other steps from now on, the run is where it was in epochs."""
    model, optimizer, schedule = made(steps=6)
    train(model, optimizer, schedule, 12)
    assert not schedule.frozen
    schedule.relength(steps_per_epoch=3, epoch=2)
    assert (schedule.last_epoch, schedule.plan.clock.total) == (6, 12)
    assert not schedule.frozen


def test_relength_keeps_conditions_and_plateaus():
    """What was reported, and what came true, is no matter of length."""
    rules = 'schedule plateau(metric="loss", factor=0.5, patience=0)\n** -> lr 1e-2\nfreeze layers.0 until loss stops falling for 1 epochs'
    model, optimizer, schedule = made(rules)
    for _ in range(2):
        train(model, optimizer, schedule, 6)
        schedule.report(loss=1.0)
    before = rates(optimizer)
    schedule.relength(steps_per_epoch=12)
    assert not schedule.frozen
    assert rates(optimizer) == before


def test_relength_leaves_rates_alone_that_no_schedule_writes():
    """torch's own scheduler drives them; another length is no reason to take them back."""
    _, optimizer, schedule = made("** -> lr 1e-2\nfreeze layers.0 until epoch 1")
    for group in optimizer.param_groups:
        group["lr"] = 0.123
    schedule.relength(steps_per_epoch=3)
    assert rates(optimizer) == [0.123] * len(rates(optimizer))


def test_relength_gives_a_clock_of_epochs_its_steps():
    """What was an epoch becomes so many steps."""
    model, _, schedule = made(steps=None)
    schedule.relength(steps_per_epoch=3)
    assert schedule.plan.clock.total == 12
    for _ in range(6):
        assert schedule.frozen
        schedule.step()
    assert not schedule.frozen
    assert model.layers[0].weight.requires_grad


def test_a_length_that_the_rules_cannot_have_is_refused():
    """As resolving them with it would be, and the schedule stays as it was."""
    rules = "stage a for 2 epochs\n** -> lr 1e-2\nstage b for 2 epochs\n** -> lr 1e-3"
    _, _, schedule = made(rules)
    with pytest.raises(RuleError):
        schedule.relength(epochs=1)
    assert schedule.plan.clock.total == 24
