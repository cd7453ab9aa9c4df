"""Writing learning rates and other options into parameter groups as time goes by.

Between two changes of the plan only schedules and values that move do anything. What drives several groups
alike is worked out once a tick; then all that is left is one multiplication and one dictionary entry a group
and option. That is prepared at each change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language.expressions import Fault
from layerlr_dsl.plan.schedules import Plateau, PlateauState
from layerlr_dsl.plan.schedules import Sequence as ScheduleSequence
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.training import callers
from layerlr_dsl.training.errors import ModelMismatch, TrainingError, listed, tell
from layerlr_dsl.training.metrics import PlateauPart

if TYPE_CHECKING:
    from layerlr_dsl.plan.course import Product
    from layerlr_dsl.plan.moving import Moving
    from layerlr_dsl.plan.plan import Group, GroupState, Plan
    from layerlr_dsl.plan.scheduled import Scheduled
    from layerlr_dsl.plan.schedules import Schedule
    from layerlr_dsl.plan.stages import Stretches

Drive: TypeAlias = Callable[[int], Any]
"""From a tick to what a value is multiplied by."""
Rate: TypeAlias = Callable[[float, int], float]
"""From a peak and a tick to what a schedule leaves of it."""


@dataclass(slots=True)
class Track:
    """One live group: the plan's group that it follows, and what the plan last had it at.

    initial: the rate it came with, which counts where the rules give none; None for an optimizer that
    finds its rate by itself.
    """

    follows: int
    initial: float | None
    base: float | None
    driven: bool
    options: dict[str, Any]


@dataclass(slots=True)
class Factors:
    """From a schedule to what it leaves of a rate, with what a plateau has taken off so far."""

    plateaus: Mapping[PlateauPart, PlateauState]

    def of(self, scheduled: Scheduled, stretches: Stretches) -> tuple[Drive | None, Rate]:
        """The factor by tick, None where it hangs on the rate; and the rate itself."""
        stretch = stretches[scheduled.stage]
        schedule, start = scheduled.on(stretch), stretch.start
        rate = self._rate(schedule, scheduled)
        if schedule.absolute:
            return None, lambda peak, tick: rate(peak, tick - start)
        plain = not isinstance(schedule, (Plateau, ScheduleSequence))
        factor: Drive = schedule.factor if plain else (lambda tick: rate(1.0, tick))
        if start == 0:  # most often: then nothing stands between a tick and the curve
            return factor, rate
        return (lambda tick: factor(tick - start)), (lambda peak, tick: rate(peak, tick - start))

    def _rate(self, schedule: Schedule, scheduled: Scheduled, place: int = 0) -> Rate:
        if isinstance(schedule, Plateau):
            state = self.plateaus[PlateauPart(scheduled, place)]
            return lambda peak, tick: schedule.lowered(peak, tick, state.factor)
        if isinstance(schedule, ScheduleSequence):
            parts = [self._rate(part, scheduled, n) for n, part in enumerate(schedule.parts)]

            def rate(peak: float, tick: int) -> float:
                place = schedule.place(tick)
                return parts[place](peak, tick - schedule.starts[place])

            return rate
        return schedule.rate


@dataclass(slots=True)
class _Due:
    """A live group, what was last written to it, and what it is to be until the next change."""

    group: dict[str, Any]
    track: Track
    planned: Group
    state: GroupState


class Writer:
    """Carries the options of a plan over to the live groups of an optimizer.

    follows: the plan's group of each live group, None for groups that the plan does not know.
    """

    def __init__(self, plan: Plan, follows: Sequence[int | None], factors: Factors) -> None:
        self.plan = plan
        self.follows = list(follows)
        self.factors = factors
        self.tracks: list[Track | None] = []
        self.groups: list[dict[str, Any]] | None = None
        self._runs: dict[object, _Run] = {}
        self._special: list[Drive] = []
        self._hot: list[Drive] = []
        self._tick = 0
        self._warned = False
        self._watched: dict[str, Any] | None = None
        """A group whose rate is written at every tick: the highest."""
        self._left: Any = None

    def begin(self, param_groups: list[dict[str, Any]]) -> None:
        """Note what the groups start with. Each has its `initial_lr` by now."""
        self.tracks = [
            None if follows is None else self._track(follows, group)
            for follows, group in zip(self.follows, param_groups, strict=False)
        ]

    def _track(self, follows: int, group: dict[str, Any]) -> Track:
        planned = self.plan.groups[follows]
        initial = None if group["initial_lr"] is None else float(group["initial_lr"])
        driven = planned.behaviour.scheduled
        base = float(planned.options[driven]) if driven in planned.given else initial
        return Track(follows, initial, base, False, dict(planned.options))

    def enter(
        self,
        param_groups: list[dict[str, Any]],
        states: Sequence[GroupState],
        tick: int,
        stretches: Stretches,
    ) -> None:
        """Write what `states` change, and prepare for the ticks up to the next change."""
        self.groups, self._special, self._runs = param_groups, [], {}
        for group, track in zip(param_groups, self.tracks, strict=False):
            if track is None:
                continue
            planned, state = self.plan.groups[track.follows], states[track.follows]
            driven = planned.behaviour.scheduled
            for option in planned.given - {driven}:
                self._prepare(_Due(group, track, planned, state), option, stretches)
            self._prepare_driven(_Due(group, track, planned, state), driven, stretches, tick)
        self._hot = [*(run.writer() for run in self._runs.values()), *self._special]
        self.write(tick)
        self._watch(param_groups)

    def _prepare(self, due: _Due, option: str, stretches: Stretches) -> None:
        group, track, planned, state = due.group, due.track, due.planned, due.state
        product = state.products.get(option)
        value = state.options.get(option)
        moves = product is not None and bool(product.movers)
        if option not in state.options or (not moves and value == track.options.get(option)):
            return
        if option not in group:
            raise ModelMismatch(
                f"the rules change {option} of group {planned.name}, and the optimizer has no such option "
                f"(it has {listed(key for key in group if key not in ('params', 'param_names', 'name'))})"
            )
        if moves:
            assert product is not None
            track.options[option] = None  # a value to come back to is written whatever it is
            self._run(group, planned, option, product, None, stretches)
        else:
            track.options[option] = group[option] = value

    def _prepare_driven(self, due: _Due, option: str, stretches: Stretches, tick: int) -> None:
        group, track, planned, state = due.group, due.track, due.planned, due.state
        product = state.products.get(option) if option in planned.given else None
        moves = product is not None and bool(product.movers)
        base = float(state.options[option]) if option in planned.given else track.initial
        schedule, warmup = state.schedule, state.warmup
        driven = moves or schedule is not None or warmup is not None
        if driven and base is None:
            raise ModelMismatch(
                f"the optimizer was built with lr=None and finds the rate of group {planned.name} by itself, so the "
                "rules cannot move it: give it a rate in the rules, or leave their schedule and warm-ups out"
            )
        value: Any = product if moves else base
        # Not where a run resumes: then the rates are whatever they were when it stopped.
        if base != track.base or driven:
            begins = schedule is None and not track.driven and tick == self._tick + 1
            if begins and track.base is not None:
                self._warn_if_driven(group, track.base, planned.name, option)
        if driven and warmup is None and not isinstance(group[option], torch.Tensor):
            self._run(group, planned, option, value, schedule, stretches)
        elif driven:
            self._special.append(self._slow(group, option, value, state, stretches))
        elif base is not None and (base != track.base or track.driven):
            _set(group, option, base)
        track.base, track.driven = base, driven

    def _run(
        self,
        group: dict[str, Any],
        planned: Group,
        option: str,
        value: Product | float,
        schedule: Scheduled | None,
        stretches: Stretches,
    ) -> None:
        """Have a group's option written at every tick, together with all that are driven alike."""
        movers: tuple[Moving, ...] = ()
        scale: Any = value
        if not isinstance(value, (int, float)):
            movers, scale = value.movers, value.scale
        key = (option, movers, schedule, scale is None)
        run = self._runs.get(key)
        if run is None:
            factor, rate = (None, None) if schedule is None else self.factors.of(schedule, stretches)
            drives = [mover.course(stretches) for mover in movers]
            if factor is not None:
                drives.append(factor)
            run = self._runs[key] = _Run(option, drives, None if factor is not None else rate)
        run.add(group, scale)
        if movers:
            run.judge(group, scale, self.plan.optimizers[planned.optimizer].info)

    def _slow(
        self,
        group: dict[str, Any],
        option: str,
        value: Product | float,
        state: GroupState,
        stretches: Stretches,
    ) -> Drive:
        rate = None if state.schedule is None else self.factors.of(state.schedule, stretches)[1]
        warmup = state.warmup

        def write(tick: int) -> None:
            now = value if isinstance(value, (int, float)) else value.at(tick, stretches)
            if rate is not None:
                now = rate(now, tick)
            if warmup is not None:
                now *= (tick - warmup[0]) / warmup[1]
            _set(group, option, now)

        return write

    def _warn_if_driven(self, group: dict[str, Any], written: float, name: str, option: str) -> None:
        # A tensor is not looked at: reading it would make the host wait for its device.
        rate = group[option]
        if self._warned or isinstance(rate, torch.Tensor) or math.isclose(rate, written, rel_tol=1e-9):
            return
        self._warned = True
        tell(
            f"the rate of group {name} is {spelled(rate, 6)} where the rules have {spelled(written, 6)}, so something else drives it, and "
            "what the rules move now writes over that; write the schedule into the rules"
        )

    def _watch(self, param_groups: Sequence[dict[str, Any]]) -> None:
        tracked = zip(param_groups, self.tracks, strict=False)
        driven = [g for g, track in tracked if track is not None and track.driven]
        plain = [group for group in driven if isinstance(group.get("lr"), float)]
        self._watched = None if self._warned else max(plain, key=lambda group: group["lr"], default=None)
        self._left = self._watched and self._watched["lr"]

    def look_for_others(self) -> None:
        """Warn where somebody else has moved a rate that the next tick writes over. Each step asks this."""
        watched = self._watched
        if watched is None or watched["lr"] is self._left:
            return
        found, left = watched["lr"], self._left
        self._left = found
        moved = isinstance(found, (int, float)) and not math.isclose(found, left, rel_tol=1e-9)
        if moved and not callers.tries():
            self._warned, self._watched = True, None
            tell(
                f"the rate of group {watched.get('name', 0)} was {spelled(left, 6)} and is {spelled(found, 6)}: something "
                "else drives it as well (ReduceLROnPlateau, a learning-rate finder, another scheduler). The schedule of the "
                "rules sets each rate anew at every step, so that the other's change lasts one step: write it into the "
                "rules (lr, schedule plateau(...), warmup=), or leave their schedule out"
            )

    @property
    def tick(self) -> int:
        """The tick that was last written."""
        return self._tick

    def write(self, tick: int) -> None:
        """What every tick changes. This is the hot path."""
        self._tick = tick
        try:
            for run in self._hot:
                run(tick)
        except (Fault, _Refused) as fault:
            raise self._stopped(fault, tick) from None
        if self._watched is not None:
            self._left = self._watched["lr"]

    def _stopped(self, fault: Fault | _Refused, tick: int) -> TrainingError:
        where = f"{fault.span.place}: " if isinstance(fault, Fault) else ""
        return TrainingError(f"{where}{fault} at {self.plan.words(tick)}")

    def __getstate__(self) -> dict[str, Any]:
        # What is prepared for the hot path refers to live groups, and is made anew from them.
        prepared: dict[str, Any] = {"groups": None, "_runs": {}, "_special": [], "_hot": [], "_watched": None}
        return {**self.__dict__, **prepared}


