"""The cascade: what each clause says of a class of parameters, in order, with its values worked out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from math import isfinite

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_settings import factor_problem
from layerlr_dsl.language.checked import CheckedClause, CheckedSelector, CheckedSetting
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, Related, error
from layerlr_dsl.language.expressions import Fault, Scope, Value, evaluate
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS
from layerlr_dsl.language.patterns import Bindings
from layerlr_dsl.language.questions import moves, names_in
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.plan.course import Effect, ScheduleEffect
from layerlr_dsl.plan.freezing import FreezeEffect, StatisticsEffect
from layerlr_dsl.plan.matching import Decider, Row, RowClass, Selected
from layerlr_dsl.plan.moving import Moving, Part, fold
from layerlr_dsl.plan.timed import Timed
from layerlr_dsl.plan.timeline import Interval
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record


@record
class OptimizerChoice:
    """An optimizer that some parameters train with: its table entry and the settings of its own."""

    info: OptimizerInfo
    settings: Mapping[str, Value]
    span: Span | None = None
    name: str | None = None
    """What the file calls it, where it gives it a name."""

    @property
    def called(self) -> str:
        """Its name in the file, else the optimizer's own."""
        return self.name or self.info.name


@dataclass(eq=False, slots=True)
class Cascade:
    """Everything that the file says of a class of parameters."""

    selected: tuple[Selected, ...]
    optimizer: int
    own_optimizer: int | None
    """The clause that gives these parameters an optimizer of their own."""
    schedules: tuple[ScheduleEffect, ...]
    """What drives the rate: the file's own first, then the stages', then what rules give."""
    effects: tuple[Effect, ...]
    """One object for all classes to which a setting does the same."""
    lapsed: tuple[Effect, ...]
    freezes: tuple[FreezeEffect, ...]
    statistics: tuple[StatisticsEffect, ...]
    came_frozen: bool
    """Whether the model itself froze these parameters."""

    @property
    def planned(self) -> bool:
        """Whether a freeze or unfreeze names these parameters."""
        return bool(self.freezes)

    @property
    def by_model(self) -> bool:
        """Whether they are frozen because the model froze them, and no rule says otherwise."""
        return self.came_frozen and not self.freezes

    def of(self, option: str) -> tuple[Effect, ...]:
        return tuple(e for e in self.effects if e.option == option)


_FEWEST_VALUES, _VALUES_OF_A_CLASS = 25_000, 200
"""So many values that hang on the parameter may be worked out at least, and so many more for each class."""


