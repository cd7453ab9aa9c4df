"""From reports of metrics to epochs: of several in an epoch the last counts, whoever makes them and how often.

A report belongs to the epoch of the last step before it, and is judged when it can be the last no more: at the
next epoch's first report or step. One that is made at an epoch's very end is judged at once, so that what it
brings holds from the next epoch's first step on; should another follow, the first is taken back.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.training import metrics
from layerlr_dsl.training.metrics import Plateaus, Waits

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan


class Reports:
    """What was reported, and what it has led to: conditions that came true, and factors of plateaus."""

    def __init__(self, plan: Plan) -> None:
        self.clock = plan.clock
        self.waits = Waits(plan)
        self.plateaus = Plateaus(plan)
        self._values: dict[str, float] = {}
        self._reported = 0
        """The tick of the last report among `_values`."""
        self._before: tuple[Any, Any] | None = None
        """What there was before `_values` were judged, as long as they can be taken back."""
        self._told: set[str] = set()
        """Texts of rules of which it was said that nobody reports to them; empty: that a report is of nothing known."""

    @property
    def fired(self) -> dict[int, int]:
        """The conditions that have come true, by number, and at which tick."""
        return self.waits.fired

    @property
    def metrics(self) -> frozenset[str]:
        """What somebody waits for."""
        return self.waits.metrics | self.plateaus.metrics

    def epoch(self, tick: int) -> int:
        """The epoch that a report at a tick belongs to; each has its own where the clock knows no epochs."""
        return math.ceil(tick / self.clock.ticks_per_epoch) - 1

    def hear(self, values: Mapping[str, float], tick: int, *, over: bool, at_end: bool) -> bool:
        """Take a report; return whether it changes anything.

        over: the caller says that this is the epoch's last. at_end: no step of the epoch is to come, as far
        as the clock knows.
        """
        changed = self.go_on(tick)
        if self._before is not None:
            self._load(*self._before)
            self._before, changed = None, True
        self._values.update(values)
        self._reported = tick
        if over or not self.clock.knows_epochs:
            return self._judge(tick) or changed
        if at_end and self._values:
            self._before = copy.deepcopy((self.waits.state_dict(), self.plateaus.state_dict()))
            changed |= self._observe(tick)
        return changed

    def go_on(self, tick: int) -> bool:
        """Judge what was reported for an epoch that is over by this tick; return whether it changes anything."""
        return tick >= self.due and self._judge(tick)

    @property
    def due(self) -> int:
        """The tick at which what was reported must be judged; NEVER where nothing is left to judge."""
        return self.clock.end_of_epoch(self.epoch(self._reported)) + 1 if self._values else NEVER

    def _judge(self, tick: int) -> bool:
        changed = self._before is None and self._observe(tick)
        self._values, self._before = {}, None
        return changed

    def _observe(self, tick: int) -> bool:
        # A plateau hears what speaks of its own steps: not what ended the stage, or the part, before it.
        before, last_step = dict(self.fired), max(self._reported - 1, 0)
        changed = self.waits.observe(self._values, self._reported, tick)
        return self.plateaus.observe(self._values, last_step, before) or changed

    def unreported(self) -> tuple[str, ...]:
        """The conditions and plateaus whose metric was never reported, in the words of the rules."""
        return (*self.waits.unreported(), *self.plateaus.unreported())

    def overdue(self) -> list[tuple[int, str]]:
        """The same for those that wait now and were not reported in this epoch: the tick at which that is odd, and the text."""
        heard = self._values.keys()
        waits = self.waits.overdue(heard)
        return [*waits, *self.plateaus.overdue(heard, self.fired)]

    def warn_of_silence(self, now: int) -> int:
        """Name what waits for a metric that nobody reports; return when to look again."""
        overdue = [(tick, text) for tick, text in self.overdue() if text not in self._told]
        late = [text for tick, text in overdue if tick <= now]
        if late:
            self._told.update(late)
            metrics.warn_of_silence(late)
        return min((tick for tick, text in overdue if text not in late), default=NEVER)

    def warn_of_unknown(self, reported: Iterable[str]) -> None:
        """Say once that nothing in a report is waited for."""
        if "" not in self._told:
            self._told.add("")
            metrics.warn_of_unknown(reported, self.metrics)

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Plain data. What was judged is not taken back after a resume."""
        waiting = self._values if self._before is None else {}
        return {
            "conditions": self.waits.state_dict(),
            "plateaus": self.plateaus.state_dict(),
            "reported": {"values": dict(waiting), "tick": self._reported},
        }

    def load_state_dict(self, state: Mapping[str, Any], here: Callable[[int], int]) -> None:
        """Take up what is known by the same text. here: from a tick of the saved clock to one of this."""
        self._load(state["conditions"], state["plateaus"], here)
        reported = state.get("reported", {"values": {}, "tick": 0})
        self._values, self._before = dict(reported["values"]), None
        self._reported = here(reported["tick"])

    def _load(self, conditions: Any, plateaus: Any, here: Callable[[int], int] = int) -> None:
        self.waits.load_state_dict(conditions, here)
        self.plateaus.load_state_dict(plateaus)
