"""Writing learning rates and other options into parameter groups as time goes by.

Between two changes of the plan only the schedule moves, and all that is left to do is one multiplication
and one dictionary entry a group; that is worked out at each change.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from layerlr_dsl.language.numbers import spelled
from layerlr_dsl.plan.schedules import Plateau, PlateauState
from layerlr_dsl.training.errors import ModelMismatch, ScheduleWarning, listed

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Group, GroupState, Plan
    from layerlr_dsl.plan.schedules import Schedule

Factor: TypeAlias = Callable[[int], float]


@dataclass(slots=True)
class Track:
    """One live group: the plan's group that it follows, and what the plan last had it at.

    initial: the rate it came with, which counts where the rules give none.
    """

    follows: int
    initial: float
    base: float
    warming: bool
    options: dict[str, Any]


class Factors:
    """From a schedule to its factor over time, with what a plateau has taken off so far."""

    def __init__(self, plateaus: Mapping[Plateau, PlateauState]) -> None:
        self.plateaus = plateaus

    def of(self, schedule: Schedule) -> Factor:
        if not isinstance(schedule, Plateau):
            return schedule.factor
        state = self.plateaus[schedule]
        return lambda tick: schedule.factor(tick) * state.factor


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
        self._runs: list[tuple[Factor, list[tuple[dict[str, Any], float]]]] = []
        self._special: list[Callable[[int], None]] = []
        self._tick = 0
        self._warned = False

    def begin(self, param_groups: list[dict[str, Any]]) -> None:
        """Note what the groups start with. Each has its `initial_lr` by now."""
        self.tracks = [
            None if follows is None else self._track(follows, group)
            for follows, group in zip(self.follows, param_groups, strict=False)
        ]

    def _track(self, follows: int, group: dict[str, Any]) -> Track:
        planned = self.plan.groups[follows]
        initial = float(group["initial_lr"])
        base = float(planned.options["lr"]) if "lr" in planned.given else initial
        return Track(follows, initial, base, False, dict(planned.options))

    def enter(self, param_groups: list[dict[str, Any]], states: Sequence[GroupState], tick: int) -> None:
        """Write what `states` change, and prepare for the ticks up to the next change."""
        runs: dict[Schedule, tuple[Factor, list[tuple[dict[str, Any], float]]]] = {}
        self.groups, self._special = param_groups, []
        for group, track in zip(param_groups, self.tracks, strict=False):
            if track is None:
                continue
            planned, state = self.plan.groups[track.follows], states[track.follows]
            _write_options(group, track, planned, state)
            base = float(state.options["lr"]) if "lr" in planned.given else track.initial
            schedule = planned.schedule
            moves = base != track.base or (state.warmup is not None and not track.warming)
            if moves and schedule is None and tick == self._tick + 1:  # and not where a run resumes
                self._warn_if_driven(group, track.base, planned.name)
            if state.warmup is not None:
                factor = None if schedule is None else self.factors.of(schedule)
                self._special.append(_warming(group, base, factor, *state.warmup))
            elif schedule is not None:
                if isinstance(group["lr"], torch.Tensor):
                    self._special.append(_filling(group, base, self.factors.of(schedule)))
                else:
                    runs.setdefault(schedule, (self.factors.of(schedule), []))[1].append((group, base))
            elif base != track.base or track.warming:
                _set_rate(group, base)
            track.base, track.warming = base, state.warmup is not None
        self._runs = list(runs.values())
        self.write(tick)

    def _warn_if_driven(self, group: dict[str, Any], written: float, name: str) -> None:
        # A tensor is not looked at: reading it would make the host wait for its device.
        rate = group["lr"]
        if self._warned or isinstance(rate, torch.Tensor) or math.isclose(rate, written, rel_tol=1e-9):
            return
        self._warned = True
        warnings.warn(
            f"the rate of group {name} is {spelled(rate, 6)} where the rules have {spelled(written, 6)}, so something else drives it, and a "
            "window or a thaw warm-up of the rules now writes over that; write the schedule into the rules",
            ScheduleWarning,
            stacklevel=5,
        )

    def write(self, tick: int) -> None:
        """The learning rates of one tick. This is the hot path."""
        self._tick = tick
        for factor, pairs in self._runs:
            now = factor(tick)
            for group, base in pairs:
                group["lr"] = base * now
        for write in self._special:
            write(tick)

    def __getstate__(self) -> dict[str, Any]:
        # What is prepared for the hot path refers to live groups, and is made anew from them.
        return {**self.__dict__, "groups": None, "_runs": [], "_special": []}


def _write_options(group: dict[str, Any], track: Track, planned: Group, state: GroupState) -> None:
    for option, value in state.options.items():
        if option == "lr" or option not in planned.given or value == track.options.get(option):
            continue
        if option not in group:
            raise ModelMismatch(
                f"the rules change {option} of group {planned.name}, and the optimizer has no such option "
                f"(it has {listed(key for key in group if key not in ('params', 'param_names', 'name'))})"
            )
        track.options[option] = group[option] = value


def _set_rate(group: dict[str, Any], rate: float) -> None:
    current = group["lr"]
    if isinstance(current, torch.Tensor):
        current.fill_(rate)
    else:
        group["lr"] = rate


def _filling(group: dict[str, Any], base: float, factor: Factor) -> Callable[[int], None]:
    return lambda tick: _set_rate(group, base * factor(tick))


def _warming(
    group: dict[str, Any], base: float, factor: Factor | None, start: int, length: int
) -> Callable[[int], None]:
    def write(tick: int) -> None:
        rate = base * (tick - start) / length
        _set_rate(group, rate if factor is None else rate * factor(tick))

    return write
