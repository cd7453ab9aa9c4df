"""Ejected pages do what the plan does, to the last bit, and say what they cannot do."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from ejected_pages import Worker, by_the_plan, difference
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from loop import Net
from resolved_files import may_be_written, resolved
from timed_files import METRICS, files, lengths

import layerlr_dsl as layerlr
from layerlr_dsl.api import Plan
from layerlr_dsl.eject import CannotEject, curves, ejected
from layerlr_dsl.plan.schedules import shapes

EXAMPLES = int(os.environ.get("EJECT_EXAMPLES", "6"))
HEAD = "optimizer adamw(weight_decay=0.05)\n** -> lr 1e-2\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def page_of(plan: Plan) -> str:
    return ejected(plan, "a test")


def seeded() -> Net:
    torch.manual_seed(0)
    return Net()


RULES = {
    "rates": HEAD + "layers.<i> -> lr *= 0.5 ^ (2 - i)\n**.bias -> weight_decay 0",
    "cosine": "schedule cosine(warmup=10%, floor=0.01)\n" + HEAD,
    "min_lr": "schedule cosine(warmup=3 steps, warmup_lr=1e-5, min_lr=1e-4)\n" + HEAD,
    "timm": "schedule cosine(warmup=1 epoch, warmup_prefix=false, interval=epoch)\n" + HEAD,
    "endpoint": "schedule polynomial(power=2, warmup=4 steps, endpoint=true)\n" + HEAD,
    "exact": HEAD + "** -> lr ramp((0%, 0), (30.5%, 1e-3), (100%, 0), shape=cosine, exact=true)",
    "step": "schedule step(every=1.5 epochs, gamma=0.3)\n" + HEAD,
    "multistep": "schedule multistep(at=(1 epoch, 3 epochs), gamma=0.3, floor=0.2)\n" + HEAD,
    "exponential": "schedule exponential(gamma=0.7)\n" + HEAD,
    "one_cycle": "schedule one_cycle\n" + HEAD,
    "triangular": "schedule slanted_triangular\n" + HEAD,
    "restarts": "schedule cosine_restarts(every=1 epoch, multiply=2)\n" + HEAD,
    "inverse": "schedule inverse_sqrt(warmup=5 steps)\n" + HEAD,
    "wsd": "schedule wsd(warmup=2 steps, decay=30%, decay_type=sqrt, floor=0.1)\n" + HEAD,
    "sequence": "schedule linear(start_factor=0.1) for 1 epoch then cosine(min_lr=1e-4)\n" + HEAD,
    "named": "let cooled = inverse_sqrt(timescale=5 steps) * min(1, (1 - progress) / 0.3)\n"
    "schedule cooled\n" + HEAD,
    "moving": HEAD + "** -> weight_decay ramp((0%, 0.04), (60%, 0.4), (100%, 0.1), shape=cosine)\n"
    "** -> betas (ramp((0%, .95), (30%, .85)), 0.999)\nhead -> lr *= choose(step < 5, 0.5, 1 + epoch ^ 2)",
    "windows": "schedule cosine\n"
    + HEAD
    + "head -> lr 1e-3 until epoch 2\nhead.bias -> lr *= 0.3 from step 3",
    "freeze": HEAD
    + "freeze stem, norm until epoch 2\nfreeze layers.0\nfreeze layers.1 from step 5 until step 9",
    "warmup": "schedule cosine\n"
    + HEAD
    + "unfreeze head then layers.<i> by i descending then stem, norm every 1 epoch "
    "warmup 2 steps",
    "statistics": HEAD
    + "freeze statistics of layers.0 until epoch 2\nfreeze layers.1 updating statistics until epoch 3",
    "dropout": HEAD + "freeze drop until epoch 2\nfreeze stem, norm until epoch 1",
    "stages": HEAD + "stage head for 1 epoch\nfreeze ** except head\nschedule one_cycle\n"
    "stage all for 2 epochs, fresh optimizer\n** -> lr 1e-3 * (1 - progress / 2)\nschedule cosine(warmup=2 steps)\n",
    "condition": "schedule cosine\n"
    + HEAD
    + "freeze layers.0 until val stops falling for 2 epochs warmup 3 steps\n"
    "head -> lr 1e-4 from val stops falling for 1 epochs",
    "modules on condition": HEAD + "freeze stem until val stops falling for 2 epochs\n"
    "freeze drop until val stops falling for 1 epochs\nunfreeze drop at epoch 3",
    "plateau": "schedule plateau(metric=val, patience=0, factor=0.5, warmup=2 steps)\n" + HEAD,
    "two optimizers": HEAD + "head -> optimizer sgd(lr=0.1, momentum=0.9)\nfreeze stem until epoch 1",
}


@pytest.mark.parametrize("name", RULES)
def test_a_page_trains_as_the_plan_does(name: str, worker: Worker) -> None:
    """Options, flags, modes and weights are equal bit for bit at every step, and behind the end."""
    model = seeded()
    plan = layerlr.parse(RULES[name]).resolve(model, epochs=4, steps_per_epoch=4)
    asked = (
        18,
        2,
        [{"val": value} for value in (3.0, 2.0, 2.5, 2.0)] if plan.events or name == "plateau" else [],
        4,
    )
    found = worker.run(page_of(plan), model, *asked)
    assert difference(found, by_the_plan(plan, model, *asked)) is None


@pytest.mark.parametrize("name", ["timm", "step", "exponential", "moving", "freeze", "stages"])
def test_a_page_knows_epochs_that_share_a_step(name: str, worker: Worker) -> None:
    """Four epochs of four steps and a third."""
    model = seeded()
    rules = RULES[name].replace("betas (ramp", "eps (1 + floor(epoch)) * 1e-8\n** -> betas (ramp")
    plan = layerlr.parse(rules).resolve(model, epochs=4, steps_per_epoch=13 / 3)
    asked = (19, 2, [], 4)
    assert difference(worker.run(page_of(plan), model, *asked), by_the_plan(plan, model, *asked)) is None


@pytest.mark.parametrize("name", RULES)
def test_a_page_is_formatted(name: str) -> None:
    """`ruff format` with its defaults has nothing to change."""
    plan = layerlr.parse(RULES[name]).resolve(seeded(), epochs=4, steps_per_epoch=4)
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "-"]
    run = subprocess.run(command, input=page_of(plan), text=True, capture_output=True)
    assert run.stdout == ""


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_generated_files_train_as_the_plan_does(worker: Worker, data: st.DataObject) -> None:
    """Whatever time brings: moving values, schedules, stages, freezes and metric conditions."""
    length = data.draw(lengths())
    file = data.draw(files(length))
    assume(may_be_written(file, length.clock))
    model = seeded()
    plan = resolved(file, length, model)
    assume(plan.clock.total is not None and plan.clock.total <= 40)
    try:
        page = page_of(plan)
    except CannotEject as fault:
        event(f"refused: {fault.reasons[0][:40]}")
        assume(False)
    values = data.draw(
        st.lists(st.fixed_dictionaries({m: st.sampled_from([1.0, 2.0, 3.0]) for m in METRICS}), min_size=1)
    )
    per_epoch = plan.clock.ticks_per_epoch if plan.clock.knows_epochs else 1
    asked = plan.clock.total + 2, 2, values if "report" in page else [], per_epoch
    assert difference(worker.run(page, model, *asked), by_the_plan(plan, model, *asked)) is None


def test_a_curve_that_no_page_can_write_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds a schedule need not teach `eject` to write it at once."""
    plan = layerlr.parse("schedule polynomial(power=2)\n" + HEAD).resolve(seeded(), 4, 2)
    monkeypatch.delitem(curves._FORMULAS, shapes.Polynomial)
    with pytest.raises(CannotEject, match="polynomial has no formula"):
        page_of(plan)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("optimizer lamb\n** -> lr 1e-3", "<string>:1: the optimizer lamb is not torch's own"),
        (
            "** -> lr 1e-3\nstage a until val stops falling for 2 epochs\nfreeze stem\nstage b",
            "<string>:2: stage a",
        ),
        (
            "schedule cosine(min_lr=1e-5)\n** -> lr 1e-3\nhead -> lr 1e-2 until val stops falling for 1 epochs",
            "<string>:1: min_lr",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_place(rules: str, said: str) -> None:
    """Nothing is dropped in silence."""
    plan = layerlr.parse(rules).resolve(seeded(), epochs=4, steps_per_epoch=4)
    with pytest.raises(CannotEject) as refused:
        page_of(plan)
    assert refused.value.reasons[0].startswith(said)


def test_all_that_cannot_be_said_is_told_at_once() -> None:
    """Each reason once, with its place, whatever part of the page it would have stood in."""
    rules = (
        "optimizer lamb\nschedule cosine(min_lr=1e-5)\n** -> lr 1e-3\n"
        "head -> lr 1e-2 until val stops falling for 1 epochs\n"
        "freeze drop until val stops falling for 1 epochs\n"  # which can be said
        "freeze statistics of norm until val stops falling for 1 epochs\n"
        "stage a until val stops falling for 2 epochs\nfreeze stem\n"
        "stage b until val stops falling for 2 epochs\nstage c"
    )
    plan = layerlr.parse(rules).resolve(seeded(), epochs=8, steps_per_epoch=4)
    with pytest.raises(CannotEject) as refused:
        page_of(plan)
    places = [int(reason.split(":")[1]) for reason in refused.value.reasons]
    assert sorted(places) == [1, 2, 6, 7, 9]


def test_a_page_goes_on_from_its_state(tmp_path: Path) -> None:
    """A schedule that is loaded has the rates, the frozen layers and the metrics of the one that was saved."""
    rules = RULES["condition"]
    plan = layerlr.parse(rules).resolve(seeded(), epochs=4, steps_per_epoch=4)
    page = sys.modules["page"] = ModuleType("page")
    exec(compile(page_of(plan), "page.py", "exec"), page.__dict__)

    def begun() -> tuple[Net, Any, Any]:
        model = seeded()
        optimizer = page.make_optimizer(model)
        return model, optimizer, page.Schedule(model, optimizer)

    model, optimizer, schedule = begun()
    for step in range(12):
        schedule.step()
        if step % 4 == 3:
            schedule.report({"val": 1.0})
    other, resumed, again = begun()
    again.load_state_dict(copy.deepcopy(schedule.state_dict()))
    assert [group["lr"] for group in resumed.param_groups] == [
        group["lr"] for group in optimizer.param_groups
    ]
    flags = [p.requires_grad for p in model.parameters()]
    assert [p.requires_grad for p in other.parameters()] == flags
    assert all(flags)
    assert schedule.state_dict()["metrics"]["came"] == [12, 8]