class CascadeBuilder:
    """Builds the cascade of each class, remembering what parameters cannot change."""

    def __init__(self, decider: Decider, timed: Timed, kinds: Sequence[RowClass]) -> None:
        compiled = decider.compiled
        self.rules = rules = compiled.rules
        self.decider = decider
        self.timed = timed
        self.found = Findings()
        self.optimizers: list[OptimizerChoice] = [
            OptimizerChoice(rules.optimizer.info, rules.optimizer.settings, rules.optimizer.span)
        ]
        self._optimizer_index = {rules.optimizer.info.name: 0}
        self._choosing = compiled.choosing
        self._local = compiled.local
        self._effects: dict[tuple[int, Bindings], Effect | None] = {}
        self._interned: dict[tuple[int, Bindings], Effect] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        """Of effects that do the same, whatever captures are bound to, by their setting and value."""
        self._sound: set[tuple[int, int]] = set()
        """Effects (by number) that an optimizer (by number) is known to allow."""
        self._still = {clause.index for clause in rules.clauses if _is_still(clause)}
        """Clauses that say the same whatever their captures are bound to."""
        self._own = {c.index for c in rules.clauses if any(x.number in self._local for x in c.settings)}
        """Clauses that say something else to each parameter."""
        self._built: dict[object, Cascade] = {}
        self._known: dict[tuple[int, Bindings, int], list[Effect]] = {}
        """All that a clause says with some captures under an optimizer (by number), where it is sound."""
        self._frozen: dict[tuple[int, int, int], list[FreezeEffect | StatisticsEffect]] = {}
        """All that a freeze or unfreeze says through one of its selectors."""
        self._firsts: dict[int, list[int]] = {}
        """Of each sequence, the number of the first turn that a selector of it has."""
        self._freezes_made = count()
        self._parts: dict[int, dict[Part, bool]] = {}
        """Of each setting that moves: which parts of its value do, by their places."""
        self._said: set[tuple[str, Source | None, int]] = set()
        self._most = _FEWEST_VALUES + _VALUES_OF_A_CLASS * len(kinds)
        self._worked_out = 0

    def of(self, kind: RowClass, selected: tuple[Selected, ...]) -> Cascade:
        """The cascade of one class: the same object for all classes to which the same is said.

        Only what captures are bound to may differ in its `selected`. Findings go to `found`, each place once.
        """
        told = self._told(selected)
        if told is None:
            return self._build(kind, selected)
        key = (told, kind.came_frozen, kind.adapted_base)
        found = self._built.get(key)
        if found is None:
            found = self._built[key] = self._build(kind, selected)
        return found

    def _told(self, selected: tuple[Selected, ...]) -> tuple[object, ...] | None:
        """What is said of a class, equal for two only if the same is; None where each parameter is told its own."""
        still, own = self._still, self._own
        if own and any(one.clause in own for one in selected):
            return None
        return tuple([(one.clause, one.selector) if one.clause in still else one for one in selected])

    def _build(self, kind: RowClass, selected: tuple[Selected, ...]) -> Cascade:
        own, choice = self._own_optimizer(selected)
        chosen = self.optimizers[choice].info
        effects: list[Effect] = []
        lapsed: list[Effect] = []
        freezes: list[FreezeEffect] = []
        statistics: list[StatisticsEffect] = []
        schedules = list(self.timed.defaults)
        for one in selected:
            key = (one.clause, () if one.clause in self._still else one.bindings, choice)
            known = self._known.get(key)
            if known is not None:
                effects += known
                continue
            clause = self.rules.clauses[one.clause]
            if not isinstance(clause.statement, s.RuleStatement):
                for found in self._freezes(clause, one):
                    if isinstance(found, FreezeEffect):
                        if found.frozen or not kind.adapted_base:
                            freezes.append(found)
                    else:
                        statistics.append(found)
                continue
            before = len(effects)
            for setting in clause.settings:
                if setting.option == "schedule":
                    made = self.timed.schedules.get((one.clause, clause.settings.index(setting)))
                    if made is not None:
                        window = self.timed.windows[one.clause].windows[0]
                        schedules.append(ScheduleEffect(one.clause, made, window))
                elif setting.option != "optimizer":
                    effect = self._effect(clause, setting, one, kind)
                    if effect is None:
                        continue
                    if setting.quoted:
                        effects.append(effect)
                    elif setting.option not in chosen.options:
                        if own is not None and one.clause < own:
                            lapsed.append(effect)
                        else:
                            self._lacking(setting, chosen, own, kind.row)
                    elif (effect.number, choice) in self._sound:
                        effects.append(effect)
                    elif self._allowed(effect, chosen, kind.row, one.bindings):
                        self._sound.add((effect.number, choice))
                        effects.append(effect)
            if clause.index not in self._own and len(effects) - before == len(clause.settings):
                self._known[key] = effects[before:]
        return Cascade(
            selected,
            choice,
            own,
            tuple(schedules),
            tuple(effects),
            tuple(lapsed),
            tuple(freezes),
            tuple(statistics),
            kind.came_frozen,
        )

    # ------------------------------------------------------------ time

    def _freezes(self, clause: CheckedClause, one: Selected) -> list[FreezeEffect | StatisticsEffect]:
        """What a freeze or unfreeze says: the same objects for all classes it says it of."""
        turn = self._turn(clause, one)
        key = (one.clause, one.selector, turn)
        found = self._frozen.get(key)
        if found is None:
            found = self._frozen[key] = list(self._freeze_effects(clause, one, turn))
        return found

    def _turn(self, clause: CheckedClause, one: Selected) -> int:
        """Which turn of a sequence it is for these parameters: a turn `by i` has one for each value."""
        statement = clause.statement
        if not isinstance(statement, s.UnfreezeSequenceStatement):
            return 0
        if one.clause not in self._firsts:
            lengths = (len(self._values(clause, n)) for n in range(len(statement.turns)))
            self._firsts[one.clause] = list(accumulate(lengths, initial=0))
        before, by = self._firsts[one.clause][one.selector], statement.turns[one.selector].by
        if by is None:
            return before
        return before + self._values(clause, one.selector).index(dict(one.bindings)[by])

    def _values(self, clause: CheckedClause, selector: int) -> Sequence[int]:
        """The values of the capture that a turn goes by, in its order; one for a plain turn."""
        statement = clause.statement
        assert isinstance(statement, s.UnfreezeSequenceStatement)
        turn = statement.turns[selector]
        if turn.by is None:
            return (0,)
        values = self.decider.captured(clause.selectors[selector]).numbers(turn.by)
        return values[::-1] if turn.descending else values

    def _freeze_effects(
        self, clause: CheckedClause, one: Selected, turn: int
    ) -> Iterator[FreezeEffect | StatisticsEffect]:
        statement, times = clause.statement, self.timed.windows[one.clause]
        number, new = one.clause, self._freezes_made.__next__
        if isinstance(statement, s.UnfreezeSequenceStatement):
            span = statement.turns[one.selector].selector.span
            window = self.timed.turn(clause, turn)
            start = self.timed.timeline.window(None, clause.stage).opens
            if window.opens != start:
                before = Interval(start, window.opens, clause.stage)
                yield FreezeEffect(number, True, times.warmup, before, span, new())
                yield StatisticsEffect(number, True, False, before, new())
            yield FreezeEffect(number, False, times.warmup, window, span, new())
            return
        window = times.windows[one.selector]
        if isinstance(statement, s.FreezeStatisticsStatement):
            yield StatisticsEffect(number, True, True, window, new())
        elif isinstance(statement, s.FreezeStatement):
            yield FreezeEffect(number, True, times.warmup, window, statement.span, new())
            yield StatisticsEffect(number, not statement.updating_statistics, False, window, new())
        else:
            yield FreezeEffect(number, False, times.warmup, window, statement.span, new())

    # ------------------------------------------------------------ optimizers

    def _own_optimizer(self, selected: tuple[Selected, ...]) -> tuple[int | None, int]:
        own, name = None, None
        span: Span | None = None
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
            index = self._optimizer_index[name] = len(self.optimizers)
            further = self.rules.optimizers.get(name)
            if further is not None:
                self.optimizers.append(OptimizerChoice(further.info, further.settings, further.span, name))
            else:
                found = optimizers.find(name)
                assert found is not None  # the checker looked it up
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
        if setting.number in self._local:
            return self._made(clause, setting, one, kind)
        key = (setting.number, () if _hangs_on_nothing(setting) else one.bindings)
        if key not in self._effects:
            self._effects[key] = self._made(clause, setting, replace(one, bindings=key[1]), kind)
        return self._effects[key]

    def _made(
        self, clause: CheckedClause, setting: CheckedSetting, one: Selected, kind: RowClass
    ) -> Effect | None:
        value: Value | Moving = setting.constant
        if value is None or setting.moving:
            value = self._worth(clause, setting, one, kind.row)
        if value is None:
            return None
        window = self.timed.windows[one.clause].windows[0]
        same = (setting.number, type(value), value)
        number = self._numbers.setdefault(same, len(self._numbers))
        made = Effect(
            one.clause, setting.option, setting.multiply, value, window, setting, one.bindings, number
        )
        return self._interned.setdefault((number, one.bindings), made)

    def _worth(
        self, clause: CheckedClause, setting: CheckedSetting, one: Selected, row: Row
    ) -> Value | Moving | None:
        self._worked_out += 1
        if self._worked_out > self._most:
            if self._worked_out == self._most + 1:
                self._say(_too_many(setting.span, self._most))
            return None
        if setting.moving:
            return self._fold(clause, setting, one, row)
        return self._evaluate(setting, clause.selectors[one.selector], one.bindings, row)

    def _fold(self, clause: CheckedClause, setting: CheckedSetting, one: Selected, row: Row) -> Moving | None:
        assert setting.expression is not None
        scope = self.decider.scope(clause.selectors[one.selector], one.bindings, row)
        try:
            known = self._parts.setdefault(setting.number, {})
            return fold(setting.expression, scope, self.rules.lets, clause.stage, known)
        except Fault as fault:
            message = f"{fault.message}, for `{row.name}`{with_values(setting.expression, scope)}"
            self._say(fault.finding(message))
            return None

    def _evaluate(
        self, setting: CheckedSetting, selector: CheckedSelector, bindings: Bindings, row: Row
    ) -> Value | None:
        assert setting.expression is not None
        scope = self.decider.scope(selector, bindings, row)
        try:
            value: Value = evaluate(setting.expression, scope)
        except Fault as fault:
            message = f"{fault.message}, for `{row.name}`{with_values(setting.expression, scope)}"
            self._say(fault.finding(message))
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
        if not effect.window.always or isinstance(effect.value, Moving):
            why = optimizers.windowed(chosen, option)
            if why is not None:
                stage = effect.window.stage
                what = "move" if isinstance(effect.value, Moving) else "have a time window"
                what = "be given under a stage" if stage and what != "move" else what
                message = f"`{option}` cannot {what}: {why}"
                help = "give it in a rule without `from` or `until`"
                if stage:
                    help = "give it above the first stage"
                self._say(error("LR117", message, setting.span, help))
                return False
        if effect.multiply or isinstance(effect.value, Moving):
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
        message = f"`{option}` {why}, and this is {spelled(effect.value)} for `{row.name}`{tail}"
        self._say(error("LR107", message, span))
        return False

    def _say(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.code, span.source if span else None, span.start if span else 0)
        if key not in self._said:
            self._said.add(key)
            self.found.add(diagnostic)


