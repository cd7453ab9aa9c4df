"""Whether a schedule is stepped as its clock counts: real optimizer steps, held against the calls of `step()`.

Loops that call the schedule once an epoch where it counts steps, that hand the optimizer over without it, or
that swap it for another run to the end without an error: nothing thaws, or a rate is 0 for half of the run.
The number of optimizer steps for each call says little by itself (a GAN takes five of one and one of the other,
a scaler skips some), so what is warned of is what no right loop does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch

from layerlr_dsl.optim.several import parts_of
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.training import callers
from layerlr_dsl.training.errors import tell
from layerlr_dsl.training.hooks import installed, remove

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from layerlr_dsl.plan.clock import Clock, Steps
    from layerlr_dsl.plan.plan import Plan

FEW = 5
"""So many optimizer steps for one step of the schedule are common: the players of a GAN take turns."""
EARLY = 3
"""So many steps of the schedule may pass before the loop that calls is known."""
LOOK_EVERY, THEN_EVERY, OFTEN_UNTIL = 8, 64, 256


def drives(plan: Plan) -> bool:
    """Whether a schedule or a value that moves is to be written at every step."""
    return any(g.behaviour.moving or (g.schedule and g.schedule.name != "constant") for g in plan.groups)


def moves(plan: Plan) -> bool:
    """Whether anything of a plan changes as time goes by, so that it must be stepped."""
    return bool(drives(plan) or plan.events or plan.changes())


class Pace:
    """Step post-hook of the optimizer: counts its steps, and now and then has them held against the clock.

    compare: does that; False where the schedule is gone. lost: what is said once where nobody compares.
    rates_only: what is lost are rates, which another scheduler may drive by now.
    """

    def __init__(self, lost: str | None = None) -> None:
        self.steps = 0
        self.together = 1
        """So many calls make one step: DeepSpeed steps its groups one by one."""
        self._calls = 0
        self.lost = lost
        self.rates_only = False
        self.compare: Callable[[], bool] | None = None
        self._next = 1
        self._rates: list[object] | None = None

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        self._calls += 1
        if self._calls % self.together:
            return
        self.steps += 1
        if self.steps >= self._next:
            self._next = self.steps + (LOOK_EVERY if self.steps < OFTEN_UNTIL else THEN_EVERY)
            if self.compare is None or not self.compare():
                self._miss(optimizer)

    def _miss(self, optimizer: Optimizer) -> None:
        """Say what is lost without a schedule, once it is clear that it is."""
        if self.lost is None:
            return
        if self.compare is None and self.steps == 1:  # a tool that fills the optimizer's state takes one step
            self._next = 2
        elif self.rates_only and self._rates is None:
            self._rates = [group.get("lr") for group in optimizer.param_groups]
        elif self.rates_only and self._rates != [group.get("lr") for group in optimizer.param_groups]:
            self.lost = None
        else:
            text, self.lost = self.lost, None
            tell(text)

    def look_by(self, steps: int) -> None:
        """Compare when so many steps were taken, if not before."""
        self._next = min(self._next, max(steps, self.steps + 1))

    def install(self, optimizer: Optimizer) -> None:
        """Make this the one hook of its kind; deepcopy and pickle drop hooks, so this runs again after.

        Of parts that are stepped by themselves the first counts, which is the file's own.
        """
        for one in (optimizer, *parts_of(optimizer)[:1]):
            if not installed(one._optimizer_step_post_hooks, self):
                one.register_step_post_hook(self)

    def uninstall(self, optimizer: Optimizer) -> None:
        for one in (optimizer, *parts_of(optimizer)[:1]):
            remove(one._optimizer_step_post_hooks, Pace)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "compare": None}


def unscheduled(plan: Plan) -> Pace:
    """The hook of an optimizer whose plan nobody carries out yet."""
    freezes = any(group.kind == "frozen" for group in plan.groups)
    text = (
        "this optimizer was made by plan.optimizer(model) and takes steps without plan.schedule(model, optimizer): "
        "rates stand still, and nothing is frozen or thawed. Make the schedule, and step it with the optimizer "
        "(Trainer(optimizers=(optimizer, schedule)), lr_scheduler in what configure_optimizers returns)"
    )
    return Pace(text if freezes or moves(plan) else None)


class Tempo:
    """What the steps of an optimizer say of the clock that a schedule goes by.

    moves: whether anything hangs on the clock at all.
    """

    def __init__(self, pace: Pace, clock: Clock, moves: bool) -> None:
        self.pace = pace
        self.clock = clock
        self.moves = moves
        self._told: set[str] = set()
        self._stays = (-1, 0)
        """The tick that was named while the schedule stood at it, and the optimizer steps at that time."""
        self.told_of_epochs = False
        self.begin(0)
        self._fresh = True

    def begin(self, tick: int) -> None:
        """Count from here: the run was resumed, or put somewhere else."""
        self._start = self._last = self._seen = (tick, self.pace.steps)
        self._ended: tuple[int, int] = (tick, 0)
        """The tick at which a loop last said that its epoch was over, and the steps that this one had."""
        self._calls = 0
        self._longest = 1
        self._forwards = 0
        self._fresh = False

    def led(self) -> None:
        """Somebody else counts, and may do so before a step."""
        self._fresh = False

    @property
    def early(self) -> bool:
        """Whether the schedule was stepped once so far, or not much more: a wrapper may have tried it before it trains."""
        return 1 <= self._calls <= EARLY

    def since_last(self) -> int:
        """Optimizer steps since the schedule was last stepped."""
        return self.pace.steps - self._last[1]

    def look_again(self, tick: int) -> int:
        """The next tick at which `moved` has something to look at."""
        if self._calls < FEW or not self.clock.counts_steps:
            return tick + 1
        total = self.clock.total
        return NEVER if total is None or tick > total else total + 1

    def compare_length(self, total: int | None, more: bool) -> None:
        """Hold the whole length that the calling loop knows against the plan's. more: whether anything changes later."""
        planned = self.clock.total
        if total is None or planned is None or not self.clock.counts_steps or not self.moves:
            return
        if total < planned:
            self._tell(
                "shorter",
                f"the loop that calls schedule.step() takes {total} optimizer steps in all, and the rules were resolved "
                f"for {planned}: it ends before schedules do{' and before all has thawed' if more else ''}. Resolve them "
                f"with steps={total}, or call schedule.relength(steps={total}) before training",
            )

    # ------------------------------------------------------------ the schedule was stepped

    def went(self, tick: int) -> None:
        """Note a step of the schedule at which there is nothing to look at."""
        # Every step of training goes through here: no calls.
        steps = self.pace.steps
        taken = steps - self._last[1]
        if taken > self._longest:
            self._longest = taken
        self._last = (tick, steps)

    def moved(self, tick: int, forwards: int) -> None:
        """Look at a step of the schedule. forwards: how often the model has run so far."""
        ticks, steps = tick - self._last[0], self.since_last()
        self._last, self._forwards = (tick, self.pace.steps), forwards
        self._calls += 1
        if ticks == 1 and self.clock.counts_steps:
            self._longest = max(self._longest, steps)
            self._look_for_epochs(steps)
        total = self.clock.total
        if total is not None and tick > total and self.pace.steps and self.moves:
            self._tell("over", self._over(tick, total))

    def stayed(self, tick: int) -> None:
        """Look at a step of the schedule that named the tick at which it stands: once is how some begin."""
        if self._stays[0] != tick:
            self.begin(tick)
            self._stays = (tick, self.pace.steps)
        elif self.moves and self.clock.counts_steps and self.pace.steps - self._stays[1] >= EARLY:
            self._tell(
                "stays",
                f"schedule.step({tick}) was called again and again, and the optimizer has taken "
                f"{self.pace.steps - self._stays[1]} steps meanwhile: the number is of an optimizer step here, and not of an "
                "epoch. Call schedule.step() without one after every optimizer.step() (Lightning: leave out "
                "lr_scheduler_step), or resolve the rules without steps_per_epoch",
            )

    def _look_for_epochs(self, steps: int) -> None:
        """Whether the schedule is stepped once for all the optimizer steps of an epoch."""
        if self.moves and self._like_an_epoch(steps):
            self._tell(
                "epoch",
                f"schedule.step() was called once for {steps} optimizer steps, as at the end of an epoch, and it counts "
                "steps: thaws and the ends of schedules will come that much too late, or never. Call it after every "
                'optimizer.step() (Lightning: return {"scheduler": schedule, "interval": "step"}), or resolve the rules '
                "without steps_per_epoch",
            )

    def _like_an_epoch(self, steps: int) -> bool:
        per_epoch = self.clock.steps_per_epoch
        if per_epoch is not None:
            return steps > 2 and abs(Fraction(steps) - per_epoch) < per_epoch // 10 + 1
        return steps >= max(20, (self.clock.total or 0) // 20)

    def _over(self, tick: int, total: int) -> str:
        if not self.clock.counts_steps:
            return (
                f"schedule.step() was called {tick} times, and the plan has {total} epochs. It was resolved without "
                "steps_per_epoch, so each call counts as an epoch: give steps_per_epoch, or call it once an epoch"
            )
        return (
            f"training goes on after the {total} steps that the plan was made for ({self.pace.steps} optimizer steps, "
            f"{tick} of the schedule): rates stay where their schedules end. Resolve the rules with the true length, "
            "or call schedule.relength(...) as soon as it is known; call schedule.step() once for an optimizer step"
        )

    def ended(self, tick: int) -> None:
        """Look at the end of an epoch, of which the loop has said that it is one."""
        (before, usual), per_epoch = self._ended, self.clock.steps_per_epoch
        steps = tick - before
        self._ended = (tick, steps)
        # Once is no sign: the last epoch of a run in steps is cut short, and every second may be evaluated.
        if per_epoch is not None and steps == usual and not _whole_epochs(steps, per_epoch):
            self._tell(
                "length",
                f"an epoch ends after {steps} steps of the schedule, and the plan has {per_epoch} in one: call "
                f"schedule.relength(steps_per_epoch={steps}), or resolve the rules with that",
            )

    # ------------------------------------------------------------ the optimizer was stepped

    def stepped(self, tick: int, forwards: int, to_come: Callable[[], bool]) -> None:
        """Look at a step of the optimizer. to_come: whether the rules still freeze or thaw something later."""
        if self._fresh and self.pace.steps == 1:
            self._look_at_order(forwards)
        steps = self.pace.steps - self._seen[1]
        if tick != self._seen[0]:
            self._seen = (tick, self.pace.steps)
        elif tick == self._start[0]:
            self._look_for_any(steps)
        if tick != self._start[0]:
            self._look_for_more(to_come)

    def _look_at_order(self, forwards: int) -> None:
        # Before the first optimizer step only a scaler's skipped ones leave calls, and each has its forward pass.
        between = forwards > 0 and self._forwards == forwards and self._calls > 0
        ahead = forwards > 0 and self._forwards == 0 and self._calls == 1
        if between or ahead:
            self._tell(
                "order",
                "schedule.step() was called before optimizer.step(): the first rate is skipped and everything comes one "
                "step too early. Call optimizer.step() first, then schedule.step()",
            )

    def _look_for_any(self, steps: int) -> None:
        """Whether the schedule was left out."""
        per_epoch = self.clock.steps_per_epoch
        if not self.moves or not self.clock.counts_steps:
            return
        limit = math.ceil(per_epoch) if per_epoch is not None else max(20, (self.clock.total or 0) // 10)
        if steps > max(limit, FEW):
            self._tell(
                "never",
                f"the optimizer has taken {steps} steps, and schedule.step() was not called once: rates stand still, and "
                "nothing freezes or thaws. Hand the schedule to what trains (Trainer(optimizers=(optimizer, schedule)), "
                "lr_scheduler in what configure_optimizers returns), or call it after every optimizer.step()",
            )
        else:
            self.pace.look_by(self._seen[1] + max(limit, FEW) + 1)

    def _look_for_more(self, to_come: Callable[[], bool]) -> None:
        """Whether the schedule is stepped no more."""
        (first, steps_at_first), (tick, steps_at_tick) = self._start, self._last
        if tick - first < 3:
            return
        steps = self.since_last()
        usual = math.ceil((steps_at_tick - steps_at_first) / (tick - first))
        if steps > max(3 * usual, 2 * self._longest) + 1 and to_come():
            self._tell(
                "stopped",
                f"the optimizer has taken {steps} steps since schedule.step() was last called, and the rules still freeze "
                "or thaw something later: that will not happen. Something has taken the schedule's place (the callback "
                "StochasticWeightAveraging, the next one of a SequentialLR)",
            )

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told and not callers.tries():
            self._told.add(what)
            tell(text)


def _whole_epochs(steps: int, per_epoch: Steps) -> bool:
    """Whether so many steps make whole epochs, but for a step that two of them share."""
    return abs(Fraction(steps) - round(steps / per_epoch) * per_epoch) < 1
