"""What the rules say of each class of parameters, as tables: said once, however many parameters it covers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from layerlr_dsl.plan.explain import filled
from layerlr_dsl.plan.moving import Moving, shown
from layerlr_dsl.plan.stages import NEVER, Fired
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.plan.cascade import Cascade
    from layerlr_dsl.plan.course import Effect
    from layerlr_dsl.plan.freezing import FreezeEffect
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.timeline import Interval

Span: TypeAlias = "tuple[float, float | None] | None"
"""From when to when something holds, in the unit of the picture; None as an end: to the end; None: always."""


@record
class Rule:
    """A statement of the file, and how much of the model it covers."""

    text: str
    place: str
    line: int
    stage: str
    tensors: int
    numel: int


@record
class Said:
    """What one statement says of one option. `value` is a number, or words where it is none or moves."""

    rule: int
    option: str
    multiplies: bool
    value: float | str
    formula: str
    holds: Span


@record
class Kind:
    """Parameters for which every statement says the same, in numbers of `Told.said`."""

    group: int
    optimizer: int
    tensors: int
    numel: int
    said: tuple[int, ...]
    rules: tuple[int, ...]
    """Every statement that covers it."""
    base: tuple[tuple[str, float | str], ...]
    """Where the options begin that some statement changes."""


@record
class Told:
    """Tables: statements, what they say, and the classes of parameters that they say it of."""

    rules: tuple[Rule, ...]
    said: tuple[Said, ...]
    kinds: tuple[Kind, ...]
    kind_of: tuple[int, ...]
    """The kind of each class of the plan."""


def told(plan: Plan, fired: Fired, when: Callable[[int], float]) -> Told:
    """What the rules of a plan say. `when` turns ticks into the unit of the picture."""
    writer = _Writer(plan, fired, when)
    kind_of = tuple(writer.kind(number) for number in range(len(plan.cascades)))
    kinds = tuple(writer.kinds())
    return Told(_rules(plan, kinds), tuple(writer.said), kinds, kind_of)


def _rules(plan: Plan, kinds: tuple[Kind, ...]) -> tuple[Rule, ...]:
    covers = [[0, 0] for _ in plan.rules.clauses]
    for kind in kinds:
        for number in kind.rules:
            covers[number][0] += kind.tensors
            covers[number][1] += kind.numel
    stages = plan.rules.stages
    return tuple(
        Rule(
            clause.span.excerpt,
            f"{os.path.basename(clause.span.source.name)}:{clause.span.first.line}",
            clause.span.first.line,
            stages[clause.stage - 1].name if clause.stage else "",
            *covers[clause.index],
        )
        for clause in plan.rules.clauses
    )


def _sizes(plan: Plan) -> dict[int, tuple[int, int, int]]:
    """Of each class its first parameter, how many there are, and their elements."""
    sizes: dict[int, tuple[int, int, int]] = {}
    inventory = plan.inventory
    for row, kind in enumerate(plan.matches.class_of[: len(inventory)]):
        first, tensors, numel = sizes.get(kind, (row, 0, 0))
        sizes[kind] = (first, tensors + 1, numel + inventory.numel(row))
    return sizes


class _Writer:
    """Collects what is said, each thing once."""

    def __init__(self, plan: Plan, fired: Fired, when: Callable[[int], float]) -> None:
        self.plan, self.fired, self.when = plan, fired, when
        self.said: dict[Said, int] = {}
        self.effects: dict[object, int] = {}
        self.sizes = _sizes(plan)
        self.found: dict[tuple[Any, ...], list[int]] = {}
        """From what tells kinds apart to their number, tensors and elements."""

    def kind(self, number: int) -> int:
        """The number of the kind that a class of the plan is of."""
        cascade = self.plan.cascades[number]
        row, tensors, numel = self.sizes.get(number, (-1, 0, 0))
        said = [self._option(effect) for effect in cascade.effects]
        said += [self._freeze(effect) for effect in cascade.freezes]
        said += self._schedules(cascade)
        rules = tuple(dict.fromkeys(one.clause for one in cascade.selected))
        group = self.plan.group_of[row] if row >= 0 else 0
        key = (group, cascade.optimizer, tuple(said), rules, self._base(number, cascade))
        found = self.found.setdefault(key, [len(self.found), 0, 0])
        found[1] += tensors
        found[2] += numel
        return found[0]

    def kinds(self) -> Iterator[Kind]:
        for (group, optimizer, said, rules, base), (_, tensors, numel) in self.found.items():
            yield Kind(group, optimizer, tensors, numel, said, rules, base)

    def _base(self, number: int, cascade: Cascade) -> tuple[tuple[str, float | str], ...]:
        courses = self.plan.behaviours[self.plan.behaviour_of_class[number]].courses
        options = dict.fromkeys(effect.option for effect in cascade.effects)
        return tuple(
            (option, plain(courses[option].base))
            for option in options
            if option in courses and courses[option].base is not None
        )

    def _option(self, effect: Effect) -> int:
        key = (effect.number, effect.bindings)  # what a formula shows is this effect's own
        if key not in self.effects:
            moves = isinstance(effect.value, Moving)
            value = shown(effect.value) if moves else plain(effect.value)
            formula = "" if moves else filled(self.plan, effect, effect.value) or ""
            holds = self._holds(effect.window)
            said = Said(effect.clause, effect.option, effect.multiply, value, formula, holds)
            self.effects[key] = self._number(said)
        return self.effects[key]

    def _freeze(self, effect: FreezeEffect) -> int:
        value = "frozen" if effect.frozen else "trains"
        return self._number(Said(effect.clause, "frozen", False, value, "", self._holds(effect.window)))

    def _schedules(self, cascade: Cascade) -> list[int]:
        return [
            self._number(
                Said(one.clause, "schedule", False, one.schedule.text(), "", self._holds(one.window))
            )
            for one in cascade.schedules
            if one.clause is not None
        ]

    def _number(self, said: Said) -> int:
        return self.said.setdefault(said, len(self.said))

    def _holds(self, window: Interval) -> Span:
        if window.always:
            return None
        opens, closes = self.plan.timeline.period(window, self.fired)
        if opens >= NEVER:
            return (-1.0, -1.0)
        return self.when(opens), None if closes >= NEVER else self.when(closes)


def plain(value: object) -> float | str:
    """A value as a number, or in words where it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return spelled(value)
