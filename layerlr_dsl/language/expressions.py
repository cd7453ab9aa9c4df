"""What an expression is worth, for one parameter or for none.

Values are plain Python numbers, booleans, strings and tuples. A fault carries the span of
the very sub-expression, and the caller adds the parameter that it happened for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import field
from fractions import Fraction
from typing import Any, Protocol

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.captured import NOTHING, Captured
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, DTYPES, NUMBERS, PLACE_FUNCTIONS
from layerlr_dsl.language.questions import Constants, children
from layerlr_dsl.language.regex import RegexFault, full_match
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, VALUES
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record

Value = Any
"""int, float, Fraction, bool, str or a tuple of these."""

_MAX_POWER_BITS = 4096


class Fault(Exception):
    """An expression that has no value, with its code, its place, and the way out."""

    def __init__(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        self.code, self.message, self.span, self.help = code, message, span, help
        super().__init__(message)

    def finding(self, message: str | None = None) -> Diagnostic:
        """The fault as an error, in other words where `message` gives them."""
        return error(self.code, message or self.message, self.span, self.help)


class Unanswered(Fault):
    """A question about a tensor, put to a module that has none."""


class Subject(Protocol):
    """What a parameter, or a module without one, tells an expression about itself."""

    @property
    def is_module(self) -> bool: ...

    def attribute(self, name: str) -> Value | None:
        """The value of `ndim`, `dtype`, ...; None where it is not known (a lazy module)."""

    def is_a(self, word: str) -> bool | None:
        """Whether the owner is of this class or family; None where that is not known (an older inventory)."""


@record
class Scope:
    """Everything that names can stand for while an expression is worked out."""

    lets: Constants
    captures: Mapping[str, int] = field(default_factory=dict)
    captured: Captured = NOTHING
    """What captures are bound to over all of the selector's items."""
    subject: Subject | None = None
    groups: Callable[[str], Captured] | None = None
    """What the captures of each group are bound to, where the model is known."""
    exact: bool = False
    """Numbers as exact fractions (for time) and not as floats (for options)."""


def evaluate(expression: s.Expression, scope: Scope) -> Value:
    """The value of an expression. Raises Fault."""
    return _EVALUATORS[type(expression)](expression, scope)


# ---------------------------------------------------------------- leaves


def _number(node: s.Number, scope: Scope) -> Value:
    try:
        if scope.exact:
            return node.exact
        value = node.value
    except (ValueError, OverflowError, ZeroDivisionError):
        raise Fault("LR108", f"`{node.span.text}` is too large a number", node.span) from None
    if not _representable(value):
        raise Fault("LR108", f"`{node.span.text}` is too large a number", node.span)
    return value


def _literal(node: s.String | s.Boolean, scope: Scope) -> Value:
    return node.value


def _name(node: s.Name, scope: Scope) -> Value:
    name = node.name
    if name in scope.captures:
        return Fraction(scope.captures[name]) if scope.exact else scope.captures[name]
    if name in scope.lets:
        return scope.lets.worth(name, scope.exact)
    if scope.subject is not None and name in VALUES:
        return _attribute(name, node.span, scope.subject)
    if name in DTYPES:
        return name
    if name in NUMBERS:
        return NUMBERS[name]
    raise Fault("LR101", f"unknown name `{name}`", node.span)


_UNKNOWN_WHILE_LAZY = frozenset(word.name for word in ATTRIBUTE_WORDS if "lazy" in word.columns)


def _attribute(name: str, span: Span, subject: Subject) -> Value:
    value = subject.attribute(name)
    if value is None and subject.is_module:
        raise Unanswered("LR101", f"a module has no `{name}`", span)
    if value is None and name in _UNKNOWN_WHILE_LAZY:
        raise Fault(
            "LR212",
            f"`{name}` is not known yet: the parameter belongs to a lazy module",
            span,
            "run one forward pass before resolving, or select by name",
        )
    if value is None:
        message = f"the inventory does not tell `{name}`"
        raise Fault("LR212", message, span, "write it again: `layerlr inspect SPEC -o FILE`")
    return value


def _tuple(node: s.Tuple, scope: Scope) -> Value:
    return tuple(evaluate(item, scope) for item in node.items)


