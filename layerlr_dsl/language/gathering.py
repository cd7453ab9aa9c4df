"""The statements of a file and its includes, sorted by what they are for and by the stage they stand under."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Findings, Related
from layerlr_dsl.language.faults import too_many_turns, too_many_waiting
from layerlr_dsl.language.includes import CLAUSES
from layerlr_dsl.language.names import RESERVED
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import ATTRIBUTES

_MOST_WAITING = 100
"""Stages that may wait for a metric: each is tried with all before it, so work grows with the square."""
_MOST_TURNS = 5_000
"""Turns of all sequences: each is held against all that cover the same."""


@dataclass
class Gathered:
    """The statements of a file and its includes, sorted by what they are for."""

    model: s.ModelStatement | None = None
    epochs: s.EpochsStatement | None = None
    steps: s.StepsStatement | None = None
    steps_per_epoch: s.StepsPerEpochStatement | None = None
    optimizer: s.OptimizerStatement | None = None
    optimizers: dict[str, s.OptimizerStatement] = field(default_factory=dict)
    schedules: dict[int, s.ScheduleStatement] = field(default_factory=dict)
    stages: list[s.StageStatement] = field(default_factory=list)
    stage_names: dict[str, s.StageStatement] = field(default_factory=dict)
    waiting: int = 0
    """Stages that wait for a metric."""
    turns: int = 0
    """Turns of all sequences."""
    after: s.AfterStagesStatement | None = None
    lets: dict[str, s.LetStatement] = field(default_factory=dict)
    groups: dict[str, s.GroupStatement] = field(default_factory=dict)
    refused: dict[str, Span] = field(default_factory=dict)
    """Names that no `let` may have."""
    clauses: list[tuple[s.Clause, bool, int]] = field(default_factory=list)
    """Each with whether it is included, and the stage that it stands under."""
    expectations: list[tuple[s.Expectation, int]] = field(default_factory=list)

    @property
    def stage(self) -> int:
        """The stage that the next statement stands under; 0 for what holds throughout."""
        return 0 if self.after is not None else len(self.stages)


def gather(statements: list[tuple[s.Statement, bool]], found: Findings) -> Gathered:
    """Sort statements, each with whether it is included; what stands twice or in the wrong place is found."""
    gathered = Gathered()
    for statement, included in statements:
        if isinstance(statement, s.LetStatement):
            _define(gathered.lets, statement, found)
            if statement.name not in gathered.lets:
                gathered.refused[statement.name] = statement.span
        elif isinstance(statement, s.GroupStatement):
            _define(gathered.groups, statement, found)
        elif isinstance(statement, CLAUSES):
            if _too_many_turns(statement, gathered, found):
                continue
            _refuse_own_optimizer(statement, gathered.stage, found)
            gathered.clauses.append((statement, included, gathered.stage))
        elif included:
            continue
        elif isinstance(statement, (s.StageStatement, s.AfterStagesStatement)):
            _head(gathered, statement, found)
        elif _misplaced(statement, gathered, found):
            continue
        elif isinstance(statement, s.StepsStatement):
            gathered.steps = statement
        elif isinstance(statement, s.StepsPerEpochStatement):
            gathered.steps_per_epoch = statement
        elif isinstance(statement, s.ModelStatement):
            gathered.model = statement
        elif isinstance(statement, s.EpochsStatement):
            gathered.epochs = statement
        elif isinstance(statement, s.OptimizerStatement):
            _take_optimizer(gathered, statement, found)
        elif isinstance(statement, s.ScheduleStatement):
            gathered.schedules[gathered.stage] = statement
        elif isinstance(statement, (s.ExpectOption, s.ExpectState, s.ExpectCount)):
            gathered.expectations.append((statement, gathered.stage))
    return gathered


def _take_optimizer(gathered: Gathered, statement: s.OptimizerStatement, found: Findings) -> None:
    name = statement.name
    if name is None:
        gathered.optimizer = statement
        return
    assert statement.name_span is not None
    first = gathered.optimizers.get(name)
    if first is not None:
        message = f"optimizer `{name}` is defined twice"
        related = (Related("first defined here", first.span),)
        found.error("LR102", message, statement.name_span, "rename one of them", related=related)
    elif optimizers.find(name) is not None or name == "default":
        message = f"`{name}` is the name of an optimizer itself"
        found.error("LR102", message, statement.name_span, "call this one something else, such as `critic`")
    else:
        gathered.optimizers[name] = statement


def _head(gathered: Gathered, statement: s.Heading, found: Findings) -> None:
    """A heading: what follows stands under it."""
    if isinstance(statement, s.AfterStagesStatement):
        if not gathered.stages:
            found.error("LR116", "there is no stage before this", statement.span, "remove it")
        gathered.after = statement
        return
    if gathered.after is not None:
        related = (Related("the last part of the file begins here", gathered.after.span),)
        message = "a stage stands before `after stages`"
        found.error("LR116", message, statement.span, "move it up", related=related)
        return
    if statement.until is not None:
        gathered.waiting += 1
        if gathered.waiting > _MOST_WAITING:
            if gathered.waiting == _MOST_WAITING + 1:
                found.add(too_many_waiting(statement.name_span, _MOST_WAITING))
            return
    first = gathered.stage_names.setdefault(statement.name, statement)
    if first is not statement:
        related = (Related("first named here", first.name_span),)
        message = f"stage `{statement.name}` is named twice"
        found.error("LR102", message, statement.name_span, "rename one of them", related=related)
    gathered.stages.append(statement)


def _too_many_turns(statement: s.Clause, gathered: Gathered, found: Findings) -> bool:
    """Whether a statement goes beyond the turns that a file may have."""
    if not isinstance(statement, s.UnfreezeSequenceStatement):
        return False
    before, gathered.turns = gathered.turns, gathered.turns + len(statement.turns)
    if before <= _MOST_TURNS < gathered.turns:
        found.add(too_many_turns(statement.turns[_MOST_TURNS - before].span, _MOST_TURNS))
    return gathered.turns > _MOST_TURNS


def _misplaced(statement: s.Statement, gathered: Gathered, found: Findings) -> bool:
    """Whether a statement stands under a heading where it says something of the whole file."""
    words = {
        s.ModelStatement: "model",
        s.EpochsStatement: "epochs",
        s.StepsStatement: "steps",
        s.StepsPerEpochStatement: "steps_per_epoch",
        s.OptimizerStatement: "optimizer",
    }
    if not gathered.stages:
        return False
    word = words.get(type(statement))
    if gathered.after is not None and isinstance(statement, s.ScheduleStatement):
        word = "schedule"
    if word is not None:
        message = f"`{word}` holds for the whole file and cannot stand under a stage"
        found.error("LR116", message, statement.span, "move it above the first stage")
    return word is not None


def _refuse_own_optimizer(statement: s.Clause, stage: int, found: Findings) -> None:
    if stage and isinstance(statement, s.RuleStatement):
        for setting in statement.settings:
            if setting.option == "optimizer" and not setting.quoted:
                message = "an optimizer is chosen for the whole run and cannot stand under a stage"
                found.error("LR116", message, setting.span, "move the rule above the first stage")


def _define(
    table: dict[str, s.LetStatement] | dict[str, s.GroupStatement], statement: object, found: Findings
) -> None:
    assert isinstance(statement, (s.LetStatement, s.GroupStatement))
    first = table.get(statement.name)
    word = "let" if isinstance(statement, s.LetStatement) else "group"
    if first is not None:
        found.error(
            "LR102",
            f"{word} `{statement.name}` is defined twice",
            statement.name_span,
            "rename one of them",
            related=(Related("first defined here", first.name_span),),
        )
        return
    if word == "let" and statement.name in RESERVED:
        what = "an attribute of parameters" if statement.name in ATTRIBUTES else "a word of the language"
        found.error(
            "LR102",
            f"`{statement.name}` is {what} and cannot be redefined",
            statement.name_span,
            "choose another name",
        )
        return
    table[statement.name] = statement  # type: ignore[assignment]