class _Run:
    """One option of all groups that are driven alike: each has a number, times what drives them at a tick.

    A number of None stands for what drives them, as it is.
    """

    __slots__ = ("_judges", "drive", "high", "low", "option", "rate", "shares")

    def __init__(self, option: str, drives: Sequence[Drive], rate: Rate | None) -> None:
        self.option = option
        self.drive = _product(drives)
        self.rate = rate
        self.shares: dict[Any, list[dict[str, Any]]] = {}
        """Groups by their number."""
        self._judges: dict[tuple[Any, int], tuple[Any, optimizers.OptimizerInfo, dict[str, Any]]] = {}
        """By number and optimizer: one group of each is held against what the optimizer takes."""
        self.low, self.high = -math.inf, math.inf
        """Between these what drives the groups needs no judging."""

    def add(self, group: dict[str, Any], scale: Any) -> None:
        self.shares.setdefault(scale, []).append(group)

    def judge(self, group: dict[str, Any], scale: Any, info: optimizers.OptimizerInfo) -> None:
        """Have what moves held against what the optimizer of a group takes."""
        if self.option not in info.options or (scale, id(info)) in self._judges:
            return
        self._judges[scale, id(info)] = (scale, info, group)
        domains = info.options[self.option].domains
        low, high = (domains[0].low, domains[0].high) if len(domains) == 1 else (-math.inf, math.inf)
        if scale is None or scale <= 0:
            self.low, self.high = math.inf, -math.inf  # nothing goes unjudged
        else:
            # The ends themselves, and what rounding makes of them, are judged.
            self.low, self.high = max(self.low, low / scale), min(self.high, high / scale)

    def writer(self) -> Drive:
        """What writes the option at a tick: made once all groups are added."""
        if self.rate is not None:
            return self._write_rates
        # A number of None is that of all groups: what drives them is no number then.
        alone = [(groups[0], scale) for scale, groups in self.shares.items() if len(groups) == 1 and scale]
        shared = [(scale, groups) for scale, groups in self.shares.items() if len(groups) > 1 or not scale]
        option, drive, judges, low, high = self.option, self.drive, self._judges, self.low, self.high

        def write(tick: int) -> None:
            now = drive(tick)
            if judges and (type(now) is not float or not low < now < high):
                self._judge(now)
            for group, scale in alone:
                group[option] = scale * now
            for number, groups in shared:
                value = now if number is None else number * now
                for group in groups:
                    group[option] = value

        return write

    def _write_rates(self, tick: int) -> None:
        now, rate = self.drive(tick), self.rate
        assert rate is not None
        if self._judges:
            self._judge(now)
        for scale, groups in self.shares.items():
            value = rate(now if scale is None else scale * now, tick)
            for group in groups:
                group[self.option] = value

    def _judge(self, now: Any) -> None:
        """Refuse what the optimizer would take in silence, as it was refused when the rules were resolved."""
        for scale, info, group in self._judges.values():
            value = now if scale is None else scale * now
            why = optimizers.problem(info, self.option, value)
            if why is not None:
                raise _Refused(f"`{self.option}` {why}, and this is {spelled(value)}", group)


class _Refused(Exception):
    """A value that an optimizer does not take, and the group that it is for."""

    def __init__(self, message: str, group: Mapping[str, Any]) -> None:
        super().__init__(f"{message} for group {group.get('name', '')}".rstrip())


def _product(drives: Sequence[Drive]) -> Drive:
    """What several drives come to."""
    if not drives:
        return lambda tick: 1.0
    first, *others = drives
    if not others:
        return first
    if len(others) == 1:
        second = others[0]
        return lambda tick: first(tick) * second(tick)

    def product(tick: int) -> Any:
        value = first(tick)
        for other in others:
            value = value * other(tick)
        return value

    return product


def _set(group: dict[str, Any], option: str, value: float) -> None:
    current = group[option]
    if isinstance(current, torch.Tensor):
        current.fill_(value)
    else:
        group[option] = value