def _is_still(clause: CheckedClause) -> bool:
    statement = clause.statement
    if isinstance(statement, s.UnfreezeSequenceStatement):
        return not any(turn.by for turn in statement.turns)
    return all(map(_hangs_on_nothing, clause.settings))


def _hangs_on_nothing(setting: CheckedSetting) -> bool:
    return setting.constant is not None and not setting.moving


def _too_many(span: Span, most: int) -> Diagnostic:
    message = f"the rules give different values to different parameters more than {most:,} times"
    help = "that is the most that is worked out for this model: say it with fewer rules"
    return error("LR007", message, span, help)


def with_values(expression: s.Expression, scope: Scope) -> str:
    """` (i = 1, base = 0.001)`: the values of the names in an expression, for messages."""
    shown: dict[str, str] = {}
    for node in names_in(expression):
        if isinstance(node, (s.Is, s.GroupCapture)):
            continue
        text = node.span.excerpt
        if isinstance(node, s.Call) and node.function not in CAPTURE_FUNCTIONS:
            continue
        if moves(node, scope.lets, scope.captures):
            continue
        try:
            shown.setdefault(text, spelled(evaluate(node, scope)))
        except Fault:
            continue
    pairs = ", ".join(f"{name} = {value}" for name, value in sorted(shown.items()))
    return f" ({pairs})" if pairs else ""


def finite(value: Value) -> bool:
    return not isinstance(value, float) or isfinite(value)
