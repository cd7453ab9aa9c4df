"""The training loop: steps, epochs, phases of the plan, and what to do when something goes wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from layerlr_dsl.runner.data import Batch
from layerlr_dsl.runner.display import Display, EpochRow, Now
from layerlr_dsl.runner.errors import DataFault, Diverged, RunFailed, StoppedWhilePreparing
from layerlr_dsl.runner.evaluate import Scores, evaluate
from layerlr_dsl.runner.feed import Feed
from layerlr_dsl.runner.interrupts import Interrupts
from layerlr_dsl.runner.order import Key, Order
from layerlr_dsl.runner.phases import PhaseWatch
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.records import Records
from layerlr_dsl.runner.step import Numerics, Result, Stepper
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.runner.watch import Watch
from layerlr_dsl.runner.wrapping import same_buffers
from layerlr_dsl.tools.numbers import plural, spelled

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.runner.config import TrainConfig
SKIPPED_IN_A_ROW = 50
UPDATES_PER_SECOND = 8.0


class Stopped(Exception):
    """A signal asked the run to stop; everything up to here is saved if anything is."""


@dataclass(slots=True)
class Parts:
    """Everything that a loop works with, built by `launch`."""

    config: TrainConfig
    model: nn.Module
    task: Task
    stepper: Stepper
    numerics: Numerics
    processes: Processes
    order: Order
    total_steps: int
    validation_count: int
    phases: PhaseWatch
    records: Records
    display: Display
    interrupts: Interrupts
    feed_of_phase: Callable[[Progress], Feed]
    watch: Watch
    odd: Callable[[Sequence[Key]], str | None]
    """What to say of training samples that hold numbers that are not finite; None where all is."""
    odd_validation: Callable[[], str | None]
    """The same of the validation part."""
    save: Callable[[Progress, bool], None]
    """Makes a checkpoint; the flag says that it is the best so far."""


MEND = "mend what is wrong there, or take it out of the data"
SKIP = f"{MEND}; `layerlr train --on-nan skip` leaves such steps out"
LOWER = "lower that group's rate, clip with --clip, or leave such steps out by --on-nan skip"


class Loop:
    """Runs from wherever `progress` stands to the end of the run."""

    def __init__(self, parts: Parts, progress: Progress) -> None:
        self._parts = parts
        self.progress = progress
        self._feed: Feed | None = None
        self._looked = False
        self._shown = 0.0
        self._began = time.monotonic()
        self._counted = 0

    def run(self) -> None:
        """Train to the end. Raises Stopped, or RunFailed where the run cannot go on."""
        parts, progress = self._parts, self.progress
        if progress.total < parts.total_steps:
            parts.phases.begin()
            parts.phases.tell(parts.display)
        while not self._over():
            self._began, self._counted = time.monotonic(), 0
            self._train(min(parts.order.steps_per_epoch, parts.total_steps - progress.total + progress.step))
            trained = time.monotonic()
            scores = self._validate()
            self._finish_epoch(scores, trained - self._began)

    def _over(self) -> bool:
        """Whether nothing is left to do; only at the end of an epoch."""
        parts, progress = self._parts, self.progress
        if progress.step > 0:
            return False
        if progress.total >= parts.total_steps:
            return True
        if parts.phases.done:
            parts.display.note(f"the last stage is over: the run ends after {progress.total} steps")
            return True
        return self._stalled()

    def _stalled(self) -> bool:
        """Whether the run is to stop early, which is told: no better epoch for as long as it was given."""
        parts, progress = self._parts, self.progress
        patience, best = parts.config.early_stop, progress.best_epoch
        if patience is None or best is None or progress.best is None or progress.epoch - 1 - best < patience:
            return False
        metric = parts.task.metric
        text = f"stopped early after epoch {progress.epoch - 1}: val_{metric.name} was best in epoch {best}"
        change = parts.phases.next_change_epoch(progress.total)
        later = f"; the rules had a change to come at epoch {spelled(change)}" if change is not None else ""
        parts.display.note(
            f"{text} ({metric.text(progress.best)}), {plural(patience, 'epoch')} before{later}"
        )
        return True

    # ------------------------------------------------------------ training

    def _train(self, steps: int) -> None:
        """The rest of the current epoch, of `steps` optimizer steps, phase after phase; less where the last
        stage ends within it.
        """
        while self.progress.step < steps and not (self.progress.step and self._parts.phases.done):
            feed = self._feed = self._choose_feed()
            self._parts.model.train()
            for batches in feed.training(self.progress.epoch, self.progress.step):
                changed = self._step(batches, feed, steps)
                if changed or self.progress.step >= steps or self._parts.phases.done:
                    break

    def _step(self, batches: list[Batch], feed: Feed, steps: int) -> bool:
        """One optimizer step and everything that hangs on it; whether another phase has begun."""
        parts, progress = self._parts, self.progress
        result = parts.stepper.compute(batches, feed.outputs, parts.interrupts.asked != 0)
        if result.applied:
            progress.skipped_in_a_row = 0
        else:
            self._left_out(result)
        if result.sound:
            parts.stepper.apply(result)
            progress.add(result.loss_sum, result.sums, result.count)
        progress.step += 1
        progress.total += 1
        self._counted += result.count
        parts.records.step(progress, result, steps)
        parts.phases.step()
        changed = parts.phases.changed()
        if progress.step < steps:
            parts.phases.tell(parts.display)
        self._show(steps, "training")
        parts.watch.step(progress.total, parts.total_steps)
        if result.stop or (parts.interrupts.asked and not parts.processes.several):
            self._stop()
        if parts.config.save_every and progress.total % parts.config.save_every == 0:
            parts.save(progress, False)
        return changed

    def _left_out(self, result: Result) -> None:
        """A step that moves nothing: told and refused as configured, or with fp16 the scaler's ordinary search.

        A search without end is told too: the run would else go through to its end and train nothing.
        """
        progress = self.progress
        if not result.sound:
            self._unsound(result)
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if progress.skipped_in_a_row >= SKIPPED_IN_A_ROW:
            told = self._fault(result).message
            raise Diverged(f"{SKIPPED_IN_A_ROW} steps in a row had to be left out; {told}")

    def _unsound(self, result: Result) -> None:
        """Raises RunFailed where such a step is to end the run; else it is told, and undone."""
        parts, fault = self._parts, self._fault(result)
        if parts.config.on_nan == "stop":
            raise fault
        parts.stepper.discard()
        if self.progress.skipped_in_a_row == 0:
            parts.display.note(f"{fault.message}; the step is left out")

    def _fault(self, result: Result) -> RunFailed:
        """What is wrong with a step that came to no finite number: its samples, or what training has come to."""
        what = "a gradient" if math.isfinite(result.loss_sum) else "the loss"
        text = f"step {self.progress.total} (epoch {self.progress.epoch}): {what} is not a finite number"
        odd, blame = self._parts.odd(self._keys()), self._parts.stepper.blame()
        if odd is not None:
            return DataFault(f"{text}; {odd}", SKIP)
        if blame is None:
            told = f"{text}; no group has a finite gradient, from the first step on"
            return RunFailed(told, "look for such numbers in the data and the weights")
        return Diverged(f"{text}; {blame}", LOWER)

    def _keys(self) -> list[Key]:
        """Of the samples of the step at hand."""
        order, progress, rank = self._parts.order, self.progress, self._parts.processes.rank
        batches = order.step(order.epoch(progress.epoch), progress.step, rank, progress.epoch)
        return [key for keys in batches for key in keys]

    # ------------------------------------------------------------ validation and the end of an epoch

    def _validate(self) -> Scores:
        parts = self._parts
        same_buffers(parts.model, parts.config.parallel)
        batches = -(-parts.validation_count // parts.order.batch)

        def stopped(index: int) -> bool:
            self._show(batches, "validating", index + 1)
            parts.watch.busy()
            # several processes can only stop together, so they finish the validation first
            return parts.interrupts.asked != 0 and not parts.processes.several

        # a thaw after the last step has changed no weight yet: what was remembered still holds
        feed = self._feed or self._choose_feed()
        scores = evaluate(parts.model, feed, parts.task, parts.numerics, parts.processes, stopped)
        if scores is None:
            self._stop()
        if not math.isfinite(scores.loss) and not self._looked:
            self._look_for_odd_samples()
        return scores

    def _look_for_odd_samples(self) -> None:
        """Once: of the validation part, by which no epoch would have a score. Raises DataFault, or tells of them."""
        parts, self._looked = self._parts, True
        odd = parts.odd_validation()
        if odd is None:
            return
        text = f"epoch {self.progress.epoch}: the validation loss is not a finite number; {odd}"
        if parts.config.on_nan == "stop":
            raise DataFault(text, MEND)
        parts.display.note(f"warning: {text}; no epoch will be the best")

    def _finish_epoch(self, scores: Scores, training_seconds: float) -> None:
        parts, progress = self._parts, self.progress
        seconds = time.monotonic() - self._began
        progress.seconds += seconds
        progress.val_loss, progress.val_metrics = scores.loss, scores.metrics
        value = scores.of(parts.task.metric)
        best = parts.task.metric.better(value, progress.best)
        if best:
            progress.best, progress.best_epoch = value, progress.epoch
        row = EpochRow(
            progress.epoch,
            progress.loss,
            progress.value(parts.task),
            scores.loss,
            value,
            seconds,
            self._counted / max(training_seconds, 1e-9),
            progress.trainable_share,
            best,
        )
        parts.records.epoch(progress, row)
        parts.phases.report(progress, scores, parts.task)
        progress.next_epoch()
        parts.display.epoch(row)
        parts.phases.changed()
        if progress.total < parts.total_steps:
            parts.phases.tell(parts.display)
        parts.save(progress, best)
        parts.watch.epoch(row, parts.total_steps / parts.order.steps_per_epoch)

    # ------------------------------------------------------------ helpers

    def _choose_feed(self) -> Feed:
        try:
            return self._parts.feed_of_phase(self.progress)
        except StoppedWhilePreparing:
            self._stop()

    def _stop(self) -> NoReturn:
        self._parts.save(self.progress, False)
        raise Stopped

    def _show(self, steps: int, what: str, step: int | None = None) -> None:
        now = time.monotonic()
        if now - self._shown < 1 / UPDATES_PER_SECOND:
            return
        self._shown = now
        parts, progress = self._parts, self.progress
        parts.display.update(
            Now(
                epoch=progress.epoch,
                epochs=parts.total_steps / parts.order.steps_per_epoch,
                step=progress.step if step is None else step,
                steps=steps,
                loss=progress.loss,
                value=progress.value(parts.task),
                samples_per_second=self._counted / max(now - self._began, 1e-9),
                groups=parts.phases.rows(),
                what=what,
                stage=parts.phases.stage,
            )
        )
