"""ignite: a handler that steps the schedule of an engine and reports metrics to it.

FollowEngine(schedule).attach(trainer, evaluator)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ignite.engine import Events

from layerlr_dsl.training import following

if TYPE_CHECKING:
    from layerlr_dsl.training.schedule import LayerSchedule


@dataclass(frozen=True)
class FollowEngine:
    """Keeps a schedule at the pace of an engine, and proves frozen tensors when its run is over.

    accumulate: iterations that make one optimizer step, as `create_supervised_trainer` is told.
    """

    schedule: LayerSchedule
    accumulate: int = 1

    def attach(self, trainer: Any, evaluator: Any = None) -> None:
        """Step with the trainer, over the length of its run; report what it and the evaluator measure."""
        trainer.add_event_handler(Events.STARTED, self._begin)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._turn)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._report)
        trainer.add_event_handler(Events.COMPLETED, self._end)
        if evaluator is not None:
            evaluator.add_event_handler(Events.COMPLETED, self._report)

    def _begin(self, engine: Any) -> None:
        """Take over the length of the run; where an epoch has none, it is as the rules were resolved."""
        length, epochs = engine.state.epoch_length, engine.state.max_epochs
        if not self.schedule.plan.clock.counts_steps or length is None:
            return
        if epochs is None:
            self.schedule.relength(steps_per_epoch=Fraction(length, self.accumulate))
        else:
            self.schedule.relength(**following.length_of(length, epochs, self.accumulate))

    def _turn(self, engine: Any) -> None:
        """The epoch before is over, and so are the evaluations that handlers ran at its end."""
        if engine.state.epoch > 1:
            self._over(engine.state.epoch - 1)

    def _over(self, epochs: int) -> None:
        self.schedule.report(end_of_epoch=True)
        if not self.schedule.plan.clock.counts_steps and self.schedule.last_epoch < epochs:
            self.schedule.step()

    def _step(self, engine: Any) -> None:
        if self.schedule.plan.clock.counts_steps and engine.state.iteration % self.accumulate == 0:
            self.schedule.step()

    def _report(self, engine: Any) -> None:
        self.schedule.report(following.named(engine.state.metrics, self.schedule.waits_for))

    def _end(self, engine: Any) -> None:
        """Raises FrozenMoved."""
        self._over(engine.state.epoch)
        following.finish(self.schedule)