def _subscript(node: s.Subscript, scope: Scope) -> Value:
    if node.name in scope.lets:
        items = scope.lets.worth(node.name, scope.exact)
        if not isinstance(items, tuple):
            raise Fault("LR107", f"`{node.name}` is {describe(items)} and has no elements", node.span)
        return items[place_of(node, scope, len(items), "elements")]
    if node.name != "shape" or scope.subject is None:
        raise Fault("LR101", f"`{node.name}` cannot be indexed", node.span, "only tuples and `shape` can")
    shape = _attribute("shape", node.span, scope.subject)
    return shape[place_of(node, scope, len(shape), "dimensions")]


_AHEAD = {
    "elements": "elements are counted from 0, and from -1 at the end",
    "dimensions": "ask for `ndim` first: `ndim > 1 and shape[1] > 8`",
}


def place_of(node: s.Subscript, scope: Scope, size: int, of: str) -> int:
    """The index of a subscript, inside what it looks into."""
    index = evaluate(node.index, scope)
    if isinstance(index, (bool, str, tuple)) or int(index) != index:
        raise Fault("LR107", "an index is a whole number", node.index.span)
    if not -size <= index < size:
        what = "a tensor" if of == "dimensions" else "a tuple"
        message = f"`{node.name}[{int(index)}]` of {what} with {plural(size, of[:-1])}"
        raise Fault("LR108", message, node.span, _AHEAD[of])
    return int(index)


# ---------------------------------------------------------------- arithmetic


def _need_number(value: Value, node: s.Expression) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        raise Fault("LR107", f"`{node.span.text}` is {describe(value)}, not a number", node.span)
    return value


