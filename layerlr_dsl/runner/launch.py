"""A run from its configuration to its summary: fresh or resumed, finished, stopped or failed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner import (
    about,
    checkpoint,
    fingerprint,
    lock,
    logs,
    odd,
    processes,
    resume,
    savings,
    snapshot,
)
from layerlr_dsl.runner.about import About
from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.devices import describe
from layerlr_dsl.runner.display import Display, Silent
from layerlr_dsl.runner.errors import Enough, RunFailed, RunInterrupted, RunnerError
from layerlr_dsl.runner.evaluate import Scores, evaluate
from layerlr_dsl.runner.feed import ModelFeed
from layerlr_dsl.runner.feeds import FeedChoice
from layerlr_dsl.runner.folder import RunFolder, rule_texts
from layerlr_dsl.runner.interrupts import Interrupts
from layerlr_dsl.runner.loop import Loop, Parts, Stopped
from layerlr_dsl.runner.metrics import finite
from layerlr_dsl.runner.mishaps import explained
from layerlr_dsl.runner.phases import PhaseWatch
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.records import Records
from layerlr_dsl.runner.setup import Built, build
from layerlr_dsl.runner.step import KeptBuffers, Stepper
from layerlr_dsl.runner.stock import Stock
from layerlr_dsl.runner.summary import summary, write_plot
from layerlr_dsl.runner.watch import Watch
from layerlr_dsl.runner.wrapping import accumulating, same_buffers
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.seeds import mix
from layerlr_dsl.training import chance

if TYPE_CHECKING:
    from layerlr_dsl.language.diagnostics import Diagnostic

# what a checkpoint of odd content does to the code that takes it in
ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, StopIteration)


@dataclass(frozen=True, slots=True)
class Asked:
    """A configuration with what concerns this start alone.

    `changes` tell in what it differs from the run it resumes, `again` is the command that resumes this one,
    and `warn` hears what the rules are warned of.
    """

    config: TrainConfig
    resume: bool = False
    accept_rule_changes: bool = False
    accept_data_changes: bool = False
    changes: tuple[str, ...] = ()
    again: str = "the same command with --resume"
    warn: Callable[[Sequence[Diagnostic]], None] = lambda found: None
    watch: Watch = field(default_factory=Watch)
    """Hears of every step and epoch."""
    test: bool = True
    """Whether the test part, where there is one, is reported at the end."""
    stock: Stock | None = None
    """What this run has in common with others of the process."""


def train(asked: Asked, display: Display) -> dict[str, Any]:
    """Run to the end and return the summary.

    Raises RuleError for findings in the rules, RunnerError for what cannot be used, RunFailed where the
    run could not go on, RunInterrupted after it was saved at a signal.
    """
    place = processes.join(asked.config)
    shown = display if place.first else Silent()
    try:
        with _warnings_shown(shown):
            return _Run(asked, place, shown).go()
    finally:
        processes.leave()


@contextmanager
def _warnings_shown(display: Display) -> Iterator[None]:
    """What the training side warns of is for the user of the run, not for a developer's log."""
    from layerlr_dsl.training.errors import ScheduleWarning, StateNotCarried

    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, ScheduleWarning | StateNotCarried):
                display.note(f"warning: {message}")
            else:
                before(message, category, *rest, **more)

        warnings.showwarning = show
        yield


