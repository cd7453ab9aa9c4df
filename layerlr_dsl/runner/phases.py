"""Where the plan stands: what is frozen now, at which rates, and the proof at each thaw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from layerlr_dsl.runner.display import Display, GroupRow
from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.runner.evaluate import Scores
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.records import Standing
from layerlr_dsl.runner.tasks import LOSS, Task
from layerlr_dsl.tools.numbers import spelled

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.plan.plan import Group, Plan
    from layerlr_dsl.training.schedule import LayerSchedule

NAMES_WIDTH = 44


def listed(groups: Iterable[str]) -> str:
    """The modules that `groups` are named for, each once, as many as fit on a line with the rest of a note."""
    stems = dict.fromkeys(name.partition(".**")[0] for name in groups)
    names = [name for name in stems if not any(name.startswith(f"{other}.") for other in stems)]
    shown = names[:1]
    while len(shown) < len(names) and len(", ".join([*shown, names[len(shown)]])) <= NAMES_WIDTH:
        shown.append(names[len(shown)])
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


class PhaseWatch:
    """Follows the schedule of a run, group by group."""

    def __init__(self, plan: Plan, model: nn.Module, schedule: LayerSchedule, optimizer: Optimizer) -> None:
        self._model = model
        self._plan = plan
        self._schedule = schedule
        self._optimizer = optimizer
        self._planned = {group.name: group for group in plan.groups}
        self.look()

    def look(self) -> None:
        """Take in what is frozen now, without a word; after a state was loaded."""
        self._change = -1
        self._news = ""
        self.stage = self._schedule.stage
        self.frozen_parameters = self._schedule.frozen
        self._frozen = {g.name for g in self._plan.groups if self._is_frozen(g)}
        trains = sum(g.numel for g in self._plan.groups if g.name not in self._frozen)
        self.trainable_share = trains / max(1, sum(g.numel for g in self._plan.groups))

    def _is_frozen(self, group: Group) -> bool:
        return group.kind != "trains" or group.parameters[0] in self.frozen_parameters

    def step(self) -> None:
        """Take the schedule one step on; what thaws at that step is proved unmoved first.

        Raises RunFailed naming the tensors that moved while they were frozen.
        """
        tick = self._schedule.last_epoch
        if self._change <= tick:
            self._change = self._plan.next_change(tick, self.fired()) or 2**62
        if self._change == tick + 1:
            self._prove()
        self._schedule.step()

    def report(self, progress: Progress, scores: Scores, task: Task) -> None:
        """Hand the figures of an epoch to the conditions that wait for them."""
        if self._plan.events:
            self._prove()
        figures = {"val": {LOSS.name: scores.loss, **scores.metrics}}
        figures["train"] = {LOSS.name: progress.loss, **progress.metrics(task)}
        named = {f"{part}_{name}": value for part, of in figures.items() for name, value in of.items()}
        self._schedule.report(named, end_of_epoch=True)

    def _prove(self) -> None:
        from layerlr_dsl.training.errors import FrozenMoved

        try:
            self._schedule.verify()
        except FrozenMoved as fault:
            raise RunFailed(str(fault)) from None

    def changed(self) -> bool:
        """Whether another set of parameters is frozen than at the last call; a stage that began is news too."""
        stage, frozen, parameters = self.stage, self._frozen, self.frozen_parameters
        if self._schedule.frozen == parameters and self._schedule.stage == stage:
            return False
        self.look()
        said = [f"stage {self.stage}"] if self.stage != stage else []
        said += [
            f"{title} {listed(g.name for g in self._plan.groups if g.name in names)}"
            for title, names in (("thawed", frozen - self._frozen), ("frozen", self._frozen - frozen))
            if names
        ]
        self._tell_later(said)
        return self.frozen_parameters != parameters

    def begin(self) -> None:
        """Have the stage that runs now among the news: the first of a run, or that of a resumed one."""
        self._tell_later([f"stage {self.stage}"] if self.stage is not None else [])

    def _tell_later(self, said: list[str]) -> None:
        if said:
            epoch = float(self._plan.clock.epoch_of(self._schedule.last_epoch))
            self._news = f"{spelled(epoch, 3):>5}  {'; '.join(said)}: {self.trainable_share:.1%} trains"

    @property
    def done(self) -> bool:
        """Whether the last stage is over, and with it what there was to train for."""
        return self._schedule.done

    def tell(self, display: Display) -> None:
        """Say what the last change was, once."""
        if self._news:
            display.phase(self._news)
            self._news = ""

    def standing(self) -> Standing:
        """The rates as the optimizer has them now, and what is frozen."""
        frozen = [group.name for group in self._plan.groups if group.name in self._frozen]
        return Standing(self._rates(), frozen, self.trainable_share, self.stage)

    def rows(self) -> list[GroupRow]:
        """Every group as it stands, in the order of the optimizer."""
        return [
            GroupRow(
                name, rate, name in self._frozen, self._planned[name].numel if name in self._planned else 0
            )
            for name, rate in self._rates().items()
        ]

    def _rates(self) -> dict[str, float]:
        return {str(g.get("name", i)): float(g["lr"]) for i, g in enumerate(self._optimizer.param_groups)}

    def hold(self) -> None:
        """Put frozen modules in eval right now, as the model's own hook does at each forward pass."""
        from layerlr_dsl.model import live
        from layerlr_dsl.training.modes import install

        for module in install(live.unwrap(self._model)).modules:
            module.training = False

    def remaining_epochs(self, tick: int) -> float | None:
        """How long the present phase still lasts by the clock; None where only a metric may end it."""
        change = self._plan.next_change(tick, self.fired())
        end = change if change is not None else self._plan.clock.total
        return None if end is None else float(self._plan.clock.epoch_of(end - tick))

    def next_change_epoch(self, tick: int) -> float | None:
        """The epoch at which the clock alone freezes or thaws something next; None where it does not."""
        change = self._plan.next_change(tick, self.fired())
        return None if change is None else float(self._plan.clock.epoch_of(change))

    def fired(self) -> dict[int, int]:
        """The tick at which each metric condition of the plan came true, by its number."""
        conditions = self._schedule.state_dict()["conditions"]
        return {
            event.index: saved["fired"]
            for event, saved in zip(self._plan.events, conditions, strict=True)
            if saved["fired"] is not None
        }

    def unreported(self) -> tuple[str, ...]:
        return self._schedule.unreported()
