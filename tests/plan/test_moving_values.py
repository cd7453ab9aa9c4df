"""Values that move, stages and schedules in sequence: what a plan says of them, and what an optimizer then has."""

from __future__ import annotations

from math import cos, pi

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.body(x))
        return out


STAGED = """
** -> weight_decay 0.05
stage head for 1 epoch
freeze ** except fc
fc -> lr 2e-3
schedule one_cycle
stage all for 20 epochs until val_loss stops falling for 3 epochs, fresh optimizer
** -> lr 1e-4
fc -> lr 1e-3
schedule cosine(warmup=1 epoch)
stage polish
** -> lr 1e-5
after stages
** where ndim <= 1 -> weight_decay 0
"""


def test_a_ramp_goes_along_its_shape() -> None:
    """DINO's weight decay: half a cosine from 0.04 to 0.4 over the run."""
    plan = layerlr.parse("** -> lr 1e-3, weight_decay ramp((0%, 0.04), (100%, 0.4), shape=cosine)").resolve(
        Net(), epochs=10, steps_per_epoch=10
    )
    for step in (0, 1, 50, 99, 100, 150):
        share = (1 - cos(pi * min(step, 100) / 100)) / 2
        assert plan.at(step=step)["fc.weight"]["weight_decay"] == pytest.approx(0.04 + 0.36 * share)


def test_a_point_of_a_ramp_lies_on_a_step_or_exactly_where_it_is_written() -> None:
    """30 % of 125 steps are 38 of them, and fastai's cycle turns at 37.5: `exact=true`."""
    ramps = ("ramp((0%, 0), (30%, 1), (100%, 0))", "ramp((0%, 0), (30%, 1), (100%, 0), exact=true)")
    plan = layerlr.parse(f"body -> lr {ramps[0]}\nfc -> lr {ramps[1]}").resolve(Net(), steps=125)
    found = [plan.at(step=step) for step in (37, 38, 125)]
    assert [now["body.0.weight"]["lr"] for now in found] == [37 / 38, 1, 0]
    assert [now["fc.weight"]["lr"] for now in found] == pytest.approx([37 / 37.5, 87 / 87.5, 0], rel=1e-12)


def test_what_is_constant_rises_from_a_rate_and_once_an_epoch() -> None:
    """Megatron's constant style begins at the same rate for every group; others step their warm-up by epochs."""
    text = "schedule linear(end_factor=1, warmup=20 steps, warmup_lr=1e-6, interval=epoch)\nbody -> lr 3e-4\nfc -> lr 1e-3"
    plan = layerlr.parse(text).resolve(Net(), epochs=10, steps_per_epoch=5)
    for step, share in ((0, 0), (4, 0), (5, 0.25), (14, 0.5), (15, 0.75), (20, 1), (49, 1), (60, 1)):
        now = plan.at(step=step)
        assert now["body.0.weight"]["lr"] == pytest.approx(1e-6 + (3e-4 - 1e-6) * share, rel=1e-12)
        assert now["fc.weight"]["lr"] == pytest.approx(1e-6 + (1e-3 - 1e-6) * share, rel=1e-12)


def test_an_endpoint_lies_on_a_step_also_in_an_exact_ramp() -> None:
    """It is the last step before what is written."""
    text = "** -> lr ramp((0.5 steps, 0), (39.6 steps, 1), endpoint=true, exact=true)"
    plan = layerlr.parse(text).resolve(Net(), steps=100)
    found = [plan.at(step=step)["fc.weight"]["lr"] for step in (0, 1, 38, 39)]
    assert found == pytest.approx([0, 0.5 / 38.5, 37.5 / 38.5, 1], rel=1e-12)


def test_a_keyword_of_a_ramp_is_true_or_false() -> None:
    """`exact=yes` is no value of it."""
    with pytest.raises(layerlr.RuleError, match="`exact` is true or false"):
        layerlr.parse("** -> lr ramp((0%, 0), (9%, 1), exact=1)").resolve(Net(), steps=100)


