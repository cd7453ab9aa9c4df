"""What the `let` names of a file are worth: each worked out once, those that others need first."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from math import isfinite

from layerlr_dsl.catalogue.schedules import SCHEDULES
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.captured import Captured
from layerlr_dsl.language.check_expressions import Names, check_expression
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, Related, error
from layerlr_dsl.language.expressions import Fault, Scope, Value, evaluate
from layerlr_dsl.language.needs import Needs, captures_of
from layerlr_dsl.language.questions import moves, names_in, of_model
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.vocabulary import ATTRIBUTES


class Lets(dict[str, s.Expression]):
    """The constants of a file by name. Remembering what each is worth keeps chains of them cheap."""

    def __init__(self, expressions: Mapping[str, s.Expression] | None = None) -> None:
        super().__init__(expressions or {})
        self.order: tuple[str, ...] = tuple(self)
        """Each after those that it needs."""
        self.given: frozenset[str] = frozenset()
        """Those whose value was given from outside, in the place of the file's own."""
        self.moving: set[str] = set()
        """Those whose value changes with time: worked out where they are used, on the clock of that place."""
        self.shaky: set[str] = set()
        """Those without a value, and those that rest on them: what they come to is nobody's fault."""
        self.of_model: set[str] = set()
        """Those whose value depends on the model: worked out where one is at hand."""
        self.lost: frozenset[str] = frozenset()
        """Names of this and of groups that went with a statement at fault."""
        self.groups: Mapping[str, frozenset[str]] = {}
        """The captures that each group of the file binds."""
        self.circular_groups: frozenset[str] = frozenset()
        """Groups whose conditions count what they cover themselves."""
        self._worth: dict[tuple[str, bool], Value | Fault] = {}

    def replaced(self, name: str) -> bool:
        """Whether its value was given from outside."""
        return name in self.given

    def worth(self, name: str, exact: bool) -> Value:
        """The value of a name; `exact` for time, in fractions. Raises Fault."""
        found = self._worth.get((name, exact))
        if found is None:
            try:
                found = evaluate(self[name], Scope(self, exact=exact))
            except Fault as fault:
                found = fault
            self._worth[name, exact] = found
        if isinstance(found, Fault):
            raise found
        return found

    def rests_on_a_fault(self, expression: s.Expression) -> bool:
        """Whether a value is worked out from a name that has none."""
        return bool(self.shaky) and any(
            isinstance(node, (s.Name, s.Subscript)) and node.name in self.shaky
            for node in names_in(expression)
        )

    def against(self, captured: Callable[[str], Captured]) -> ModelLets:
        """The same names where a model says what each group is bound to."""
        return ModelLets(self, captured)

    def lose(self, lost: Mapping[str, Span]) -> None:
        """Take in names whose statements are at fault: whoever uses one is not."""
        self.lost = frozenset(lost)
        for name in lost.keys() - self.keys() - set(ATTRIBUTES):
            self[name] = s.Number(lost[name], "0")
            self.shaky.add(name)

    def void(self, name: str) -> None:
        """Let a name that has no value count as 0, so that its own finding is the only one."""
        self[name] = s.Number(self[name].span, "0")
        self.shaky.add(name)
        self.moving.discard(name)
        self.of_model.discard(name)
        self._worth.pop((name, False), None)


