"""The plan at work: a learning-rate scheduler that sets each group's rate, freezes and thaws."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from layerlr_dsl.model import live
from layerlr_dsl.optim.several import parts_of
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.training import callers, compiling, flags, metrics, modes, parallel, thawing
from layerlr_dsl.training.averages import hold_in_averages
from layerlr_dsl.training.binding import Binding, innermost, statistics_go_on
from layerlr_dsl.training.boundary import PendingGradients
from layerlr_dsl.training.errors import TrainingError, listed, tell
from layerlr_dsl.training.firststep import FirstStep
from layerlr_dsl.training.freezing import Freezer, Frozen
from layerlr_dsl.training.pace import Pace, Tempo, drives, moves, weakly
from layerlr_dsl.training.parts import together
from layerlr_dsl.training.rates import Factors, Writer
from layerlr_dsl.training.relength import relengthed
from layerlr_dsl.training.reporting import Reports
from layerlr_dsl.training.saved_state import Carried, equal
from layerlr_dsl.training.state import StateByName
from layerlr_dsl.training.swaps import hold_in_swaps, let_swap

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import GroupState, Plan

VERSION = 1
LOST = (
    "the schedule of this optimizer is gone, and the optimizer goes on: rates stand still, and what the rules freeze or "
    "thaw later never is. Keep what plan.schedule(model, optimizer) returns, and step it; a callback such as "
    "StochasticWeightAveraging may have put another in its place"
)


class LayerSchedule(LRScheduler):
    """A torch LRScheduler that carries out a plan.

    Call `step()` once after every optimizer step; once per epoch where the plan was resolved without
    `steps_per_epoch`. `last_epoch` counts those calls. Making one sets the rates of the first step and
    freezes what the plan freezes from the start.

    Raises ModelMismatch (model or optimizer do not fit the plan; the parameters are named), RanksDiffer,
    and TrainingError where the way the model is wrapped makes freezing impossible.
    """

    def __init__(
        self,
        plan: Plan,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        last_epoch: int = -1,
    ) -> None:
        self._given = optimizer
        optimizer = together(optimizer)
        hold_in_averages()
        parallel.refuse_flat_parameters(model)
        flags.give_back(model)
        parallel.require_agreement(plan)
        parallel.refuse_sharded_adafactor(innermost(optimizer))
        self._binding = Binding(plan, model, optimizer.param_groups)
        way = parallel.way_to_freeze(model, self._binding.parameters.values())
        self._freezer = Freezer(live.unwrap(model), self._binding.owned, (), way)
        self._first_step = FirstStep(self._binding, self._freezer)
        self._pending = PendingGradients()
        self._pace = Pace()
        self._state = StateByName.after(innermost(optimizer), (), self._binding.parameters)
        self._defaults = _defaults(plan, innermost(optimizer))
        given = self._follow(plan, optimizer)
        _warn_of_lapsed(given, innermost(optimizer))
        self._stage: int | None = None
        self._patterns: set[frozenset[str]] = set()
        self._warned: set[str] = set()
        self._accelerate = callers.Accelerate()
        super().__init__(optimizer, last_epoch)

    def _follow(self, plan: Plan, optimizer: Optimizer) -> list[frozenset[str]]:
        """Go by a plan: the one this is made for, or the same rules on another clock. Returns what it gives each group."""
        self.plan = self._binding.plan = plan
        self._freezer.for_ever = frozenset(
            name for group in plan.groups if group.kind == "frozen" for name in group.parameters
        )
        follows = self._binding.follow(optimizer.param_groups)
        given = [frozenset() if row is None else plan.groups[row].given for row in follows]
        if not self._state.inherited:
            self._state.planned = given
        self._reports = Reports(plan)
        self._writer = Writer(plan, follows, Factors(self._reports.plateaus.states))
        self._tempo = Tempo(self._pace, plan.clock, moves(plan))
        self._going_on = statistics_go_on(plan)
        self._next = self._at = -1
        return given

    # ------------------------------------------------------------ what an LRScheduler has

    def _initial_step(self) -> None:
        compiling.separate_shared_rates(self.optimizer.param_groups)
        self._writer.begin(self.optimizer.param_groups)
        self.last_epoch += 1
        self._step_count = 1
        self._enter()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next optimizer step (or epoch), or to `epoch` where it is given."""
        if "accelerate.scheduler" in sys.modules and self._accelerate.repeats(sys._getframe(1)):
            return
        self._step_count += 1
        tick = self.last_epoch + 1
        if tick < self._next and epoch is None and self.optimizer.param_groups is self._writer.groups:
            self.last_epoch = self._at = tick
            self._writer.write(tick)
        else:
            self._go(tick if epoch is None else int(epoch))

    def _update_lr(self, epoch: int | None = None) -> None:
        """What containers such as SequentialLR call in place of `step()`."""
        self._step_count += 1
        self._go(self.last_epoch + 1 if epoch is None else int(epoch))

    def _go(self, tick: int) -> None:
        begins = self.last_epoch < 0
        self.last_epoch = tick
        if begins:
            groups = self.optimizer.param_groups
            _set_rates(groups, [group["initial_lr"] for group in groups])  # as SequentialLR has each begin
        if begins or tick != self._at + 1:
            self._tempo.begin(tick)
        else:
            self._tempo.moved(tick, self._freezer.modules.forwards)
        self._enter()
        if self._tempo.first:
            self._ask_the_caller()

    def _ask_the_caller(self) -> None:
        """Go by the steps that an epoch of the calling loop really has, where it is one that knows."""
        planned, real = self.plan.clock.steps_per_epoch, callers.steps_per_epoch()
        if planned is not None and real is not None and real != planned:
            tell(
                f"the rules were resolved with {planned} optimizer steps in an epoch, and the loop that calls "
                f"schedule.step() takes {real}: the schedule goes by {real} now. Resolve them with "
                f"steps_per_epoch={real}, or call schedule.relength(steps_per_epoch={real}) before training"
            )
            self.relength(steps_per_epoch=real)

    def get_last_lr(self) -> list[float | Tensor]:
        """The learning rate of each group as it is now; tensors are copies."""
        return [
            rate.clone() if isinstance(rate := g["lr"], Tensor) else rate for g in self.optimizer.param_groups
        ]

    def get_lr(self) -> list[float | Tensor]:
        """The rates that the rules give at `last_epoch`, whatever the groups have now.

        Where somebody else has moved `last_epoch`, as ignite does, everything follows it first.
        """
        if self.last_epoch < 0:
            return self.get_last_lr()
        if self.last_epoch != self._at:
            self._tempo.led()
            self._go(self.last_epoch)
        found = self.get_last_lr()
        self._writer.write(self._writer.tick)
        given = self.get_last_lr()
        _set_rates(self.optimizer.param_groups, found)
        return given

    @property
    def _last_lr(self) -> list[float | Tensor]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: list[float | Tensor]) -> None:
        """What a container has just read from the groups is where it was."""

    def state_dict(self) -> dict[str, Any]:
        """Clock, frozen set, metric waits and plateaus as plain data (`weights_only=True` loads it)."""
        return {
            "version": VERSION,
            "last_epoch": self.last_epoch,
            "steps_per_epoch": self.plan.clock.steps_per_epoch,
            "_step_count": self._step_count,
            "frozen": sorted(self._freezer.frozen),
            **self._reports.state_dict(),
            "stage": self.stage,
            "stages": self._stages(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up the run where `state_dict` left it, under the rules of this schedule's own plan.

        Conditions and plateaus are known by their text, so an edited rule file keeps what it can. Where an
        epoch has another number of steps now, the run goes on at the same place in the same epoch.
        Raises ValueError for a state of another kind.
        """
        if state_dict.get("version") != VERSION or "conditions" not in state_dict:
            raise ValueError("this is no state of a layerlr schedule, or one of another version")
        saved_stages = [name for name, _ in state_dict.get("stages", ())]
        stages = [stage.name for stage in self.plan.timeline.calendar.stages]
        if saved_stages != stages:
            raise ValueError(
                f"this state was saved with {_listed_stages(saved_stages)}, and the rules have {_listed_stages(stages)}"
            )
        clock = self.plan.clock
        saved = Clock(None, state_dict.get("steps_per_epoch", clock.steps_per_epoch))
        same = saved.steps_per_epoch == clock.steps_per_epoch or not clock.knows_epochs
        self._take_up(state_dict, int if same else lambda tick: clock.tick_of_epoch(saved.epoch_of(tick)))

    def _take_up(self, state: Mapping[str, Any], here: Callable[[int], int]) -> None:
        """here: from a tick of the saved clock to one of this."""
        saved = int(state["last_epoch"])
        self.last_epoch = here(saved) if saved > 0 else saved
        self._step_count = int(state["_step_count"])
        self._reports.load_state_dict(state, here)
        self._stage = None  # the optimizer's state is loaded by itself: nothing begins here
        self._tempo.begin(self.last_epoch)
        self._resume()

    def _stages(self) -> list[list[Any]]:
        """Each stage's name and the tick at which it began; None for those to come."""
        stretches = self.plan.timeline.stretches(self._reports.fired)[1:]
        names = [stage.name for stage in self.plan.timeline.calendar.stages]
        return [
            [name, stretch.start if stretch.start <= self.last_epoch else None]
            for name, stretch in zip(names, stretches, strict=True)
        ]

    # ------------------------------------------------------------ what it adds

    @property
    def stage(self) -> str | None:
        """The name of the stage that runs now; None where the rules have no stages."""
        fired = self._reports.fired
        return self.plan.stage_name(self.plan.held(self.last_epoch, fired), fired)

    @property
    def done(self) -> bool:
        """Whether the last stage is over before the run is: its last state holds, and there is nothing to train for."""
        over = self.plan.over(self._reports.fired)
        return over is not None and self.last_epoch >= over

    def relength(
        self,
        *,
        steps_per_epoch: int | None = None,
        epochs: float | Fraction | None = None,
        steps: int | None = None,
        epoch: float | Fraction | None = None,
    ) -> None:
        """Go on with another length of the run or of its epochs, as if the rules had been resolved with it.

        For what becomes known only when training begins: a batch size that was searched for, data that were
        packed. What is not given stays as it was. The steps taken so far stay counted; where epochs had other
        steps before than from now on, `epoch` says which one the run has reached. Raises what resolving does.
        """
        plan = relengthed(self.plan, epochs, steps_per_epoch, steps)
        if plan is self.plan and epoch is None:
            return
        parallel.require_agreement(plan)
        state, tracks = self.state_dict(), self._writer.tracks
        self._follow(plan, self.optimizer)
        self._writer.tracks = [
            None if track is None or row is None else replace(track, follows=row)
            for track, row in zip(tracks, self._writer.follows, strict=True)
        ]
        if epoch is not None:
            state["last_epoch"] = plan.tick(epoch=epoch)
        self._take_up(state, int)

    @property
    def frozen(self) -> frozenset[str]:
        """Canonical names of the parameters that the plan has frozen now."""
        return self._freezer.frozen

    @property
    def carried(self) -> Carried:
        """What the last `optimizer.load_state_dict` took over, and what it could not."""
        return self._state.carried

    @property
    def waits_for(self) -> frozenset[str]:
        """The metrics that rules wait for."""
        return self._reports.metrics

    def report(
        self, values: Mapping[str, object] | None = None, /, *, end_of_epoch: bool = False, **named: object
    ) -> None:
        """Report metrics to the conditions and plateaus that wait for them, as often as there are any.

        Of several reports in an epoch the last counts; it is judged when the next epoch begins, or at once
        with `end_of_epoch`, which says that this epoch has no further one. Names that are no Python names go
        in a mapping. Where several processes train, all must call this, and what rank 0 reports counts.
        Raises TypeError for a value that is no number.
        """
        if end_of_epoch:
            self._tempo.ended(self.last_epoch)
        wanted = self._reports.metrics
        if not wanted:
            return
        reported = {**(values or {}), **named}
        heard = {name: value for name, value in reported.items() if name in wanted}
        known = parallel.from_rank_zero(lambda: metrics.as_numbers(heard))
        if reported and not known and "metric" not in self._warned:
            self._warned.add("metric")
            metrics.warn_of_unknown(reported, wanted)
        if self._reports.hear(known, self.last_epoch, over=end_of_epoch, at_end=self._at_end_of_epoch()):
            self._enter()
        else:
            self._look_ahead()

    def _at_end_of_epoch(self) -> bool:
        clock = self.plan.clock
        if not clock.counts_steps:  # a report before `step()` may be the epoch's first of several
            return self._tempo.since_last() == 0
        return clock.knows_epochs and self.last_epoch % clock.ticks_per_epoch == 0

    def unreported(self) -> tuple[str, ...]:
        """The conditions and plateaus whose metric was never reported, in the words of the rules."""
        return self._reports.unreported()

    def verify(self) -> int:
        """Prove by digests that nothing frozen has moved; return how many tensors were looked at.

        Each process looks at its own shards. Raises FrozenMoved naming every tensor that moved, and
        ModelMismatch where parameters were replaced since the optimizer was built.
        """
        self._first_step.rebind(self.optimizer.param_groups)
        return self._freezer.verify()

    def thawed(self) -> AbstractContextManager[None]:
        """All that ever trains thawed for a while, to save and load with torch.distributed.checkpoint.

        Its functions skip what is frozen, and want state of everything else, whether it has stepped or not.
        """
        return thawing.thawed(self._freezer, self._state)

    def release(self) -> None:
        """Take every hook off the model and the optimizer, for exporting or scripting the model after training.

        Flags and modes stay as they are; this schedule must not be stepped any more.
        """
        modes.uninstall(self._freezer.root)
        self._freezer.release()
        for hook in (self._freezer.guard, self._pending, self._pace, self._state):
            hook.uninstall(innermost(self.optimizer))
        let_swap(self._given)

    # ------------------------------------------------------------ inside

    def _enter(self) -> None:
        """Put everything in the state that the plan has it in at this tick."""
        self._install()
        self._at = self.last_epoch
        now = max(self.last_epoch, 0)  # below it a container has yet to begin with this
        self._reports.go_on(now)
        fired = self._reports.fired
        tick = self.plan.held(now, fired)
        self._begin_stage(tick, fired)
        states = self.plan.state(tick, fired, self._defaults)
        frozen = self._frozen_in(states)
        changes = frozen.parameters != self._freezer.frozen and self._freezer.applied
        if changes and not self._freezer.guard.by_parts:
            self._pending.warn_if_any(innermost(self.optimizer))
        if self._freezer.apply(frozen):
            self._arm()
            self._count_patterns()
        if self._freezer.guard.paused:
            thawing.thaw(self._freezer)
        if self.last_epoch >= 0:
            stretches = self.plan.timeline.stretches(fired)
            self._writer.enter(self.optimizer.param_groups, states, tick, stretches)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Work out the next tick at which there is more to do than to write what moves."""
        now, later = self.last_epoch, self._later()
        self._next = min(later, self._reports.due, self._warn_of_silence(), self._tempo.look_again(now))
        self._pace.rates_only = not self._more_to_come()
        self._pace.lost = LOST if not self._pace.rates_only or drives(self.plan) else None
        if self.done:
            self._next = -1  # what holds is written again at every tick, since the clock itself goes on

    def _later(self) -> int:
        """The next tick at which the rules change something, NEVER if there is none."""
        fired = self._reports.fired
        later = self.plan.next_change(self.plan.held(max(self.last_epoch, 0), fired), fired)
        return NEVER if later is None else later

    def _compare(self) -> None:
        """Hold the steps of the optimizer against those of the schedule."""
        if self.last_epoch >= 0:
            self._tempo.stepped(self.last_epoch, self._freezer.modules.forwards, self._more_to_come)

    def _more_to_come(self) -> bool:
        return self._later() < NEVER or len(self._reports.fired) < len(self.plan.events)

    def _warn_of_silence(self) -> int:
        """Name what waits for a metric that nobody reports; return when to look again."""
        overdue = [(tick, text) for tick, text in self._reports.overdue() if text not in self._warned]
        late = [text for tick, text in overdue if tick <= self.last_epoch]
        if late:
            self._warned.update(late)
            metrics.warn_of_silence(late)
        return min((tick for tick, text in overdue if text not in late), default=NEVER)

    def _begin_stage(self, tick: int, fired: Mapping[int, int]) -> None:
        """Note the stage, and drop the optimizer's state where one begins that asks for a fresh one."""
        number = self.plan.stage(tick, fired)
        begins = number != self._stage and self._stage is not None
        self._stage = number
        if begins and number and self.plan.timeline.calendar.stages[number - 1].fresh:
            self._state.forget(innermost(self.optimizer), self._binding.parameters.values())

    def _resume(self) -> None:
        # Gradients from before a load belong to no step of this run.
        self._pending.forget(innermost(self.optimizer))
        self._enter()

    def _frozen_in(self, states: tuple[GroupState, ...]) -> Frozen:
        frozen: set[str] = set()
        updating: set[str] = set()
        held: set[str] = set()
        for group, state in zip(self.plan.groups, states, strict=True):
            if group.planned and state.frozen:
                frozen.update(group.parameters)
                if state.statistics and group.kind == "trains":
                    updating.update(group.parameters)
            elif state.held:
                held.update(group.parameters)
        now = max(self.last_epoch, 0), self._reports.fired
        updating.update(name for name, behaviour in self._going_on if behaviour.freeze(*now).statistics)
        return Frozen(frozenset(frozen), frozenset(updating), frozenset(held))

    def _install(self) -> None:
        optimizer = innermost(self.optimizer)
        self._freezer.guard.install(optimizer)
        self._pending.install(optimizer)
        self._pace.install(optimizer)
        self._state.install(optimizer)
        hold_in_swaps(self._given, self._freezer.guard)

    def _arm(self) -> None:
        self._first_step.arm()
        # Weakly: the optimizer holds the guard, and must not keep its own scheduler and model alive.
        self._freezer.guard.check = _weakly(self._check_step)
        self._freezer.guard.captured = _weakly(self._check_capture)
        self._pace.compare = weakly(self._compare)
        self._state.loaded = _weakly(self._resume)
        self._freezer.modules.wrapped = _weakly(self._freezer.found_wrapped)
        self._freezer.modules.loaded = _weakly(self._arm)
        self._freezer.modules.began = _weakly(self._first_step.begin)

    def _check_step(self) -> None:
        self._first_step.check(self.optimizer.param_groups)

    def _check_capture(self) -> None:
        """Refuse a CUDA graph of the optimizer step that would outlive what it was captured for."""
        groups = self.optimizer.param_groups
        if any(g.schedule is not None or g.behaviour.moving for g in self.plan.groups) and not all(
            isinstance(group["lr"], Tensor) for group in groups
        ):
            raise TrainingError(
                "optimizer.step is being captured in a CUDA graph, where a rate that is a plain number never changes "
                "again; call layerlr_dsl.training.compiling.tensor_rates(optimizer) first"
            )
        tick, fired = self.last_epoch, self._reports.fired
        later = self.plan.next_change(tick, fired)
        while later is not None:
            frozen = self._frozen_in(self.plan.state(later, fired, self._defaults))
            if frozen.parameters != self._freezer.frozen:
                break
            later = self.plan.next_change(later, fired)
        if later is not None or len(fired) < len(self.plan.events):
            raise TrainingError(
                "optimizer.step is being captured in a CUDA graph, and the rules change later what is frozen: the "
                "graph would go on as it is. Capture it after the last change, or train without a graph"
            )

    def _count_patterns(self) -> None:
        self._patterns.add(self._freezer.frozen)
        total = max(len(self._patterns), len({phase.frozen for phase in self.plan.phases}))
        if (
            "compile" not in self._warned
            and compiling.passes_limit(total)
            and compiling.is_compiled(self._binding.model, self._freezer.root)
        ):
            self._warned.add("compile")
            compiling.warn_of_limit(total)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._install()
        self._arm()

    def __deepcopy__(self, memo: dict[int, Any]) -> LayerSchedule:
        import copy

        memo[id(self.plan)] = self.plan  # immutable, and holds compiled patterns
        made = LayerSchedule.__new__(LayerSchedule)
        memo[id(self)] = made
        made.__setstate__(copy.deepcopy(self.__dict__, memo))
        return made


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        alive = reference()
        if alive is not None:
            alive(*arguments)

    return call


def _set_rates(param_groups: list[dict[str, Any]], rates: Sequence[float | Tensor]) -> None:
    for group, rate in zip(param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _listed_stages(names: Sequence[str]) -> str:
    return f"the stages {', '.join(names)}" if names else "no stages"


def _warn_of_lapsed(given: Sequence[Set[str]], optimizer: Optimizer) -> None:
    """Warn of options that the rules give and the user's own optimizer lacks: torch takes them, and uses none."""
    lapsed = set().union(*given) - optimizer.defaults.keys()
    if lapsed and "lr" in optimizer.defaults:  # several as one have no common ones
        tell(
            f"{type(optimizer).__name__} has no {listed(sorted(lapsed))}, which the rules give: without effect. "
            "Name the optimizer in the rules, so that they are checked against it"
        )


def _defaults(plan: Plan, optimizer: Optimizer) -> dict[str, Any] | None:
    """The user's own defaults, for what the rules leave open; several optimizers have no common ones."""
    if len({group.optimizer for group in plan.groups}) > 1:
        return None
    first, *others = parts_of(optimizer) or (optimizer,)
    common = {
        key: value
        for key, value in first.defaults.items()
        if all(key in other.defaults and equal(value, other.defaults[key]) for other in others)
    }
    return {key: float(v) if isinstance(v, Tensor) else v for key, v in common.items()}
