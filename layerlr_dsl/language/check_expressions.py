"""Judging the names and functions of an expression before any model is at hand."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import field

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.expressions import (
    ARITY,
    ATTRIBUTES,
    CALLED_SCHEDULES,
    CAPTURE_FUNCTIONS,
    DTYPES,
    FUNCTIONS,
    LATER_FUNCTIONS,
    NUMBERS,
    TIME_NAMES,
    children,
)
from layerlr_dsl.language.regex import RegexFault, full_match
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record


@record
class Names:
    """What a name may stand for at one place."""

    lets: Set[str]
    captures: frozenset[str] = frozenset()
    attributes: bool = False
    missing: dict[str, s.Pattern | s.Regex | s.GroupRef] = field(default_factory=dict)
    """Captures that one item of the selector does not bind, with that item."""
    reason: str | None = None
    """Why attributes and captures are out of reach here."""
    time: bool = False
    """Whether a value may move here."""
    moving: Set[str] = frozenset()
    """The `let` names that move, where nothing may."""

    def all(self) -> Iterable[str]:
        yield from self.lets
        yield from self.captures
        if self.attributes:
            yield from ATTRIBUTES
        if self.time:
            yield from TIME_NAMES


def check_expression(expression: s.Expression, names: Names, found: list[Diagnostic]) -> None:
    """Add a finding for each name, function, class test or regular expression that cannot be."""
    stack: list[s.Expression] = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, s.Name):
            _check_name(node, names, found)
        elif isinstance(node, s.Subscript):
            _check_subscript(node, names, found)
            stack.append(node.index)
        elif isinstance(node, s.Is):
            _check_is(node, names, found)
        elif isinstance(node, s.Call):
            if _check_call(node, names, found):
                stack.extend(node.arguments)
        elif isinstance(node, s.GroupCapture):
            found.append(error("LR107", f"`{node.span.text}` has no value of its own", node.span))
        elif isinstance(node, s.Comparison) and (fault := _bare_word(node, names)) is not None:
            found.append(fault)
        else:
            if isinstance(node, s.Matches):
                _check_regex(node.pattern, found)
            stack.extend(children(node))


def _bare_word(node: s.Comparison, names: Names) -> Diagnostic | None:
    """What is wrong with `module == Linear`, `name == bias` and `dtype == float3`: one fault, one finding."""
    left, right = node.left, node.right
    if not (names.attributes and isinstance(left, s.Name) and isinstance(right, s.Name)):
        return None
    word = right.name
    known = {*names.all(), *names.missing, *DTYPES}
    if left.name == "module":
        return error("LR107", "`module` has no value of its own", node.span, f"write `module is {word}`")
    if left.name not in ("name", "path", "dtype") or word in known:
        return None
    near = nearest(word, DTYPES) if left.name == "dtype" else None
    help = (
        f"did you mean `{near}`?"
        if near
        else f'a text stands in quotes: `{left.name} {node.operator} "{word}"`'
    )
    return error("LR101", f"unknown name `{word}`", right.span, help)


def _check_name(node: s.Name, names: Names, found: list[Diagnostic]) -> None:
    name = node.name
    if name in names.missing:
        item = names.missing[name]
        found.append(
            error(
                "LR119",
                f"`{name}` is not bound by `{item.span.text}`, one item of this selector",
                node.span,
                f"give `{item.span.text}` a rule of its own, or bind `<{name}>` in every item",
            )
        )
    elif name in names.moving and name not in names.captures:
        found.append(_moves_here(f"`{name}`", node.span))
    elif name in names.captures or name in names.lets or name in DTYPES or name in NUMBERS:
        return
    elif name in TIME_NAMES:
        if not names.time:
            found.append(_moves_here(f"`{name}`", node.span))
    elif names.attributes and name in ATTRIBUTES:
        if name in ("module", "shape"):
            say = "`module is Conv2d`" if name == "module" else "`shape[0]`"
            found.append(error("LR107", f"`{name}` has no value of its own", node.span, f"write {say}"))
    else:
        found.append(_unknown(node, names))


def _moves_here(what: str, span: Span) -> Diagnostic:
    return error(
        "LR126",
        f"{what} changes with time, and this value cannot",
        span,
        "what moves stands in the values of lr, weight_decay, betas, momentum and eps, in a `let` that is used "
        "there, and as `schedule NAME`",
    )


def _unknown(node: s.Name, names: Names) -> Diagnostic:
    if node.name in ATTRIBUTES:
        return error("LR101", f"`{node.name}` is not known here", node.span, names.reason)
    near = nearest(node.name, [*names.all(), *_words_near(node.name)])
    if near is not None:
        help = f"did you mean `{near}`?"
    elif names.reason is not None:
        help = names.reason
    elif names.lets or names.captures:
        known = sorted({*names.lets, *names.captures})
        help = "known here: " + ", ".join(f"`{n}`" for n in known[:8])
    else:
        help = f"define it with `let {node.name} = ...`"
    return error("LR101", f"unknown name `{node.name}`", node.span, help)


def _words_near(name: str) -> Iterable[str]:
    """`true` and `false` where they are misspelled: `base` is as near to `false`, and is none."""
    return (word for word in ("true", "false") if word[0] == name[0].lower())


def _check_subscript(node: s.Subscript, names: Names, found: list[Diagnostic]) -> None:
    if node.name != "shape" or not names.attributes:
        help = "only `shape[k]` can" if names.attributes else names.reason
        found.append(error("LR101", f"`{node.name}` cannot be indexed here", node.span, help))


def _check_is(node: s.Is, names: Names, found: list[Diagnostic]) -> None:
    if not names.attributes:
        found.append(
            error("LR101", "`is` asks about a parameter, and there is none here", node.span, names.reason)
        )
    elif not (isinstance(node.subject, s.Name) and node.subject.name in ("module", "dtype")):
        near = nearest(node.subject.span.text, ("module", "dtype"))
        meant = f"did you mean `{near} is {node.word}`?" if near else None
        found.append(
            error(
                "LR125",
                "`is` stands after `module` or `dtype` only",
                node.span,
                meant or f'compare with `==`: `{node.subject.span.text} == "{node.word}"`',
            )
        )
    elif node.subject.name == "dtype" and node.word.removeprefix("torch.") not in DTYPES:
        near = nearest(node.word, DTYPES)
        found.append(
            error(
                "LR125",
                f"unknown dtype `{node.word}`",
                node.word_span,
                f"did you mean `{near}`?" if near else None,
            )
        )


def _check_call(node: s.Call, names: Names, found: list[Diagnostic]) -> bool:
    """Whether the arguments are expressions that want checking too."""
    if node.function in CALLED_SCHEDULES or node.function == "ramp":
        if not names.time:
            found.append(_moves_here(f"`{node.function}(...)`", node.function_span))
            return False
        return (
            check_ramp(node, found) if node.function == "ramp" else _check_called_schedule(node, names, found)
        )
    for keyword in node.keywords:
        message = f"`{node.function}` takes no argument by name"
        found.append(error("LR109", message, keyword.span, f"leave out `{keyword.name}=`"))
    if node.function not in ARITY:
        known = [*FUNCTIONS, *CAPTURE_FUNCTIONS, *LATER_FUNCTIONS]
        near = nearest(node.function, [*known, *(CALLED_SCHEDULES if names.time else ())])
        help = f"did you mean `{near}`?" if near else "known: " + ", ".join(known)
        found.append(error("LR109", f"unknown function `{node.function}`", node.function_span, help))
        return True
    low, high = ARITY[node.function]
    if not low <= len(node.arguments) <= high:
        want = "one argument" if high == 1 else "one or more arguments"
        found.append(error("LR109", f"`{node.function}` takes {want}, not {len(node.arguments)}", node.span))
        return False
    if node.function not in CAPTURE_FUNCTIONS:
        return True
    argument = node.arguments[0]
    if isinstance(argument, s.Name) and (argument.name in names.captures or argument.name in names.missing):
        _check_name(argument, names, found)
    else:
        near = nearest(argument.span.text, names.captures)
        help = f"did you mean `{near}`?" if near else "bind one in the selector, such as `layer<i>`"
        found.append(
            error(
                "LR101",
                f"`{node.function}` needs a capture, and `{argument.span.text}` is none",
                argument.span,
                help,
            )
        )
    return False


def _check_called_schedule(node: s.Call, names: Names, found: list[Diagnostic]) -> bool:
    if node.arguments:
        message = f"the arguments of `{node.function}` have names"
        found.append(error("LR109", message, node.arguments[0].span, f"write {node.function}(warmup=5%)"))
        return False
    # What its arguments are worth is judged where the schedule is made.
    return True


_RAMP_WORDS = ("shape", "endpoint")


def check_ramp(node: s.Call, found: list[Diagnostic]) -> bool:
    """Whether `ramp((WHEN, VALUE), ..., shape=, endpoint=)` has that form."""
    before = len(found)
    for point in node.arguments:
        if not isinstance(point, s.Tuple) or len(point.items) != 2:
            message = "a point of a ramp is a time and a value"
            found.append(error("LR109", message, point.span, "write (30%, 0.1) or (2 epochs, 0.1)"))
        elif not (
            isinstance(when := point.items[0], s.Duration) or (isinstance(when, s.Number) and when.percent)
        ):
            message = f"`{when.span.text}` is no stretch of time from the start"
            help = f"write {when.span.text}%, {when.span.text} steps or {when.span.text} epochs"
            found.append(error("LR106", message, when.span, help))
        elif isinstance(value := point.items[1], s.Duration):
            found.append(error("LR107", f"`{value.span.text}` is a stretch of time, not a value", value.span))
    for keyword in node.keywords:
        if keyword.name not in _RAMP_WORDS:
            near = nearest(keyword.name, _RAMP_WORDS)
            help = f"did you mean `{near}`?" if near else "it takes shape and endpoint"
            found.append(error("LR109", f"`ramp` has no argument `{keyword.name}`", keyword.name_span, help))
    return len(found) == before


def _check_regex(regex: s.Regex, found: list[Diagnostic]) -> None:
    try:
        full_match(regex.pattern)
    except RegexFault as fault:
        found.append(error("LR112", str(fault), regex.span))
