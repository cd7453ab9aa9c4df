"""What a study consists of. `arms.py` holds the one that is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerlr_dsl.tuning.ranges import Range


@dataclass(frozen=True, slots=True)
class Task:
    """Data and a network for it. `train` and `validation` count samples of each class.

    shift: what the second test set differs in, None where there is none. packages: what the data is made
    of. part: `core`, or `full` for what `make effect-full` adds. side: pixels of an image, or tokens of a text.
    """

    name: str
    network: str
    data: str
    about: str
    side: int
    train: int
    validation: int
    batch: int
    packages: tuple[str, ...]
    shift: str | None = None
    part: str = "core"


@dataclass(frozen=True, slots=True)
class Arm:
    """A rule file that competes: what `layerlr init` writes as `starter`, or a file of `rules/NETWORK/`.

    without: a statement of the starter's that is left out. lets: constants in the place of the file's own.
    head: how a fresh head begins, as `--head-init` has it. tasks: where it runs, all of its networks if empty.
    """

    name: str
    about: str
    starter: str | None = None
    file: str | None = None
    without: str | None = None
    lets: Mapping[str, float] = field(default_factory=dict)
    grid: Range = field(default_factory=lambda: Range(3e-4, 3e-3, log=True))
    networks: tuple[str, ...] = ("lite0", "mobilenet", "minilm")
    tasks: tuple[str, ...] = ()
    head: str = "small"
    part: str = "core"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a paper says that a recipe cites, as a difference of two arms of this study.

    measure: `test` or `shift` (accuracy), or `seconds` (processor time, less being better). expects: `more`,
    or `not less` where no loss is all that is promised.
    tasks: where it is looked at, everywhere if empty. apart: why it may differ at this size.
    """

    paper: str
    recipes: tuple[str, ...]
    says: str
    arm: str
    against: str
    measure: str
    apart: str
    tasks: tuple[str, ...] = ()
    expects: str = "more"


@dataclass(frozen=True, slots=True)
class Budget:
    """A length in epochs, and the tasks that have it (all of them if empty)."""

    epochs: int
    part: str = "core"
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """What is tuned and reported as one: an arm on a task at a length."""

    task: Task
    arm: Arm
    epochs: int


@dataclass(frozen=True, slots=True)
class Study:
    """The whole of it. `points` are tried on a grid before it may grow.

    searched: tasks and lengths at which `layerlr tune` is held against the grid. searching: the seeds of these
    searches, of which each task has as many: neither ones for tuning nor for reporting. comparing: the seeds with
    which what they find is held against the grid's. untouched: tasks that were searched only after all of the search
    was settled.
    """

    tasks: tuple[Task, ...]
    arms: tuple[Arm, ...]
    budgets: tuple[Budget, ...]
    claims: tuple[Claim, ...]
    tuning: tuple[int, ...]
    reporting: tuple[int, ...]
    searched: tuple[tuple[str, int], ...] = ()
    searching: tuple[int, ...] = (21,)
    comparing: tuple[int, ...] = (1, 2, 3)
    untouched: tuple[str, ...] = ()
    points: int = 3
    baseline: str = "plain"

    def units(self, parts: tuple[str, ...]) -> list[Unit]:
        """All units of these parts, one task after the other, the shorter budget first."""
        return [
            Unit(task, arm, budget.epochs)
            for budget in self.budgets
            for task in self.tasks
            for arm in self.arms
            if {budget.part, task.part, arm.part} <= set(parts)
            and task.name in (budget.tasks or (task.name,))
            and task.network in arm.networks
            and task.name in (arm.tasks or (task.name,))
        ]
