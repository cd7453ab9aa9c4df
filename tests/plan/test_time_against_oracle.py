"""Values that move, schedules, stages and clocks against a slow second implementation, over generated files.

`make oracle` tries 10,000 files by each test, which takes hours; FILES=500 as many.
"""

from __future__ import annotations

import copy
import os
import random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from resolved_files import may_be_written, resolved
from time_oracle import File, Parameter, Run, by_reports, never, supposed
from timed_files import METRICS, Length, files, lengths, under
from torch import nn

from layerlr_dsl.language.diagnostics import has_errors

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "0"))
pytestmark = [pytest.mark.timeout(0)] if EXAMPLES else []
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


class Net(nn.Module):
    """A stem, a norm, three layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
        self.head = nn.Linear(2, 1)


NAMES = tuple(name for name, _ in Net().named_parameters())
flags = st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(NAMES), max_size=3))


def told(found: dict[str, Any], wanted: dict[str, Any], where: object) -> None:
    """One parameter at one tick."""
    for option, value in wanted.items():
        if option != "held":
            assert found[option] == pytest.approx(value, rel=1e-9, abs=1e-300), (
                option,
                where,
                found[option],
                value,
            )


def net(frozen: frozenset[str]) -> Net:
    model = Net()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return model


def check_plan(file: File, length: Length, frozen: frozenset[str], seed: int = 0) -> None:
    """The plan of a file against the oracle, at every tick and past the end of the run."""
    plan = resolved(file, length, net(frozen))
    run = Run(file, length.clock, never)
    groups = dict(zip(plan.inventory.names, plan.group_of, strict=True))
    for tick in range(length.clock.total + 3):
        found = plan.at(step=tick) if length.clock.steps else plan.at(epoch=tick)
        states = plan.state(tick)
        for name in NAMES:
            wanted = Parameter(run, NAMES, name, name not in frozen).at(tick)
            told(dict(found[name]), wanted, (name, tick))
            state = states[groups[name]]
            if not wanted["frozen"]:
                assert state.held == wanted["held"], (name, tick)


def check_events(file: File, length: Length, frozen: frozenset[str], seed: int = 0) -> None:
    """The same where a metric is supposed to stop at some epoch (a step where no epochs are known)."""
    plan = resolved(file, length, net(frozen))
    chance = random.Random(seed)
    metrics = sorted({event.metric for event in plan.events})
    if not metrics:
        return
    metric, total, epoch = chance.choice(metrics), length.clock.total, length.clock.epoch or 1
    when = chance.randrange(total // epoch + 1)
    run = Run(file, length.clock, supposed(metric, when * epoch))
    for tick in range(total + 2):
        events = {metric: float(when)}
        at = {"step": tick} if length.clock.steps else {"epoch": tick}
        found = plan.at(**at, events=events)
        for name in NAMES:
            told(
                dict(found[name]),
                Parameter(run, NAMES, name, name not in frozen).at(tick),
                (name, tick, when),
            )


class Live:
    """A model, its optimizer and schedule in training, one step at a time, and the oracle beside them.

    In half of the runs the model is one of several modules under a plan; in some of them it becomes known only
    behind the optimizer how long the run is.
    """

    def __init__(self, file: File, length: Length, frozen: frozenset[str], seed: int) -> None:
        self.chance = random.Random(seed)
        self.key = self.chance.choice(["", "net"])
        self.file = under(self.key, file) if self.key else file
        self.clock, self.frozen = length.clock, frozen
        self.names = tuple(self._named(net(frozen)))
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.steps = dict.fromkeys(self.names, 0)
        self.tick = self.stage = 0
        self._begin(length)

    def _named(self, model: Net) -> dict[str, nn.Parameter]:
        """Its parameters as the plan calls them."""
        first = f"{self.key}." if self.key else ""
        return {first + name: parameter for name, parameter in model.named_parameters()}

    def _keyed(self, model: Net) -> Any:
        """What a plan is given."""
        return {self.key: model} if self.key else model

    def _begin(self, length: Length) -> None:
        model, other = self._keyed(net(self.frozen)), length.other()
        late = self.chance.random() < 0.3 and may_be_written(self.file, other.clock)
        # a plan in vain, of which nothing trains, is refused by `relength` as it is by `resolve`
        late = late and not has_errors(resolved(self.file, length, model).diagnostics)
        self.plan = resolved(self.file, other if late else length, model)
        self._build()
        if late:
            self.schedule.relength(epochs=length.epochs, steps_per_epoch=length.per_epoch, steps=length.steps)
            self.plan = self.schedule.plan

    def _build(self) -> None:
        self.model = net(self.frozen)
        self.optimizer = self.plan.optimizer(self._keyed(self.model))
        self.schedule = self.plan.schedule(self._keyed(self.model), self.optimizer)

    def resume(self) -> None:
        """Save, and go on with everything made anew."""
        saved = copy.deepcopy((self.optimizer.state_dict(), self.schedule.state_dict()))
        self._build()
        loads = [self.optimizer.load_state_dict, self.schedule.load_state_dict]
        for place in self.chance.choice([(0, 1), (1, 0)]):
            loads[place](saved[place])

    def go_on(self) -> None:
        """One optimizer step, one of the schedule, and a report where an epoch ends."""
        for parameter in self.model.parameters():
            parameter.grad = torch.full_like(parameter, 1e-3) if parameter.requires_grad else None
        self.steps = {
            name: count + parameter.requires_grad
            for (name, parameter), count in zip(
                self._named(self.model).items(), self.steps.values(), strict=True
            )
        }
        self.optimizer.step()
        self.schedule.step()
        self.tick += 1
        if self.tick <= self.clock.total and self.tick % (self.clock.epoch or 2) == 0:
            values = {metric: float(self.chance.randrange(4)) for metric in METRICS}
            self.reports.append((self.tick, values))
            self.schedule.report(values)

    def compare(self) -> None:
        """What the optimizer really has, against the oracle."""
        run = Run(self.file, self.clock, by_reports(self.reports), tuple(self.reports))
        over = run.over
        over = over is not None and self.tick >= over
        number = run.stage_at(self.tick if not over else max((run.over or 0) - 1, 0))
        assert self.schedule.done == (
            over or (self.clock.total is not None and self.tick >= self.clock.total)
        )
        assert self.schedule.stage == (self.file.stages[number - 1].name if number else None)
        begun = self.file.stages[self.stage : number]
        if self.tick and any(stage.fresh for stage in begun):
            self.steps = dict.fromkeys(self.names, 0)
        self.stage = max(self.stage, number)
        kinds = {name: group.kind for group in self.plan.groups for name in group.parameters}
        for group in self.optimizer.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                came = name.removeprefix("net.") not in self.frozen
                wanted = Parameter(run, self.names, name, came).at(self.tick)
                assert parameter.requires_grad is not wanted["frozen"], (name, self.tick)
                if kinds[name] == "trains":
                    known = {option: value for option, value in wanted.items() if option in group}
                    told(group, known, (name, self.tick))
                if self.file.optimizer == "adamw":
                    steps = (
                        int(self.optimizer.state[parameter].get("step", 0))
                        if parameter in self.optimizer.state
                        else 0
                    )
                    assert steps == self.steps[name], (name, self.tick, "steps")


def check_live(file: File, length: Length, frozen: frozenset[str], seed: int = 0) -> None:
    live = Live(file, length, frozen, seed)
    resumes = {live.chance.randrange(live.clock.total + 1) for _ in range(2)}
    for tick in range(live.clock.total + 3):
        live.compare()
        if tick in resumes:
            live.resume()
            live.compare()
        live.go_on()


@settings(max_examples=EXAMPLES or 150, deadline=None, suppress_health_check=UNHURRIED)
@given(st.data(), lengths(), flags)
def test_a_plan_says_at_every_time_what_the_oracle_says(
    data: st.DataObject, length: Length, frozen: frozenset[str]
) -> None:
    """Every option of every parameter, the frozen state and the statistics, past the end of the run too."""
    file = data.draw(files(length))
    assume(may_be_written(file, length.clock))
    check_plan(file, length, frozen)


@settings(max_examples=EXAMPLES or 50, deadline=None, suppress_health_check=UNHURRIED)
@given(st.data(), lengths(), flags, st.integers(0, 2**16))
def test_a_plan_supposes_of_metrics_what_the_oracle_supposes(
    data: st.DataObject, length: Length, frozen: frozenset[str], seed: int
) -> None:
    """What `events=` says of a metric moves windows, stages and turns alike."""
    file = data.draw(files(length))
    assume(may_be_written(file, length.clock))
    check_events(file, length, frozen, seed)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of loops that go on past the end, or skip reports
@settings(max_examples=EXAMPLES or 50, deadline=None, suppress_health_check=UNHURRIED)
@given(st.data(), lengths(), flags, st.integers(0, 2**16))
def test_a_live_optimizer_has_at_every_step_what_the_oracle_says(
    data: st.DataObject, length: Length, frozen: frozenset[str], seed: int
) -> None:
    """Stepped through the run and past its end, with metrics that are reported, and saved and made anew twice."""
    file = data.draw(files(length))
    assume(may_be_written(file, length.clock))
    check_live(file, length, frozen, seed)
