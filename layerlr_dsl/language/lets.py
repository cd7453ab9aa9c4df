"""What the `let` names of a file are worth: each worked out once, those that others need first."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from fractions import Fraction
from math import isfinite

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, check_expression
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error
from layerlr_dsl.language.expressions import CALLED_SCHEDULES, Fault, Scope, Value, evaluate, moves, names_in
from layerlr_dsl.language.source import Source, Span


class Lets(dict[str, s.Expression]):
    """The constants of a file by name. Remembering what each is worth keeps chains of them cheap."""

    def __init__(self, expressions: Mapping[str, s.Expression] | None = None) -> None:
        super().__init__(expressions or {})
        self.given: frozenset[str] = frozenset()
        """Those whose value was given from outside, in the place of the file's own."""
        self.moving: set[str] = set()
        """Those whose value changes with time: worked out where they are used, on the clock of that place."""
        self.voided: set[str] = set()
        """Those that have a finding of their own, so that nothing is said of what uses them."""
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

    def void(self, name: str) -> None:
        """Let a name that has no value count as 0, so that its own finding is the only one."""
        self[name] = s.Number(self[name].span, "0")
        self.voided.add(name)
        self.moving.discard(name)
        self._worth.pop((name, False), None)


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
    statements: Mapping[str, s.LetStatement], found: list[Diagnostic], given: Container[str] = ()
) -> Lets:
    """Every `let` of a file, with a finding for each that has no value; such a one counts as 0.

    given: those whose value came from outside.
    """
    lets = Lets({name: statement.value for name, statement in statements.items()})
    lets.given = frozenset(name for name in lets if name in given)
    order, circles = _by_need(lets)
    for circle in circles:
        found.append(_circular([statements[name] for name in circle]))
        for name in circle:
            lets.void(name)
    names = Names(
        lets.keys(),
        reason="a `let` is the same for every parameter: a constant, or what time alone changes",
        time=True,
    )
    for name in order:
        before = len(found)
        check_expression(lets[name], names, found)
        if len(found) == before and moves(lets[name], lets):
            lets.moving.add(name)
            if name in (*CALLED_SCHEDULES, "plateau"):
                message = f"`{name}` is the name of a schedule, and this `let` moves as one would"
                found.append(error("LR102", message, statements[name].name_span, "rename it"))
        elif len(found) == before:
            _work_out(lets, name, found)
        if len(found) > before:
            lets.void(name)
    return lets


def _work_out(lets: Lets, name: str, found: list[Diagnostic]) -> None:
    """Remember both values of a name whose own names are known, so that nothing recurses later."""
    for exact in (False, True):
        try:
            lets.worth(name, exact)
        except Fault as fault:
            if not exact:  # what only exact time cannot take is said where a time uses it
                found.append(error(fault.code, fault.message, fault.span, fault.help))
                return


def _circular(statements: list[s.LetStatement]) -> Diagnostic:
    first, *others = statements
    path = " -> ".join(f"`{x.name}`" for x in [*statements[:8], first])
    return error(
        "LR102",
        f"let `{first.name}` refers to itself: {path}" if others else f"let `{first.name}` refers to itself",
        first.name_span,
        "give one of them a value of its own" if others else "give it a value of its own",
        tuple(Related("which is defined here", other.name_span) for other in others[:7]),
    )


def _by_need(lets: Lets) -> tuple[list[str], list[list[str]]]:
    """The names, each after those that it needs, and the circles among them."""
    order: list[str] = []
    circles: list[list[str]] = []
    done: set[str] = set()
    for root in lets:
        if root in done:
            continue
        path = {root: 0}
        waiting = [_needs(lets, root)]
        while waiting:
            other = next(waiting[-1], None)
            if other is None:
                waiting.pop()
                order.append(path.popitem()[0])
                done.add(order[-1])
            elif other in path:
                circles.append(list(path)[path[other] :])
            elif other not in done:
                path[other] = len(path)
                waiting.append(_needs(lets, other))
    return order, _apart(circles)


def _needs(lets: Lets, name: str) -> Iterator[str]:
    needed = (node.name for node in names_in(lets[name]) if isinstance(node, s.Name) and node.name in lets)
    return iter(dict.fromkeys(needed))


def _apart(circles: list[list[str]]) -> list[list[str]]:
    """Circles that share no name: breaking one of two that do is breaking both."""
    seen: set[str] = set()
    kept = []
    for circle in circles:
        if seen.isdisjoint(circle):
            kept.append(circle)
        seen.update(circle)
    return kept