class ModelLets:
    """The constants of a file against one model, each worked out once; one without a value counts as 0."""

    def __init__(self, lets: Lets, captured: Callable[[str], Captured]) -> None:
        self._lets = lets
        self._captured = captured
        self.moving, self.of_model, self.lost, self.groups = (
            lets.moving,
            lets.of_model,
            lets.lost,
            lets.groups,
        )

    def __contains__(self, name: object, /) -> bool:
        return name in self._lets

    def __iter__(self) -> Iterator[str]:
        return iter(self._lets)

    def worth(self, name: str, exact: bool) -> Value:
        """The value of a name; `exact` for time, in fractions. Raises Fault."""
        if name not in self.of_model:
            return self._lets.worth(name, exact)
        return 0 if isinstance(found := self._found[name], Fault) else found

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with those that have no value in this model."""
        return [found for found in self._found.values() if isinstance(found, Fault)]

    @cached_property
    def _found(self) -> dict[str, Value | Fault]:
        # In the order of need, so that nothing recurses. The dictionary must be there before it is whole.
        found = self.__dict__["_found"] = {}
        for name in self._lets.order:
            if name in self.of_model and name not in self.moving:
                try:
                    found[name] = evaluate(self._lets[name], Scope(self, groups=self._captured))
                except Fault as fault:
                    found[name] = fault
        return found


def literal_of(value: object, span: Span) -> s.Expression | None:
    """A plain value as it would be written at a place; None for what is no constant of the language."""
    if isinstance(value, bool):
        return s.Boolean(span, value)
    if isinstance(value, str):
        return s.String(span, value)
    if isinstance(value, (tuple, list)):
        items = [literal_of(item, span) for item in value]
        return s.Tuple(span, tuple(item for item in items if item is not None)) if all(items) else None
    if isinstance(value, (int, float, Fraction)) and isfinite(value):
        text = repr(abs(float(value) if isinstance(value, Fraction) else value))
        number = s.Number(span, text)
        return s.Negative(span, number) if value < 0 else number
    return None


def literal(text: str) -> object | None:
    """The value of a constant as the language writes it: `3e-4`, `(0.9, 0.99)`, `true`; None for anything else."""
    from layerlr_dsl.language.parser import parse

    file, faults = parse(Source("<let>", f"let value = {text}"))
    statement = file.statements[0] if len(file.statements) == 1 and not faults else None
    if not isinstance(statement, s.LetStatement):
        return None
    try:
        value: object = evaluate(statement.value, Scope(Lets()))
        return value
    except Fault:
        return None


def check_lets(
    statements: Mapping[str, s.LetStatement],
    groups: Mapping[str, s.GroupStatement],
    found: Findings,
    given: Container[str] = (),
    lost: Mapping[str, Span] | None = None,
) -> Lets:
    """Every `let` of a file, with a finding for each that has no value; such a one counts as 0.

    groups: what they may count of a model. given: those whose value came from outside. lost: names whose statements
    are at fault.
    """
    needs = Needs({name: statement.value for name, statement in statements.items()}, groups)
    order, circles = needs.sorted()
    lets = Lets({name: statement.value for name, statement in statements.items()})
    lets.order = tuple(name for name in order if name in statements)
    lets.given = frozenset(name for name in lets if name in given)
    lets.groups = captures_of(groups)
    for circle in circles:
        found.add(_circular([statements.get(node) or groups[node[1:]] for node in circle]))
        for name in lets.keys() & set(circle):
            lets.void(name)
    lets.lose(lost or {})
    lets.circular_groups = frozenset(node[1:] for circle in circles for node in circle if node[0] == "@")
    names = Names(
        lets,
        reason="a `let` is the same for every parameter: a constant, or what time alone changes",
        time=True,
        model=True,
    )
    sizes = _Sizes(lets)
    for name in lets.order:
        if name in lets.shaky or lets.rests_on_a_fault(lets[name]):
            lets.void(name)
            continue
        part = found.part()
        check_expression(lets[name], names, found)
        if part.clean:
            _sort_in(lets, statements[name], found)
            sizes.bound(statements[name], found)
        if not part.clean:
            lets.void(name)
    return lets


_MOST_LAID_IN, _DEEPEST = 1_000, 75
"""So many moving `let`s may be laid into one value in all, and so many into each other."""


class _Sizes:
    """How much lies in each name that moves: it is laid in, with all that it names, wherever it is used."""

    def __init__(self, lets: Lets) -> None:
        self._lets = lets
        self._parts: dict[str, int] = {}
        self._depths: dict[str, int] = {}

    def bound(self, statement: s.LetStatement, found: Findings) -> None:
        """LR007 for the first name of a chain that is too much; what rests on it is nobody's fault."""
        name = statement.name
        if name not in self._lets.moving:
            return
        inner = [
            node.name
            for node in names_in(statement.value)
            if isinstance(node, (s.Name, s.Subscript)) and node.name in self._parts
        ]
        self._parts[name] = 1 + sum(self._parts[other] for other in inner)
        self._depths[name] = 1 + max((self._depths[other] for other in inner), default=0)
        help = "name fewer `let`s that move in it"
        if self._parts[name] > _MOST_LAID_IN:
            message = (
                f"`{name}` has too many parts that move: more than {_MOST_LAID_IN:,}, all `let`s laid in"
            )
            found.error("LR007", message, statement.name_span, help)
        elif self._depths[name] > _DEEPEST:
            message = f"`{name}` is the last of more than {_DEEPEST} `let`s that move and name each other"
            found.error("LR007", message, statement.name_span, help)


def _sort_in(lets: Lets, statement: s.LetStatement, found: Findings) -> None:
    """Note what a name depends on; what depends on nothing is worked out."""
    name = statement.name
    moving, counted = moves(lets[name], lets), of_model(lets[name], lets)
    if counted:
        lets.of_model.add(name)
    if moving:
        lets.moving.add(name)
        if name in SCHEDULES:
            message = f"`{name}` is the name of a schedule, and this `let` moves as one would"
            found.error("LR102", message, statement.name_span, "rename it")
    elif not counted:
        _work_out(lets, name, found)


def _work_out(lets: Lets, name: str, found: Findings) -> None:
    """Remember both values of a name whose own names are known, so that nothing recurses later."""
    for exact in (False, True):
        try:
            lets.worth(name, exact)
        except Fault as fault:
            if not exact:  # what only exact time cannot take is said where a time uses it
                found.add(fault.finding())
                return


def _circular(statements: list[s.LetStatement | s.GroupStatement]) -> Diagnostic:
    first = next((x for x in statements if isinstance(x, s.LetStatement)), statements[0])
    start = statements.index(first)
    others = [*statements[start + 1 :], *statements[:start]]
    path = " -> ".join(f"`{_called(x)}`" for x in [first, *others[:7], first])
    kind, code = ("let", "LR102") if isinstance(first, s.LetStatement) else ("group", "LR111")
    whole = f"{kind} `{_called(first)}` refers to itself"
    return error(
        code,
        f"{whole}: {path}" if others else whole,
        first.name_span,
        _way_out(first, others),
        tuple(Related("which is defined here", other.name_span) for other in others[:7]),
    )


def _called(statement: s.LetStatement | s.GroupStatement) -> str:
    return statement.name if isinstance(statement, s.LetStatement) else f"@{statement.name}"


def _way_out(
    first: s.LetStatement | s.GroupStatement, others: list[s.LetStatement | s.GroupStatement]
) -> str:
    if all(isinstance(x, s.LetStatement) for x in (first, *others)):
        return "give one of them a value of its own" if others else "give it a value of its own"
    return "count a group without this condition: `group every = ...`, then `@every where ...`"