def describe(value: Value) -> str:
    """A value in words, for messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the string "{value}"'
    if isinstance(value, tuple):
        return "a tuple"
    return spelled(value)


show = spelled
"""A value as one would write it in a rule file."""


def _negative(node: s.Negative, scope: Scope) -> Value:
    return -_need_number(evaluate(node.operand, scope), node.operand)


def _arithmetic(node: s.Arithmetic, scope: Scope) -> Value:
    # A flat chain leans to the left and may be thousands long: walk down, fold back up.
    chain: list[s.Arithmetic] = []
    at: s.Expression = node
    while isinstance(at, s.Arithmetic):
        chain.append(at)
        at = at.left
    value = _need_number(evaluate(at, scope), at)
    for step in reversed(chain):
        right = _need_number(evaluate(step.right, scope), step.right)
        value = _apply(step, value, right)
    return value


def _apply(node: s.Arithmetic, left: Value, right: Value) -> Value:
    if node.operator in ("/", "mod") and right == 0:
        word = "division by zero" if node.operator == "/" else "`mod` by zero"
        tail = "" if isinstance(node.right, s.Number) else f": `{node.right.span.text}` is 0"
        raise Fault("LR108", word + tail, node.span)
    try:
        value = _OPERATIONS[node.operator](left, right)
    except ZeroDivisionError:
        raise Fault("LR108", f"0 to a negative power in `{_short(node)}`", node.span) from None
    except (OverflowError, ValueError):
        raise Fault("LR108", f"`{_short(node)}` is not finite", node.span) from None
    return _finite(value, node)


def _short(node: s.Expression) -> str:
    text = node.span.excerpt
    return text if len(text) <= 60 else text[:57] + "..."


def _finite(value: Value, node: s.Expression) -> Value:
    if isinstance(value, complex):
        raise Fault("LR108", f"`{_short(node)}` is not a real number", node.span)
    if isinstance(value, Fraction) and value.denominator.bit_length() > _MAX_POWER_BITS:
        raise Fault("LR108", f"`{_short(node)}` has too many digits", node.span)
    if not _representable(value):
        raise Fault("LR108", f"`{_short(node)}` is not finite", node.span)
    return value


def _representable(value: Value) -> bool:
    """Whether a number fits a float: whole numbers and fractions have no bound of their own."""
    if isinstance(value, (float, int, Fraction)):
        try:
            return math.isfinite(value)
        except OverflowError:
            return False
    return True


def _power(left: Value, right: Value) -> Value:
    if isinstance(right, Fraction):
        right = right.numerator if right.denominator == 1 else float(right)
    if isinstance(left, float) or isinstance(right, float):
        return float(left) ** float(right)
    size = (
        left.bit_length()
        if isinstance(left, int)
        else max(left.numerator.bit_length(), left.denominator.bit_length())
    )
    if abs(right) * size > _MAX_POWER_BITS:
        return float(left) ** float(right)
    return left**right


def _divide(left: Value, right: Value) -> Value:
    return left / right


_OPERATIONS: dict[str, Callable[[Value, Value], Value]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "mod": operator.mod,
    "^": _power,
}

# ---------------------------------------------------------------- logic


def _comparison(node: s.Comparison, scope: Scope) -> Value:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    if type(left) is int and type(right) is int:
        return COMPARISONS[node.operator](left, right)
    numbers = all(isinstance(v, (int, float, Fraction)) and not isinstance(v, bool) for v in (left, right))
    if node.operator in ("<", "<=", ">", ">="):
        _need_number(left, node.left)
        _need_number(right, node.right)
    elif not numbers and type(left) is not type(right):
        raise Fault(
            "LR107",
            f"{describe(left)} is never equal to {describe(right)}: they are of different kinds",
            node.span,
        )
    return COMPARISONS[node.operator](left, right)


COMPARISONS: dict[str, Callable[[Value, Value], Value]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _truth(value: Value, node: s.Expression) -> bool:
    if not isinstance(value, bool):
        raise Fault("LR107", f"`{_short(node)}` is {describe(value)}, not true or false", node.span)
    return value


def _logic(node: s.Logic, scope: Scope) -> Value:
    chain: list[s.Logic] = []
    at: s.Expression = node
    while isinstance(at, s.Logic):
        chain.append(at)
        at = at.left
    value = _answer(at, scope)
    for step in reversed(chain):
        decided = step.operator == "or"
        if value is decided:
            continue
        right = _answer(step.right, scope)
        value = value if isinstance(value, Unanswered) and right is not decided else right
    if isinstance(value, Unanswered):
        raise value
    return value


def _answer(node: s.Expression, scope: Scope) -> bool | Unanswered:
    """True or false; the question itself where one side of `and`, `or` may do without it."""
    try:
        return _truth(evaluate(node, scope), node)
    except Unanswered as fault:
        return fault


def _not(node: s.Not, scope: Scope) -> Value:
    return not _truth(evaluate(node.operand, scope), node.operand)


def _is(node: s.Is, scope: Scope) -> Value:
    subject = scope.subject
    if subject is None or not isinstance(node.subject, s.Name):
        raise Fault("LR101", "`is` needs `module` or `dtype` before it", node.span)
    if node.subject.name == "dtype":
        return _attribute("dtype", node.span, subject) == node.word.removeprefix("torch.")
    answer = subject.is_a(node.word)
    if answer is None:
        message = f"the inventory does not tell which modules are `{node.word}`"
        raise Fault("LR212", message, node.span, "write it again: `layerlr inspect SPEC -o FILE.json`")
    return answer


def _matches(node: s.Matches, scope: Scope) -> Value:
    value = evaluate(node.subject, scope)
    if not isinstance(value, str):
        raise Fault(
            "LR107",
            f"`matches` needs a text before it; `{_short(node.subject)}` is {describe(value)}",
            node.span,
        )
    try:
        return full_match(node.pattern.pattern)(value)
    except RegexFault as fault:
        raise Fault("LR112", str(fault), node.pattern.span) from None


# ---------------------------------------------------------------- functions


def _call(node: s.Call, scope: Scope) -> Value:
    if node.function in CAPTURE_FUNCTIONS:
        return _capture_function(node, scope)
    if node.function == "choose":
        condition, first, second = node.arguments
        return evaluate(first if _truth(evaluate(condition, scope), condition) else second, scope)
    values = [_need_number(evaluate(a, scope), a) for a in node.arguments]
    try:
        value = _FUNCTIONS[node.function](*values)
    except (ValueError, OverflowError):
        given = ", ".join(spelled(v) for v in values)
        raise Fault("LR108", f"`{node.function}({given})` has no value", node.span) from None
    return _finite(value, node)


def _capture_function(node: s.Call, scope: Scope) -> Value:
    of = node.arguments[0]
    if isinstance(of, s.GroupCapture) and of.capture is None and node.function in PLACE_FUNCTIONS:
        found = _among(node, of, scope)
    else:
        places = _of_group(node, of, scope) if isinstance(of, s.GroupCapture) else _of_selector(node, scope)
        found = _CAPTURE_FUNCTIONS[node.function](places, node, scope)
    return Fraction(found) if scope.exact else found


def _among(node: s.Call, of: s.GroupCapture, scope: Scope) -> int:
    """`count(@g)`: the places of a group. `count(@g, s)`, `rank(@g, s)`: those in this stage, and before it."""
    captured = _captured_by(node, of, scope)
    names = [argument.name for argument in node.arguments[1:] if isinstance(argument, s.Name)]
    if not names:
        return len(captured)
    own = tuple([scope.captures[name] for name in names])
    return captured.before(names, own) if node.function == "rank" else captured.sharing(names, own)


def _captured_by(node: s.Call, of: s.GroupCapture, scope: Scope) -> Captured:
    if scope.groups is None:
        raise Fault("LR131", f"`{node.span.text}` is worked out against a model", node.span)
    return scope.groups(of.group)


_Places = dict[tuple[int, ...], int]
"""The distinct values of some captures, ascending, each with its place."""


def _of_selector(node: s.Call, scope: Scope) -> _Places:
    names = [argument.name for argument in node.arguments if isinstance(argument, s.Name)]
    places = scope.captured.places(names) if len(names) == len(node.arguments) else {}
    if not places:
        span = node.arguments[0].span
        message = f"`{node.function}` needs a capture of this selector, such as `<i>`"
        raise Fault("LR119", message, span)
    return places


def _of_group(node: s.Call, of: s.GroupCapture, scope: Scope) -> _Places:
    captured = _captured_by(node, of, scope)
    name = of.capture or next(iter(sorted(captured.names)), None)
    places = captured.places([name]) if name is not None else {}
    if not places and node.function != "count":
        message = f"`{node.span.text}` has no value: `@{of.group}` binds nothing in this model"
        raise Fault(
            "LR216", message, node.span, f"`layerlr inspect --select @{of.group}` lists what it covers"
        )
    return places


def _rank(places: _Places, node: s.Call, scope: Scope) -> int:
    own = tuple(scope.captures[argument.name] for argument in node.arguments if isinstance(argument, s.Name))
    return places[own]


_CAPTURE_FUNCTIONS: Mapping[str, Callable[[_Places, s.Call, Scope], int]] = {
    "last": lambda places, node, scope: next(reversed(places))[0],
    "first": lambda places, node, scope: next(iter(places))[0],
    "count": lambda places, node, scope: len(places),
    "rank": _rank,
}
OF_ONE_NUMBER: Mapping[str, Callable[[Any], Any]] = {
    "sqrt": math.sqrt,
    "log2": math.log2,
    "floor": math.floor,
    "ceil": math.ceil,
    "cos": math.cos,
    "sin": math.sin,
    "exp": math.exp,
    "log": math.log,
    "abs": abs,
}
_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "min": lambda *v: min(v),
    "max": lambda *v: max(v),
    **OF_ONE_NUMBER,
    "choose": lambda *_: None,  # only the chosen one is worked out, so this is never called
}
_EVALUATORS: dict[type, Callable[[Any, Scope], Value]] = {
    s.Number: _number,
    s.String: _literal,
    s.Boolean: _literal,
    s.Name: _name,
    s.Tuple: _tuple,
    s.Negative: _negative,
    s.Arithmetic: _arithmetic,
    s.Comparison: _comparison,
    s.Logic: _logic,
    s.Not: _not,
    s.Is: _is,
    s.Matches: _matches,
    s.Call: _call,
    s.Subscript: _subscript,
}


def fill_in(expression: s.Expression, scope: Scope) -> str:
    """The expression as written, with every name replaced by its value: `0.5 ^ (4 - 2 + 1)`."""
    pieces: list[tuple[int, int, str]] = []
    stack: list[s.Expression] = [expression]
    while stack:
        node = stack.pop()
        replaced = isinstance(node, (s.Name, s.Subscript)) or (
            isinstance(node, s.Call) and node.function in CAPTURE_FUNCTIONS
        )
        if replaced:
            pieces.append((node.span.start, node.span.end, spelled(evaluate(node, scope))))
        else:
            stack.extend(children(node))
    text = expression.span.source.text
    at, out = expression.span.start, []
    for start, end, shown in sorted(pieces):
        out.append(text[at:start] + shown)
        at = end
    return " ".join(("".join(out) + text[at : expression.span.end]).split())
