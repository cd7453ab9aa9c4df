"""The cascade: what each clause says of a class of parameters, in order, with its values worked out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_settings import factor_problem
from layerlr_dsl.language.checked import CheckedClause, CheckedSelector, CheckedSetting
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error
from layerlr_dsl.language.expressions import (
    Fault,
    Scope,
    Value,
    evaluate,
    names_in,
    show,
)
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.schedules import Schedule
from layerlr_dsl.plan.selection import Decider, Row, RowClass, Selected
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import ALWAYS, Interval


@dataclass(frozen=True, slots=True)
class Effect:
    """One option that one clause gives, inside its window."""

    clause: int
    option: str
    multiply: bool
    value: Value
    window: Interval
    setting: CheckedSetting = field(compare=False)
    bindings: Bindings = ()


@dataclass(frozen=True, slots=True)
class FreezeEffect:
    """`frozen` or not, inside a window; `warmup` in ticks, for what thaws at its end (or start)."""

    option: ClassVar[str] = "frozen"
    multiply: ClassVar[bool] = False
    clause: int
    frozen: bool
    statistics: bool
    warmup: int
    window: Interval
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """An optimizer that some parameters train with: its table entry and the settings of its own."""

    info: OptimizerInfo
    settings: Mapping[str, Value]
    span: Span | None = None


@dataclass(eq=False, slots=True)
class Cascade:
    """Everything that the file says of a class of parameters."""

    selected: tuple[Selected, ...]
    optimizer: int
    own_optimizer: int | None
    """The clause that gives these parameters an optimizer of their own."""
    schedule: Schedule | None
    schedule_clause: int | None
    effects: tuple[Effect, ...]
    """One object for all classes to which a setting does the same."""
    lapsed: tuple[Effect, ...]
    freezes: tuple[FreezeEffect, ...]

    @property
    def planned(self) -> bool:
        """Whether a freeze or unfreeze names these parameters."""
        return bool(self.freezes)

    def of(self, option: str) -> tuple[Effect, ...]:
        return tuple(e for e in self.effects if e.option == option)


class CascadeBuilder:
    """Builds the cascade of each class, remembering what parameters cannot change."""

    def __init__(self, decider: Decider, timed: Timed) -> None:
        compiled = decider.compiled
        self.rules = rules = compiled.rules
        self.decider = decider
        self.timed = timed
        self.found: list[Diagnostic] = []
        self.optimizers: list[OptimizerChoice] = [
            OptimizerChoice(rules.optimizer.info, rules.optimizer.settings, rules.optimizer.span)
        ]
        self._optimizer_index = {rules.optimizer.info.name: 0}
        self._choosing = compiled.choosing
        self._local = compiled.local
        self._effects: dict[tuple[int, Bindings], Effect | None] = {}
        self._interned: dict[tuple[object, ...], Effect] = {}
        self._sound: set[tuple[int, int]] = set()
        """Effects (by id) that an optimizer (by number) is known to allow."""
        self._known: dict[tuple[int, Bindings, int], list[Effect]] = {}
        """All that a clause says with some captures under an optimizer (by number), where it is sound."""
        self._frozen: dict[tuple[int, int], list[FreezeEffect]] = {}
        """All that a freeze or unfreeze says through one of its selectors."""
        self._said: set[tuple[str, int, int]] = set()

    def build(self, kind: RowClass, selected: tuple[Selected, ...]) -> Cascade:
        """The cascade of one class. Findings go to `found`, each place once."""
        own, choice = self._own_optimizer(selected)
        chosen = self.optimizers[choice].info
        effects: list[Effect] = []
        lapsed: list[Effect] = []
        freezes: list[FreezeEffect] = []
        schedule, schedule_clause = self.timed.file_schedule, None
        for one in selected:
            key = (one.clause, one.bindings, choice)
            known = self._known.get(key)
            if known is not None:
                effects += known
                continue
            clause = self.rules.clauses[one.clause]
            if not isinstance(clause.statement, s.RuleStatement):
                freezes += self._freezes(clause, one)
                continue
            before = len(effects)
            for setting in clause.settings:
                if setting.option == "schedule":
                    schedule, schedule_clause = self.timed.schedules.get(id(setting.factory)), one.clause
                elif setting.option != "optimizer":
                    effect = self._effect(clause, setting, one, kind)
                    if effect is None:
                        continue
                    if setting.option not in chosen.options:
                        if own is not None and one.clause < own:
                            lapsed.append(effect)
                        else:
                            self._lacking(setting, chosen, own, kind.row)
                    elif (id(effect), choice) in self._sound:
                        effects.append(effect)
                    elif self._allowed(effect, chosen, kind.row, one.bindings):
                        self._sound.add((id(effect), choice))
                        effects.append(effect)
            everywhere = not any(id(setting) in self._local for setting in clause.settings)
            if everywhere and len(effects) - before == len(clause.settings):
                self._known[key] = effects[before:]
        return Cascade(
            selected,
            choice,
            own,
            schedule,
            schedule_clause,
            tuple(effects),
            tuple(lapsed),
            tuple(freezes),
        )

    # ------------------------------------------------------------ time

    def _freezes(self, clause: CheckedClause, one: Selected) -> list[FreezeEffect]:
        """What a freeze or unfreeze says: the same objects for all classes it says it of."""
        key = (one.clause, one.selector)
        found = self._frozen.get(key)
        if found is None:
            found = self._frozen[key] = list(self._freeze_effects(clause, one))
        return found

    def _freeze_effects(self, clause: CheckedClause, one: Selected) -> Iterator[FreezeEffect]:
        statement, times = clause.statement, self.timed.windows[one.clause]
        window = times.windows[one.selector]
        if isinstance(statement, s.FreezeStatement):
            span = statement.span
            yield FreezeEffect(one.clause, True, statement.updating_statistics, times.warmup, window, span)
            return
        if isinstance(statement, s.UnfreezeSequenceStatement):
            span = statement.selectors[one.selector].span
            if window.opens != ALWAYS.opens:
                before = Interval(ALWAYS.opens, window.opens)
                yield FreezeEffect(one.clause, True, False, times.warmup, before, span)
            yield FreezeEffect(one.clause, False, False, times.warmup, window, span)
            return
        yield FreezeEffect(one.clause, False, False, times.warmup, window, statement.span)

    # ------------------------------------------------------------ optimizers

    def _own_optimizer(self, selected: tuple[Selected, ...]) -> tuple[int | None, int]:
        own, name = None, None
        span = None
        for one in selected if self._choosing else ():
            if one.clause not in self._choosing:
                continue
            for setting in self.rules.clauses[one.clause].settings:
                if setting.option == "optimizer":
                    own, name, span = one.clause, str(setting.constant), setting.span
        if own is None or name is None:
            return None, 0
        index = self._optimizer_index.get(name)
        if index is None:
            found = optimizers.find(name)
            assert found is not None  # the checker looked it up
            index = self._optimizer_index[name] = len(self.optimizers)
            self.optimizers.append(OptimizerChoice(found, {}, span))
        return own, index

    def _lacking(self, setting: CheckedSetting, chosen: OptimizerInfo, own: int | None, row: Row) -> None:
        related: tuple[Related, ...] = ()
        if own is not None:
            related = (Related(f"{chosen.name} is chosen here", self.rules.clauses[own].span),)
        message = f"{chosen.name}, which trains `{row.name}`, has no option `{setting.option}`"
        help = "put this rule above the one that chooses the optimizer, or select other parameters"
        self._say(error("LR103", message, setting.span, help, related))

    # ------------------------------------------------------------ values

    def _effect(
        self, clause: CheckedClause, setting: CheckedSetting, one: Selected, kind: RowClass
    ) -> Effect | None:
        """What a setting does to a class: one object for all classes to which it does the same."""
        if id(setting) in self._local:
            return self._made(clause, setting, one, kind)
        key = (id(setting), one.bindings)
        if key not in self._effects:
            self._effects[key] = self._made(clause, setting, one, kind)
        return self._effects[key]

    def _made(
        self, clause: CheckedClause, setting: CheckedSetting, one: Selected, kind: RowClass
    ) -> Effect | None:
        value = setting.constant
        if value is None:
            value = self._evaluate(setting, clause.selectors[one.selector], one.bindings, kind.row)
        if value is None:
            return None
        window = self.timed.windows[one.clause].windows[0]
        made = Effect(one.clause, setting.option, setting.multiply, value, window, setting, one.bindings)
        return self._interned.setdefault((id(setting), one.bindings, type(value), value), made)

    def _evaluate(
        self, setting: CheckedSetting, selector: CheckedSelector, bindings: Bindings, row: Row
    ) -> Value | None:
        assert setting.expression is not None
        scope = self.decider.scope(selector, bindings, row)
        try:
            value: Value = evaluate(setting.expression, scope)
        except Fault as fault:
            message = f"{fault.message}, for `{row.name}`{with_values(setting.expression, scope)}"
            self._say(error(fault.code, message, fault.span, fault.help))
            return None
        why = factor_problem(setting.option, value) if setting.multiply else None
        if why is not None:
            message = f"{why}, for `{row.name}`{with_values(setting.expression, scope)}"
            self._say(error("LR107", message, setting.expression.span))
            return None
        return value

    def _allowed(self, effect: Effect, chosen: OptimizerInfo, row: Row, bindings: Bindings) -> bool:
        setting = effect.setting
        option = effect.option
        if not chosen.options[option].group:
            message = f"`{option}` of {chosen.name} holds for the whole optimizer, not for `{row.name}`"
            self._say(error("LR103", message, setting.span))
            return False
        if effect.window is not ALWAYS:
            why = optimizers.windowed(chosen, option)
            if why is not None:
                message = f"`{option}` cannot have a time window: {why}"
                self._say(
                    error("LR117", message, setting.span, "give it in a rule without `from` or `until`")
                )
                return False
        if effect.multiply:
            return True
        why = optimizers.problem(chosen, option, effect.value)
        if why is None:
            return True
        expression = setting.expression
        span = expression.span if expression is not None else setting.span
        tail = ""
        if expression is not None and setting.constant is None:
            clause = self.rules.clauses[effect.clause]
            scope = self.decider.scope(clause.selectors[0], bindings, row)
            tail = with_values(expression, scope)
        message = f"`{option}` {why}, and this is {show(effect.value)} for `{row.name}`{tail}"
        self._say(error("LR107", message, span))
        return False

    def _say(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.code, id(span.source) if span else 0, span.start if span else 0)
        if key not in self._said:
            self._said.add(key)
            self.found.append(diagnostic)


def with_values(expression: s.Expression, scope: Scope) -> str:
    """` (i = 1, base = 0.001)`: the values of the names in an expression, for messages."""
    shown: dict[str, str] = {}
    for node in names_in(expression):
        if isinstance(node, s.Is):
            continue
        text = node.span.excerpt
        if isinstance(node, s.Call) and node.function not in ("last", "first", "count"):
            continue
        try:
            shown.setdefault(text, show(evaluate(node, scope)))
        except Fault:
            continue
    pairs = ", ".join(f"{name} = {value}" for name, value in sorted(shown.items()))
    return f" ({pairs})" if pairs else ""


def finite(value: Value) -> bool:
    return not isinstance(value, float) or isfinite(value)
