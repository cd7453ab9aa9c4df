"""Which feed a phase of the plan gets: the whole model, or what follows its remembered features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.data import Data
from layerlr_dsl.runner.display import Display
from layerlr_dsl.runner.feed import Feed, Fetcher, Loading, ModelFeed
from layerlr_dsl.runner.order import Order
from layerlr_dsl.runner.phases import PhaseWatch
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.step import Numerics
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.tools.numbers import plural

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.runner.stock import Stock

WORTH_EPOCHS = 2.0
WORTH_SHARED = 0.5
"""As many where other runs will find the table filled."""
LOOK_AT = 7


@dataclass(slots=True)
class FeedChoice:
    """Gives the loop its feed, a new one for each phase. Remembered features go with their phase."""

    config: TrainConfig
    model: nn.Module
    data: Data
    order: Order
    loading: Loading
    numerics: Numerics
    task: Task
    phases: PhaseWatch
    display: Display
    folder: Path | None
    stopped: Callable[[], bool]
    stock: Stock | None = None
    _feed: Feed | None = None
    _whole: Feed | None = None
    _frozen: frozenset[str] | None = None
    _said: set[str] = field(default_factory=set)

    def __call__(self, progress: Progress) -> Feed:
        frozen = self.phases.frozen_parameters
        if self._feed is None or frozen != self._frozen:
            # the old table goes before the new one is made: both may not fit
            self._feed = None
            self._feed = self._remembering(progress) or self._plain()
            self._frozen = frozen
        return self._feed

    def _plain(self) -> Feed:
        if self._whole is None:
            self._whole = ModelFeed(self.model, self.data, self.order, self.loading, self.task)
        return self._whole

    def _remembering(self, progress: Progress) -> Feed | None:
        if not self.config.remember_features:
            return None
        reason = self._against(progress)
        if reason is None:
            from layerlr_dsl.training.prefix import NoPrefix

            try:
                return self._remembered()
            except NoPrefix as fault:
                reason = str(fault)
        if reason not in self._said:
            self._said.add(reason)
            self.display.phase(f"       features are not remembered: {reason}")
        return None

    def _against(self, progress: Progress) -> str | None:
        """Why remembering is out of the question before the model is looked at, or None."""
        if self.data.varies is not None:
            return self.data.varies
        if self.config.parallel != "none":
            return "each process would need them all (--parallel)"
        if self.config.compile:
            return "the compiled model runs as a whole (--compile)"
        if not self.phases.frozen_parameters:
            return "nothing is frozen"
        left = self.phases.remaining_epochs(progress.total)
        if left is not None and left < (WORTH_EPOCHS if self.stock is None else WORTH_SHARED):
            return f"this phase lasts only {plural(left, 'epoch')} more, and filling the table costs one"
        return None

    def _remembered(self) -> Feed:
        from torch import Tensor
        from torch.utils._pytree import tree_leaves

        from layerlr_dsl.runner.features import MIB, RememberedFeed
        from layerlr_dsl.training.prefix import NoPrefix, cut

        keys = [[(index, index) for index in range(min(LOOK_AT, len(self.data.train)))]]
        (inputs, targets), *_ = Fetcher(
            self.data, self.data.train, replace(self.loading, workers=0), self.task
        )(keys)
        if not all(isinstance(t, Tensor) and t.ndim and len(t) == len(keys[0]) for t in tree_leaves(targets)):
            raise NoPrefix("the task's targets are not tensors with a row for each sample")
        cuts = []
        for training in (True, False):
            self.model.train(training)
            self.phases.hold()
            with self.numerics.autocast():
                cuts.append(cut(self.model, inputs, self.task.outputs))
        self.model.train()
        self.phases.hold()
        feed = RememberedFeed(
            (cuts[0], cuts[1]),
            self.data,
            self.order,
            self.loading,
            self.numerics,
            self.task,
            self.config.feature_memory,
            self.folder,
            self.stopped,
            None if self.stock is None else self.stock.table,
        )
        where = "on disk" if feed.table.on_disk else "in memory"
        layers = cuts[0].modules
        names = f"{layers[0]} gives" if len(layers) == 1 else f"{layers[0]} to {layers[-1]} give"
        size = f"{len(self.data.train):,} samples, {feed.table.size / MIB:.1f} MiB {where}"
        self.display.phase(f"       remembering what {names}: {size}")
        return feed
