"""The plan at work: a learning-rate scheduler that sets each group's rate, freezes and thaws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer

from layerlr_dsl.model import live
from layerlr_dsl.optim.several import parts_of
from layerlr_dsl.plan.clock import Clock, Steps
from layerlr_dsl.plan.stages import NEVER
from layerlr_dsl.tools.numbers import plural, ratio, spelled
from layerlr_dsl.training import callers, compiling, copies, flags, metrics, modes, parallel, thawing
from layerlr_dsl.training.agreement import require_agreement
from layerlr_dsl.training.averages import hold_in_averages
from layerlr_dsl.training.binding import Binding, holds, innermost
from layerlr_dsl.training.boundary import PendingGradients
from layerlr_dsl.training.errors import TrainingError, listed, tell
from layerlr_dsl.training.firststep import FirstStep
from layerlr_dsl.training.freezing import Freezer
from layerlr_dsl.training.holding import bind, is_part, named
from layerlr_dsl.training.hooks import weakly
from layerlr_dsl.training.pace import Pace, Tempo, drives, moves
from layerlr_dsl.training.parts import together
from layerlr_dsl.training.rates import Factors, Writer
from layerlr_dsl.training.relength import relengthed
from layerlr_dsl.training.reporting import Reports
from layerlr_dsl.training.saved_state import Carried, equal
from layerlr_dsl.training.state import StateByName
from layerlr_dsl.training.stepping import Stepped
from layerlr_dsl.training.swaps import hold_in_swaps, let_swap
from layerlr_dsl.training.timetable import Timetable

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan

VERSION = 1
LOST = (
    "the schedule of this optimizer is gone, and the optimizer goes on: rates stand still, and what the rules freeze or "
    "thaw later never is. Keep what plan.schedule(model, optimizer) returns, and step it; a callback such as "
    "StochasticWeightAveraging may have put another in its place"
)


class LayerSchedule(Stepped):
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
        require_agreement(plan, lambda: bind(plan, model))
        parallel.refuse_sharded_adafactor(innermost(optimizer))
        gone = copies.leave_out(plan, model, innermost(optimizer))
        self._binding = Binding(plan, model, optimizer.param_groups)
        way = parallel.way_to_freeze(model, self._binding.parameters.values())
        owned, fixed = self._binding.owned, self._binding.fixed
        self._freezer = Freezer(live.unwrap(model), owned, (), way, fixed)
        self._first_step = FirstStep(self._binding, self._freezer)
        self._pending = PendingGradients()
        self._pace = Pace()
        self._state = StateByName.after(innermost(optimizer), (), self._binding.parameters)
        self._state.leave_out(gone)
        _warn_of_part(plan, model, self._binding)
        _warn_of_unplanned(self._binding, optimizer)
        self._defaults = _defaults(self._binding.plan, innermost(optimizer))
        given = self._follow(plan, optimizer)
        _warn_of_lapsed(plan, given, innermost(optimizer))
        _warn_of_lasting_freezes(plan)
        self.logged: dict[str, float | Tensor] = {}
        """By name, the rate of each group of which something trained when a Trainer last asked for rates."""
        self._stage: int | None = None
        self._patterns: set[frozenset[str]] = set()
        self._warned: set[str] = set()
        super().__init__(optimizer, last_epoch)

    def _follow(self, plan: Plan, optimizer: Optimizer) -> list[frozenset[str]]:
        """Go by a plan: the one this is made for, or the same rules on another clock. Returns what it gives each group."""
        self.plan, whole = plan, plan
        plan = self._binding.go_by(whole)
        self._freezer.for_ever = frozenset(
            name for group in plan.groups if group.kind == "frozen" for name in group.parameters
        )
        follows = self._binding.follow(optimizer.param_groups)
        given = [frozenset() if row is None else plan.groups[row].given for row in follows]
        if not self._state.inherited:
            self._state.planned = given
        self._reports = Reports(whole)
        self._writer = Writer(plan, follows, Factors(self._reports.plateaus.states))
        self._tempo = Tempo(self._pace, plan.clock, moves(whole))
        self._timetable = Timetable(plan, self._reports, self._defaults)
        self._next = self._at = -1
        return given

    def get_last_lr(self) -> list[float | Tensor]:
        """The learning rate of each group as it is now; tensors are copies.

        For a Trainer of transformers, which logs the first, the groups begin with one that trains.
        """
        rates = super().get_last_lr()
        if not callers.logs_one_rate():
            return rates
        groups = self.optimizer.param_groups
        sizes = [self._trainable(group) for group in groups]
        self.logged = {
            str(group.get("name", place)): rates[place] for place, group in enumerate(groups) if sizes[place]
        }
        first = sizes.index(max(sizes))
        return rates[first:] + rates[:first]

    def _trainable(self, group: Mapping[str, Any]) -> int:
        held = set(map(id, self._freezer.guard.frozen))
        return sum(live.numel(p) for p in group["params"] if id(p) not in held and p.requires_grad)

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Clock, frozen set, metric waits and plateaus as plain data (`weights_only=True` loads it)."""
        return {
            "version": VERSION,
            "last_epoch": self.last_epoch,
            "steps_per_epoch": _plain(self.plan.clock.steps_per_epoch),
            "_step_count": self._step_count,
            "frozen": sorted(self._freezer.frozen),
            **self._reports.state_dict(),
            "stage": self.stage,
            "stages": self._timetable.stages(self.last_epoch),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up the run where `state_dict` left it, under the rules of this schedule's own plan.

        Conditions and plateaus are known by their text, so an edited rule file keeps what it can. Where an
        epoch has another number of steps now, the run goes on at the same place in the same epoch.
        Raises ValueError for a state of another kind.
        """
        _require_whole(state_dict)
        self._timetable.require_stages(state_dict.get("stages", ()))
        clock = self.plan.clock
        saved = Clock(None, ratio(state_dict.get("steps_per_epoch", clock.steps_per_epoch)))
        self._loop = None
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

    # ------------------------------------------------------------ what it adds

    def __repr__(self) -> str:
        """`<LayerSchedule: step 40 of 100, stage head; lr 1e-5 to 1e-3; 4 parameters frozen>`."""
        total, stage = self.plan.clock.total, f", stage {self.stage}" if self.stage else ""
        now = self.plan.words(max(self.last_epoch, 0)) + (f" of {total}" if total is not None else "")
        live = [
            group for group in self.optimizer.param_groups if any(p.requires_grad for p in group["params"])
        ]
        rates = sorted(float(group["lr"]) for group in live if "lr" in group)
        ends = dict.fromkeys(rates[:1] + rates[-1:])
        lr = f"; lr {' to '.join(spelled(rate, 4) for rate in ends)}" if ends else ""
        return f"<LayerSchedule: {now}{stage}{lr}; {plural(len(self.frozen), 'parameter')} frozen>"

    @property
    def stage(self) -> str | None:
        """The name of the stage that runs now; None where the rules have no stages."""
        return self._timetable.stage_name(self.last_epoch)

    @property
    def done(self) -> bool:
        """Whether the run, or the last of its stages, is over: the last state holds, and there is nothing to train for."""
        total = self.plan.clock.total
        return self._timetable.over(self.last_epoch) or (total is not None and self.last_epoch >= total)

    def relength(
        self,
        *,
        steps_per_epoch: float | Fraction | None = None,
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
        require_agreement(plan)
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
        if reported and not known:
            self._reports.warn_of_unknown(reported)
        if self._reports.hear(known, self.last_epoch, over=end_of_epoch, at_end=self._at_end_of_epoch()):
            self._enter()
        else:
            self._look_ahead()

    def _at_end_of_epoch(self) -> bool:
        clock, tick = self.plan.clock, self.last_epoch
        if not clock.counts_steps:  # a report before `step()` may be the epoch's first of several
            return self._tempo.since_last() == 0
        return clock.knows_epochs and clock.end_of_epoch(self._reports.epoch(tick)) == tick

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
        self._first_step.release()
        self._freezer.release()
        for hook in (self._freezer.guard, self._pending, self._pace, self._state):
            hook.uninstall(innermost(self.optimizer))
        let_swap(self._given)

    # ------------------------------------------------------------ inside

    def _forwards(self) -> int:
        return self._freezer.modules.forwards

    def _ask_the_caller(self) -> None:
        """Go by the steps that an epoch of the calling loop really has, where it is one that knows."""
        if self._loop is None:
            self._loop = callers.loop(0 if self.last_epoch == 1 else None)
        found = None if self._loop is None else self._loop.look(self.last_epoch)
        real = callers.steps_per_epoch() if found is None else found[1]
        if real is not None:
            self._go_by_real(real)
        self._tempo.compare_length(callers.steps_in_all(), self._more_to_come())

    def _follow_the_loop(self, loop: callers.Loop) -> None:
        """Go by what a loop has shown since: accumulation that changed, an epoch that was counted."""
        found = loop.look(self.last_epoch)
        if found is not None and found[1] != self.plan.clock.steps_per_epoch:
            epoch, real = found
            self._go_by_real(real, epoch)
            if epoch is not None:
                loop.begin(epoch, self.last_epoch)
        total = loop.total()
        if total is not None:
            self._tempo.compare_length(total, self._more_to_come())

    def _go_by_real(self, real: Steps, epoch: int | None = None) -> None:
        planned = self.plan.clock.steps_per_epoch
        if planned is None or real == planned or callers.tries():
            return
        if not self._tempo.told_of_epochs:
            self._tempo.told_of_epochs, taken = True, str(real)
            tell(
                f"the rules were resolved with {planned} optimizer steps in an epoch, and the loop that calls "
                f"schedule.step() takes {taken}: the schedule goes by {taken} now. Resolve them with "
                f"steps_per_epoch={taken}, or call schedule.relength(steps_per_epoch={taken}) before training"
            )
        self.relength(steps_per_epoch=real, epoch=epoch)

    def _enter(self) -> None:
        """Put everything in the state that the plan has it in at this tick."""
        self._install()
        tick = self._at = self.last_epoch
        self._reports.go_on(tick)
        self._begin_stage(self._timetable.stage(tick))
        states = self._timetable.states(tick)
        frozen = self._timetable.frozen(tick, states)
        changes = frozen.parameters != self._freezer.frozen and self._freezer.applied
        if changes and not self._freezer.guard.by_parts:
            self._pending.warn_if_any(innermost(self.optimizer))
        if self._freezer.apply(frozen):
            self._arm()
            self._count_patterns()
        if self._freezer.guard.paused:
            thawing.thaw(self._freezer)
        if tick >= 0:  # below it a container has yet to begin with this
            held, stretches = self._timetable.held(tick), self._timetable.stretches
            self._writer.enter(self.optimizer.param_groups, states, held, stretches)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Work out the next tick at which there is more to do than to write what moves."""
        now, later = self.last_epoch, self._timetable.later(self.last_epoch)
        silence = self._reports.warn_of_silence(now)
        self._next = min(later, self._reports.due, silence, self._tempo.look_again(now))
        self._pace.rates_only = later == NEVER and not self._timetable.waits()
        self._pace.lost = LOST if not self._pace.rates_only or drives(self.plan) else None
        if self._timetable.over(self.last_epoch):
            self._next = -1  # what holds is written again at every tick, since the clock itself goes on

    def _compare(self) -> None:
        """Hold the steps of the optimizer against those of the schedule."""
        if self.last_epoch >= 0:
            self._tempo.stepped(self.last_epoch, self._forwards(), self._more_to_come)

    def _more_to_come(self) -> bool:
        return self._timetable.later(self.last_epoch) < NEVER or self._timetable.waits()

    def _begin_stage(self, stage: int) -> None:
        """Note the stage, and drop the optimizer's state where one begins that asks for a fresh one."""
        before, self._stage = self._stage, stage
        if before is not None and self._timetable.begins_fresh(before, stage):
            self._state.forget(innermost(self.optimizer), self._binding.parameters.values())

    def _resume(self) -> None:
        # Gradients from before a load belong to no step of this run.
        self._pending.forget(innermost(self.optimizer))
        self._enter()

    def _install(self) -> None:
        optimizer = innermost(self.optimizer)
        self._freezer.guard.install(optimizer)
        self._pending.install(optimizer)
        self._pace.install(optimizer)
        self._state.install(optimizer)
        hold_in_swaps(self._given, self._freezer.guard)

    def _begin(self) -> None:
        """Look at how the model is used ahead of its first forward pass after a change."""
        hold_in_averages()  # of a library that was imported since
        self._require_use()
        groups = self.optimizer.param_groups
        if copies.are_stepped(self._binding.known(), groups):
            copies.refuse_changes(self.plan, innermost(self.optimizer))
            self._pace.together = len(groups)
        elif copies.may_come() and parallel.ranks() == 1:
            self._freezer.harden()
        self._first_step.begin()

    def _require_use(self) -> None:
        """Raise TrainingError where a Trainer of transformers trains with another optimizer than that of the rules."""
        trainer = callers.training(self._freezer.root, live.unwrap)
        used = None if trainer is None else trainer.optimizer
        if used is None or holds(used, (self.optimizer, innermost(self.optimizer))):
            return
        raise TrainingError(
            "the Trainer trains with an optimizer of its own, and not with the one that this schedule drives: no rate of "
            "the rules would hold, and nothing that thaws would train. Under DeepSpeed it drops what it was given as "
            "`optimizers`; use layerlr_dsl.training.transformers.LayerTrainer(model, args, rules=...) there, and hand "
            "over both everywhere else: Trainer(optimizers=(optimizer, schedule))"
        )

    def _arm(self) -> None:
        self._first_step.arm()
        # Weakly: the optimizer holds the guard, and must not keep its own scheduler and model alive.
        self._freezer.guard.check = weakly(self._check_step)
        self._freezer.guard.flags = weakly(self._first_step.check_flags)
        self._freezer.guard.captured = weakly(self._check_capture)
        self._pace.compare = weakly(self._compare)
        self._state.loaded = weakly(self._resume)
        self._freezer.modules.wrapped = weakly(self._freezer.found_wrapped)
        self._freezer.modules.loaded = weakly(self._arm)
        self._freezer.modules.began = weakly(self._begin)

    def _check_step(self) -> None:
        self._first_step.check(self.optimizer.param_groups)

    def _check_capture(self) -> None:
        """Refuse a CUDA graph of the optimizer step that would outlive what it was captured for."""
        compiling.refuse_stale_capture(
            self.optimizer.param_groups, drives(self.plan), self._timetable.freezes_later(self.last_epoch)
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


def _require_whole(state: Mapping[str, Any]) -> None:
    """Raise ValueError for what is no state of a schedule, or one that was damaged."""
    if state.get("version") != VERSION or "conditions" not in state:
        raise ValueError("this is no state of a layerlr schedule, or one of another version")
    per_epoch = state.get("steps_per_epoch", 1)
    steps = None if per_epoch is None else ratio(per_epoch)
    bad = [key for key in ("last_epoch", "_step_count", "plateaus") if key not in state]
    bad += [key for key in ("last_epoch", "_step_count") if key in state and not _counts(state[key])]
    bad += ["steps_per_epoch"] if per_epoch is not None and (steps is None or steps <= 0) else []
    if bad:
        raise ValueError(
            f"the state of this schedule was damaged since it was saved: {listed(bad)} is not what it can be"
        )


def _counts(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= -1


def _plain(steps: Steps | None) -> int | str | None:
    """As a checkpoint may hold it and `weights_only=True` reads it: a fraction as `25/4`."""
    return steps if steps is None or isinstance(steps, int) else str(steps)


def _warn_of_part(plan: Plan, model: nn.Module, binding: Binding) -> None:
    """Warn of a part that nobody has called one, in the only process that there is."""
    held, all_of_them = len(binding.parameters), len(plan.inventory)
    if is_part(plan, binding.parameters) and not named(model) and parallel.ranks() == 1:
        tell(
            f"the model holds {held} of the {all_of_them} parameters that the rules were resolved for, and was taken for a part "
            "of it, as one of several processes has it; if it is not, resolve the rules on this model. A mapping from "
            "names to parameters says that it is"
        )


def _warn_of_unplanned(binding: Binding, optimizer: Optimizer) -> None:
    """Warn of what no rule was asked about and no optimizer holds: layers that came after the rules were resolved."""
    planned = set(map(id, binding.parameters.values()))
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    unplanned = [
        name
        for name, p in live.named_parameters(binding.model).items()
        if p.requires_grad and id(p) not in planned and id(p) not in held
    ]
    if unplanned:
        tell(
            f"{listed(unplanned)}: the model has {'it' if len(unplanned) == 1 else 'them'}, the rules were resolved without, "
            "and this optimizer trains none. Resolve the rules on the model as it is now; set requires_grad to False "
            "if another optimizer, or none, is to train there"
        )


def _warn_of_lapsed(plan: Plan, given: Sequence[Set[str]], optimizer: Optimizer) -> None:
    """Warn of options that the rules give and the user's own optimizer lacks: torch takes them, and uses none."""
    checked = set().union(*(choice.info.options for choice in plan.optimizers))
    lapsed = set().union(*given) & checked - optimizer.defaults.keys()
    own_rate = any(group.get("relative_step") for group in optimizer.param_groups)
    if own_rate and any("lr" in options for options in given):
        tell(
            f"{type(optimizer).__name__} finds its rate by itself (relative_step), so that the rates of the rules have "
            "no effect; build it with relative_step=False and scale_parameter=False"
        )
    if lapsed and "lr" in optimizer.defaults:  # several as one have no common ones
        tell(
            f"{type(optimizer).__name__} has no {listed(sorted(lapsed))}, which the rules give: without effect. "
            "Name the optimizer in the rules, so that they are checked against it"
        )


def _warn_of_lasting_freezes(plan: Plan) -> None:
    """Say what nobody can find who validates the file: something has frozen this model before the rules saw it.

    A callback of a framework often has.
    """
    for found in plan.diagnostics:
        if found.code == "LR322":
            tell(f"{found.message}; {found.help}")


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