class _Run:
    def __init__(self, asked: Asked, place: Processes, display: Display) -> None:
        self.asked = asked
        self.config = asked.config
        self.place = place
        self.display = display
        self.interrupts = Interrupts()
        self.folder = RunFolder(self.config.out) if self.config.out is not None else None
        self.progress = Progress()
        self.plot: Path | None = None
        self._weights: str | None = None
        self._fingerprint: fingerprint.Fingerprint | None = None
        self.tested: Scores | None = None
        self.tested_epoch: int | None = None
        self._drawn: dict[int, int] | None = None

    def go(self) -> dict[str, Any]:
        self.display.start()
        try:
            with lock.held(self.folder.path, self.place) if self.folder is not None else nullcontext():
                return self._go()
        except KeyboardInterrupt:
            raise self._cut_short() from None
        finally:
            self.display.stop()

    def _go(self) -> dict[str, Any]:
        logs.check(self.config.log, self.config.out)
        for change in self.asked.changes:
            self.display.note(f"changed since the run began: {change}")
        found = self._checkpoint()
        built = build(self.config, self.place, fresh=found is None, stock=self.asked.stock)
        self.display.metric = built.task.metric
        for note in built.notes:
            self.display.note(note)
        for warning in built.warnings:
            self.display.note(f"warning: {warning}")
        if self.place.first:
            self.asked.warn(built.plan.diagnostics)
        self.phases = PhaseWatch(built.plan, built.model, built.schedule, built.optimizer)
        if found is not None:
            self._restore(built, found)
        self._describe(built)
        self._train(built)
        return self._finish(built)

    # ------------------------------------------------------------ before the first step

    def _checkpoint(self) -> checkpoint.Found | None:
        if self.folder is None:
            return None
        if not self.asked.resume:
            self.folder.check_free()
            return None
        found = checkpoint.load(self.folder.path)
        if found is None:
            self.display.note(f"{self.folder.path} holds no checkpoint yet: starting from the beginning")
            return None
        for text in found.skipped:
            self.display.note(f"{text}; going on from {found.path.name}")
        return found

    def _restore(self, built: Built, found: checkpoint.Found) -> None:
        try:
            self._take_in(built, found)
        except RunnerError:
            raise
        except ODD as fault:
            raise RunnerError(
                f"{found.path} does not fit this run: {type(fault).__name__}: {first_line(fault)}",
                f"if it is damaged, put {checkpoint.PREVIOUS} in its place",
            ) from fault

    def _take_in(self, built: Built, found: checkpoint.Found) -> None:
        content = found.content
        resume.check_names(content["rules"])
        stored = resume.Said(content["rules"], content["lets"])
        now = resume.said(built.rules.checked.sources, self.config.lets)
        changes = resume.check_rules(stored, now, built.plan, self.asked.accept_rule_changes)
        if changes is not None:
            self.display.note(changes)
        told = fingerprint.check(content["data"], self._data_now(built), self.asked.accept_data_changes)
        if told is not None:
            self.display.note(told)
        self._weights = about.read(content["about"], found.path).weights
        self.display.note(self._weights)
        checkpoint.check_model(content, snapshot.model_state(built.model), found.path)
        snapshot.load_model_state(built.model, content["model"])
        snapshot.load_optimizer_state(built.optimizer, content["optimizer"])
        built.schedule.load_state_dict(content["schedule"])
        built.numerics.scaler.load_state_dict(content["scaler"])
        self.progress = Progress.of(content["progress"])
        self._restore_chance(content["rng"])
        self.phases.look()
        at = f"epoch {self.progress.epoch}, step {self.progress.step}"
        self.display.note(f"resumed from {found.path}: {at}")

    def _data_now(self, built: Built) -> fingerprint.Fingerprint:
        """What the data looks like; looked at once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint.of(built.data)
        return self._fingerprint

    def _about(self, built: Built) -> About:
        """What the model is and takes; where its weights come from is for the run's first start to say."""
        return built.about.model_copy(update={"weights": self._weights or built.about.weights})

    def _restore_chance(self, states: list[dict[str, Any]]) -> None:
        if len(states) == self.place.world:
            chance.restore(states[self.place.rank])
        else:
            # other processes than before: none can go on where one left off, so all start anew, repeatably
            chance.seed_everything(mix(self.config.seed, self.progress.total), self.place.rank)

    def _describe(self, built: Built) -> None:
        if self.folder is None:
            return
        self._data_now(built)  # before training: a sample that cannot be read would spoil the first save
        if not self.place.first:
            return
        with self.interrupts:  # what writes JSON would say of Ctrl-C that it cannot write it
            self.folder.describe(
                self.config, built.rules.checked.sources, built.plan.to_json(), self._about(built)
            )
        missing = self.folder.metrics.cut(self.progress.metrics_size)
        if missing:
            self.display.note(f"metrics.jsonl lacks {missing} bytes of what the checkpoint has seen written")
        if not self.asked.resume:
            self.folder.timing.cut(0)
        self._draw(built)

    # ------------------------------------------------------------ training

    def _train(self, built: Built) -> None:
        folder = self.folder if self.place.first else None
        written = self._logs(built) if folder is not None else []
        choice = FeedChoice(
            self.config,
            built.model,
            built.data,
            built.order,
            built.loading,
            built.numerics,
            built.task,
            self.phases,
            self.display,
            folder.path if folder is not None else None,
            self._busy,
            self.asked.stock,
        )
        stepper = Stepper(
            built.optimizer,
            built.numerics,
            self.place,
            built.task,
            clip=self.config.clip,
            accumulating=accumulating(built.model, self.config.parallel),
            buffers=KeptBuffers(built.model) if self.config.on_nan == "skip" else None,
        )
        parts = Parts(
            config=self.config,
            model=built.model,
            task=built.task,
            stepper=stepper,
            numerics=built.numerics,
            processes=self.place,
            order=built.order,
            total_steps=built.plan.clock.total or 0,
            validation_count=len(built.data.validation),
            phases=self.phases,
            records=Records(folder, self.phases.standing, built.order.steps_per_epoch, built.task, written),
            display=self.display,
            interrupts=self.interrupts,
            feed_of_phase=choice,
            watch=self.asked.watch,
            odd=lambda keys: odd.told(built.data, keys),
            odd_validation=lambda: odd.told_of_validation(built.data),
            save=lambda progress, best: self._save(built, progress, best),
        )
        self._tell_savings(built)
        try:
            with self.interrupts:
                Loop(parts, self.progress).run()
                self._test(built)
        except Stopped:
            raise self._interrupted() from None
        except (RunnerError, Enough, KeyboardInterrupt):
            raise
        except Exception as fault:
            raise explained(fault, self.progress.total) from fault
        finally:
            for log in written:
                log.close()

    def _busy(self) -> bool:
        """Whether to stop, asked now and then by what takes long."""
        self.asked.watch.busy()
        return self.interrupts.asked != 0

    def _tell_savings(self, built: Built) -> None:
        if isinstance(self.display, Silent) or self.progress.total or not self.phases.frozen_parameters:
            return
        said = savings.of_run(built, self.config, self.phases.trainable_share)
        if said is not None:
            self.display.note(said)

    def _logs(self, built: Built) -> list[logs.Log]:
        assert self.folder is not None
        columns = logs.Columns(
            built.metrics, [str(g.get("name", i)) for i, g in enumerate(built.optimizer.param_groups)]
        )
        past = logs.past_rows(self.folder.metrics.path)
        return logs.open_logs(self.config.log, self.folder.path, columns, past)

    def _test(self, built: Built) -> None:
        """Score the test part once, with the best weights where they were kept. Raises Stopped."""
        if built.data.test is None or not self.asked.test:
            return
        epoch = self._take_best(built)
        data = replace(built.data, validation=built.data.test)
        feed = ModelFeed(built.model, data, built.order, built.loading, built.task)
        stopped = lambda index: self.interrupts.asked != 0 and not self.place.several  # noqa: E731
        self.tested = evaluate(built.model, feed, built.task, built.numerics, self.place, stopped)
        if self.tested is None:
            raise Stopped
        self.tested_epoch = epoch

    def _take_best(self, built: Built) -> int:
        """Put the weights of the best epoch in place; which epoch's are there now."""
        last, best = self.progress.epoch - 1, self.progress.best_epoch
        if self.folder is None or best is None or best == last:
            return last
        path = self.folder.path / checkpoint.BEST
        try:
            content = checkpoint.read(path)
        except checkpoint.Unusable as fault:
            self.display.note(f"{path} {fault}; the test is of the last weights")
            return last
        snapshot.load_model_state(built.model, content["model"])
        return best

    def _draw(self, built: Built) -> None:
        """Draw the plan, once at the start, and again where a metric has moved it since."""
        fired = self.phases.fired()
        if self.folder is not None and self.place.first and fired != self._drawn:
            title = f"{self.config.rules.name}: {built.spec}"
            self.plot = write_plot(built.plan, title, self.folder.path, fired)
            self._drawn = fired

    def _save(self, built: Built, progress: Progress, best: bool) -> None:
        """A checkpoint of this very moment; every process takes part, the first one writes."""
        if self.folder is None:
            return
        same_buffers(built.model, self.config.parallel)
        content = {
            "model": snapshot.model_state(built.model),
            "optimizer": snapshot.optimizer_state(built.optimizer),
            "schedule": built.schedule.state_dict(),
            "scaler": built.numerics.scaler.state_dict(),
            "progress": progress.to_dict(),
            "rules": rule_texts(built.rules.checked.sources),
            "lets": dict(self.config.lets),
            "data": self._data_now(built),
            "about": self._about(built).model_dump(mode="json"),
            "rng": self.place.gather(chance.capture()),
        }
        problem: RunFailed | None = None
        if self.place.first:
            try:
                self.folder.metrics.sync()
                checkpoint.save(self.folder.path, content, best=best)
            except RunFailed as fault:
                problem = fault
        told = self.place.agree(None if problem is None else problem.message)
        if told is not None:
            raise problem or RunFailed(told)

    # ------------------------------------------------------------ afterwards

    def _interrupted(self) -> RunInterrupted:
        number = self.interrupts.asked or 15
        where = f"epoch {self.progress.epoch}, step {self.progress.step}"
        if self.folder is None:
            return RunInterrupted(
                f"stopped at {where}; nothing was saved", "give --out DIR to keep a run", number
            )
        return RunInterrupted(
            f"stopped at {where}; saved in {self.folder.path}", "go on with:", number, self.asked.again
        )

    def _cut_short(self) -> RunInterrupted:
        """What to say where Ctrl-C came before training began, or for the second time."""
        number = self.interrupts.asked or 2
        last = self.folder.path / checkpoint.LAST if self.folder is not None else None
        if last is None or not last.exists():
            return RunInterrupted("stopped; nothing was saved", None, number)
        return RunInterrupted(
            f"stopped at once; {last} is as it was saved before", "go on with:", number, self.asked.again
        )

    def _finish(self, built: Built) -> dict[str, Any]:
        self._draw(built)
        for condition in self.phases.unreported():
            self.display.note(f"never came true, for want of its metric: {condition}")
        facts = {
            "data": built.data.name,
            "model": built.spec,
            "device": describe(built.loading.device),
            "processes": self.place.world,
            "rank": self.place.rank,
            "out": str(self.folder.path) if self.folder else None,
            "plot": str(self.plot) if self.plot is not None else None,
            "unreported": list(self.phases.unreported()),
            **self._test_figures(),
        }
        result = summary(self.config, self.progress, built.task, facts)
        if self.folder is not None and self.place.first:
            self.folder.summarise(result)
        return result

    def _test_figures(self) -> dict[str, Any]:
        """What the test gave, flat, for the summary; nothing where there was none."""
        if self.tested is None:
            return {}
        figures = {"loss": self.tested.loss, **self.tested.metrics}
        return {
            **{f"test_{name}": finite(value) for name, value in figures.items()},
            "test_samples": self.tested.count,
            "test_epoch": self.tested_epoch,
        }