def test_parameters_that_move_alike_share_a_group() -> None:
    """Folded expressions are compared, not where they were written."""
    plan = layerlr.parse("let k = 2\nbody -> lr 1e-3 * k * progress\nfc -> lr 2e-3 * progress").resolve(
        Net(), steps=10
    )
    assert len(plan.groups) == 1


def test_what_moves_has_a_place_where_it_goes_wrong() -> None:
    """The finding names the expression, the time and the parameter."""
    with pytest.raises(layerlr.RuleError, match="must be >= 0") as caught:
        layerlr.parse("** -> lr 1e-3, weight_decay 0.5 - progress").resolve(Net(), steps=100)
    (found,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert found.code == "LR107"
    assert found.span is not None
    assert found.span.text == "0.5 - progress"
    assert "step 51" in found.message


def test_nesterov_momentum_may_move() -> None:
    """It is above 0 at every time, which is all that Nesterov's asks for."""
    text = "optimizer sgd(momentum=0.9, nesterov=true)\n** -> lr 1, momentum ramp((0%, 0.8), (50%, 0.9)) until 50%"
    plan = layerlr.parse(text).resolve(Net(), steps=10)
    assert plan.at(step=5)["fc.weight"]["momentum"] == 0.9


@pytest.mark.parametrize("fires", [None, 9])
def test_an_optimizer_has_what_the_plan_says_through_all_stages(fires: int | None) -> None:
    """Rates, options and frozen sets, also where a metric ends a stage early."""
    model = Net()
    plan = layerlr.parse(STAGED).resolve(model, epochs=30, steps_per_epoch=4)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    parameters = dict(model.named_parameters())
    events: dict[str, float] | None = None
    for epoch in range(30):
        for _ in range(4):
            now = plan.at(step=schedule.last_epoch, events=events)
            for group in optimizer.param_groups:
                for name in group["param_names"]:
                    assert group["lr"] == pytest.approx(now[name]["lr"], rel=1e-12, abs=1e-18)
                    assert group["weight_decay"] == now[name]["weight_decay"]
                    assert parameters[name].requires_grad is not now[name]["frozen"]
            model(torch.randn(4, 3)).sum().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        before = schedule.stage
        falls = fires is None or epoch + 1 <= fires - 3
        schedule.report({"val_loss": -float(epoch) if falls else 0.0}, end_of_epoch=True)
        if before == "all" and schedule.stage == "polish":
            events = {"val_loss": epoch + 1}
    assert schedule.stage == "polish"
    assert (events is None) is (fires is None)


def test_a_fresh_optimizer_begins_without_state() -> None:
    """Moments of the head's stage would else go on in the next."""
    model = Net()
    plan = layerlr.parse(STAGED).resolve(model, epochs=30, steps_per_epoch=2)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    seen = []
    for _ in range(3):
        model(torch.randn(4, 3)).sum().backward()
        optimizer.step()
        seen.append(int(optimizer.state[model.fc.weight]["step"]))
        schedule.step()
    assert seen == [1, 2, 1]


def test_a_state_of_other_stages_is_refused() -> None:
    """Counts of a stage mean nothing in another list of them."""
    model = Net()
    staged = layerlr.parse(STAGED).resolve(model, epochs=30, steps_per_epoch=2)
    saved = staged.schedule(model, staged.optimizer(model)).state_dict()
    plain = layerlr.parse("** -> lr 1").resolve(model, epochs=3, steps_per_epoch=2)
    with pytest.raises(ValueError, match="head, all, polish"):
        plain.schedule(model, plain.optimizer(model)).load_state_dict(saved)


def test_statistics_are_held_while_a_layer_trains() -> None:
    """`freeze statistics of` keeps a batch norm in eval; an unfreeze says nothing of it."""
    model = Net()
    text = "** -> lr 1e-3\nfreeze body\nfreeze statistics of body\nunfreeze body at epoch 1"
    plan = layerlr.parse(text).resolve(model, epochs=3, steps_per_epoch=1)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    before = model.body[1].running_mean.clone()
    weight = model.body[0].weight.detach().clone()
    for _ in range(3):
        model.train()
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert torch.equal(before, model.body[1].running_mean)
    assert not torch.equal(weight, model.body[0].weight)


def test_turns_go_by_a_capture() -> None:
    """`by i descending` thaws the last layer first, each in its turn."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    plan = layerlr.parse("** -> lr 1\nunfreeze <i> by i descending every 1 epoch").resolve(model, epochs=4)
    trains = [[n for n in range(3) if not plan.at(epoch=e)[f"{n}.weight"]["frozen"]] for e in range(3)]
    assert trains == [[2], [1, 2], [0, 1, 2]]


def test_several_modules_share_a_plan() -> None:
    """Names begin with the key of each."""
    parts = {"unet": nn.Linear(2, 2), "text": nn.Linear(2, 2)}
    plan = layerlr.parse("unet -> lr 1; text -> lr 2").resolve(parts)
    groups = plan.param_groups(parts)
    assert [(group["param_names"], group["lr"]) for group in groups] == [
        (["unet.weight", "unet.bias"], 1),
        (["text.weight", "text.bias"], 2),
    ]
    with pytest.raises(ValueError, match="one segment"):
        layerlr.parse("** -> lr 1").resolve({"a.b": nn.Linear(1, 1)})


def test_an_end_is_reached_where_the_schedule_is_looked_up_last() -> None:
    """Once an epoch with `T_max = epochs - 1`: the last epoch has what the curve ends with."""
    text = "schedule cosine(interval=epoch, endpoint=true)\n** -> lr 1"
    plan = layerlr.parse(text).resolve(Net(), epochs=10, steps_per_epoch=7)
    found = [plan.at(step=step)["fc.weight"]["lr"] for step in range(70)]
    assert found == pytest.approx([0.5 * (1 + cos(pi * (step // 7) / 9)) for step in range(70)], abs=1e-15)
    text = "schedule linear(start_factor=0, end_factor=1, interval=epoch, endpoint=true) for 3 epochs then constant\n** -> lr 1"
    plan = layerlr.parse(text).resolve(Net(), epochs=10, steps_per_epoch=7)
    assert [plan.at(epoch=epoch)["fc.weight"]["lr"] for epoch in range(4)] == [0, 0.5, 1, 1]


def test_a_schedule_without_arguments_is_called_too() -> None:
    """detectron2's product of a fall over the whole run and a warm-up beside it."""
    text = "let both = cosine() * min(1, step / 10)\nschedule both\n** -> lr 1"
    plan = layerlr.parse(text).resolve(Net(), steps=100)
    for step in (0, 5, 10, 50):
        wanted = 0.5 * (1 + cos(pi * step / 100)) * min(1, step / 10)
        assert plan.at(step=step)["fc.weight"]["lr"] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("let both = 2 * cosine\nschedule both\n** -> lr 1", "LR101", "`cosine()`"),
        ("** -> lr ramp(shape=cosine)", "LR109", "ramp((0%, 0), (10%, 1))"),
    ],
)
def test_what_is_missing_behind_a_function_is_the_only_finding(text: str, code: str, help: str) -> None:
    """A schedule's brackets, a ramp's points; nothing is said of what uses a `let` with a fault of its own."""
    with pytest.raises(layerlr.RuleError) as caught:
        layerlr.parse(text).resolve(Net(), steps=100)
    (found,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert (found.code, help in str(found.help)) == (code, True)


@pytest.mark.filterwarnings("ignore::UserWarning")  # nothing is reported here
def test_a_warm_up_that_is_held_for_an_epoch_is_bounded_by_no_least_rate() -> None:
    """The plan and the optimizer agree in the epoch in which the warm-up ends: its first step counts for all of it."""
    schedule = "plateau(metric=val_loss, min_lr=0.01, warmup=0.5 epochs, interval=epoch)"
    plan = layerlr.parse(f"steps 4\nsteps_per_epoch 2\n** -> lr 1e-4\nschedule {schedule}").resolve(Net())
    model = Net()
    optimizer = plan.optimizer(model)
    live = plan.schedule(model, optimizer)
    found = []
    for _ in range(4):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        live.step()
    assert found == [plan.at(step=k)["fc.weight"]["lr"] for k in range(4)] == [0.0, 0.0, 1e-4, 1e-4]
