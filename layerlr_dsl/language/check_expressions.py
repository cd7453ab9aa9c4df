"""Judging the names and functions of an expression before any model is at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Findings, Fix, error
from layerlr_dsl.language.expressions import Fault, Scope, Value, evaluate
from layerlr_dsl.language.faults import replacing
from layerlr_dsl.language.names import (
    ARITY,
    CAPTURE_FUNCTIONS,
    DTYPES,
    FUNCTIONS,
    LATER_FUNCTIONS,
    NUMBERS,
    PLACE_FUNCTIONS,
    TIME_NAMES,
)
from layerlr_dsl.language.questions import Constants, children
from layerlr_dsl.language.regex import RegexFault, full_match
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.vocabulary import ATTRIBUTES, VALUES
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.number_words import number_of
from layerlr_dsl.tools.records import record


@record
class Names:
    """What a name may stand for at one place."""

    lets: Constants
    captures: frozenset[str] = frozenset()
    attributes: bool = False
    missing: dict[str, s.Pattern | s.Regex | s.GroupRef] = field(default_factory=dict)
    """Captures that one item of the selector does not bind, with that item."""
    reason: str | None = None
    """Why attributes and captures are out of reach here."""
    time: bool = False
    """Whether a value may move here."""
    model: bool = False
    """Whether a value may depend on the model here."""

    def all(self) -> Iterable[str]:
        yield from self.lets
        yield from self.captures
        if self.attributes:
            yield from ATTRIBUTES
        if self.time:
            yield from TIME_NAMES


def check_expression(expression: s.Expression, names: Names, found: Findings) -> None:
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
            help = f"write `count({node.span.text})`, or `last` or `first` of it"
            found.error("LR107", f"`{node.span.text}` has no value of its own", node.span, help)
        elif isinstance(node, s.Comparison) and (fault := _bare_word(node, names)) is not None:
            found.add(fault)
        else:
            if isinstance(node, s.Matches):
                _check_regex(node.pattern, found)
            stack.extend(children(node))


def constant(expression: s.Expression, names: Names, found: Findings, *, exact: bool = False) -> Value | None:
    """What a constant is worth, `exact` for time, in fractions; None where a finding says why it is nothing."""
    part = found.part()
    check_expression(expression, names, found)
    return attempt(expression, Scope(names.lets, exact=exact), found) if part.clean else None


def attempt(expression: s.Expression, scope: Scope, found: Findings) -> Value | None:
    """What an expression is worth; None where a finding says why it is nothing."""
    try:
        return evaluate(expression, scope)
    except Fault as fault:
        found.add(fault.finding())
        return None


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


def _check_name(node: s.Name, names: Names, found: Findings) -> None:
    name = node.name
    if name in names.missing:
        item = names.missing[name]
        found.error(
            "LR119",
            f"`{name}` is not bound by `{item.span.text}`, one item of this selector",
            node.span,
            f"give `{item.span.text}` a rule of its own, or bind `<{name}>` in every item",
        )
    elif (barred := _barred(name, node.span, names)) is not None:
        found.add(barred)
    elif name in names.captures or name in names.lets or name in DTYPES or name in NUMBERS:
        return
    elif name in TIME_NAMES:
        if not names.time:
            found.add(_moves_here(f"`{name}`", node.span))
    elif names.attributes and name in ATTRIBUTES:
        if name not in VALUES:
            say = "`module is Conv2d`" if name == "module" else "`shape[0]`"
            found.error("LR107", f"`{name}` has no value of its own", node.span, f"write {say}")
    else:
        found.add(_unknown(node, names))


def _barred(name: str, span: Span, names: Names) -> Diagnostic | None:
    """What is wrong with a `let` that is worth nothing at this place."""
    if name in names.captures:
        return None
    if name in names.lets.moving and not names.time:
        return _moves_here(f"`{name}`", span)
    if name in names.lets.of_model and not names.model:
        return _of_model_here(f"`{name}`", span)
    return None


def _of_model_here(what: str, span: Span) -> Diagnostic:
    return error(
        "LR131",
        f"{what} is worked out against the model, and this value is the same for every model",
        span,
        "what a group counts stands in the values of rules, in `where`, in `expect`, and in a `let` that is "
        "used there",
    )


def _moves_here(what: str, span: Span) -> Diagnostic:
    return error(
        "LR126",
        f"{what} changes with time, and this value cannot",
        span,
        f"what moves stands in the values of {optimizers.windowed_names()}, in a `let` that is used there, and as "
        "`schedule NAME`",
    )


_CLASS_WORDS = frozenset({"type", "cls", "class_name", "module_type", "layer_type", "kind"})


FAMILIES = {
    **dict.fromkeys(("norm", "layernorm", "batchnorm", "bn"), "module is norm"),
    "bias": 'name == "bias"',
    "embedding": "module is embedding",
}
"""What people call kinds of parameters, and how these are asked for."""
_ORDINALS = {"other": 2, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_SAID_OTHERWISE = {
    **FAMILIES,
    **dict.fromkeys(("size", "nelement", "params", "num_params", "n_params", "elements"), "numel"),
    **dict.fromkeys(("dim", "dims", "ndims", "n_dim"), "ndim"),
    **{family: f"module is {family}" for family in ("conv", "linear", "attention")},
}
"""What people ask of a parameter, and how it is asked here."""


def _unknown(node: s.Name, names: Names) -> Diagnostic:
    if node.name in ATTRIBUTES:
        return error("LR101", f"`{node.name}` is not known here", node.span, names.reason)
    if (number := number_of(node.name)) is not None:
        fix = replacing(node.span, number, safe=number.isdigit())
        return error("LR101", f"unknown name `{node.name}`", node.span, f"write `{number}`", fix=fix)
    near = nearest(node.name, [*names.all(), *_words_near(node.name)])
    if node.name in _ORDINALS and not names.attributes:
        help = f"a number stands here: `every {_ORDINALS[node.name]} epochs`"
    elif node.name in _CLASS_WORDS:
        help = "the class of the owner is asked for with `module is Conv2d`"
    elif names.attributes and node.name.lower() in _SAID_OTHERWISE:
        help = f"write `{_SAID_OTHERWISE[node.name.lower()]}`"
    elif names.attributes and len(node.name) == 1 and near is None and not names.captures:
        help = (
            f"bind it in the selector, as in `layer<{node.name}>`, or define it with `let {node.name} = ...`"
        )
    elif names.time and node.name in CALLED:
        help = f"a schedule is called: `{node.name}()`"
    elif node.name in (*FUNCTIONS, *CAPTURE_FUNCTIONS):
        help = f"a function is called: `{node.name}(...)`"
    elif near is not None:
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


def _check_subscript(node: s.Subscript, names: Names, found: Findings) -> None:
    if node.name in names.lets:
        barred = _barred(node.name, node.span, names)
        if barred is not None:
            found.add(barred)
    elif node.name != "shape" or not names.attributes:
        near = nearest(node.name, [*names.lets, *(["shape"] if names.attributes else [])])
        help = f"did you mean `{near}`?" if near else names.reason or "tuples and `shape` can"
        found.error("LR101", f"`{node.name}` cannot be indexed here", node.span, help)


def _check_is(node: s.Is, names: Names, found: Findings) -> None:
    if not names.attributes:
        found.error("LR101", "`is` asks about a parameter, and there is none here", node.span, names.reason)
    elif not (isinstance(node.subject, s.Name) and node.subject.name in ("module", "dtype")):
        asked = node.subject.span.text
        near = "module" if asked in _CLASS_WORDS else nearest(asked, ("module", "dtype"))
        meant = f"did you mean `{near} is {node.word}`?" if near else None
        found.error(
            "LR125",
            "`is` stands after `module` or `dtype` only",
            node.span,
            meant or f'compare with `==`: `{node.subject.span.text} == "{node.word}"`',
        )
    elif node.subject.name == "dtype" and node.word.removeprefix("torch.") not in DTYPES:
        near = nearest(node.word, DTYPES)
        found.error(
            "LR125",
            f"unknown dtype `{node.word}`",
            node.word_span,
            f"did you mean `{near}`?" if near else None,
        )


def _check_call(node: s.Call, names: Names, found: Findings) -> bool:
    """Whether the arguments are expressions that want checking too."""
    if node.function in names.lets or node.function in names.captures:
        what = "a capture" if node.function in names.captures else "a `let`"
        message = f"`{node.function}` is {what} here and no function"
        found.error(
            "LR109",
            message,
            node.function_span,
            f"rename {what.replace('a ', 'the ', 1)} to use the function",
        )
        return False
    if node.function in CALLED or node.function == "ramp":
        if not names.time:
            found.add(_moves_here(f"`{node.function}(...)`", node.function_span))
            return False
        return (
            check_ramp(node, found) if node.function == "ramp" else _check_called_schedule(node, names, found)
        )
    if node.function == "plateau" and names.time:
        message = "`plateau` falls when a metric says so, and a value moves with time alone"
        help = "write it as a schedule: `schedule plateau(metric=val_loss)`"
        found.error("LR109", message, node.function_span, help)
        return False
    for keyword in node.keywords:
        message = f"`{node.function}` takes no argument by name"
        found.error("LR109", message, keyword.span, f"leave out `{keyword.name}=`")
    if node.function not in ARITY:
        known = [*FUNCTIONS, *CAPTURE_FUNCTIONS, *LATER_FUNCTIONS]
        near = nearest(node.function, [*known, *(CALLED if names.time else ())])
        help = f"did you mean `{near}`?" if near else "known: " + ", ".join(known)
        if node.function == "len" and names.attributes:
            help = "the number of dimensions is `ndim`, that of elements `numel`"
        found.error("LR109", f"unknown function `{node.function}`", node.function_span, help)
        return True
    low, high = ARITY[node.function]
    if not low <= len(node.arguments) <= high:
        want = {1: "one argument", 3: "three arguments"}.get(
            low if low == high else 0, "one or more arguments"
        )
        found.error("LR109", f"`{node.function}` takes {want}, not {len(node.arguments)}", node.span)
        return False
    if node.function not in CAPTURE_FUNCTIONS:
        return True
    if isinstance(node.arguments[0], s.GroupCapture):
        _check_of_group(node, node.arguments[0], names, found)
    else:
        for argument in node.arguments:
            _check_capture(node, argument, names, found)
    return False


def _check_capture(node: s.Call, argument: s.Expression, names: Names, found: Findings) -> None:
    if isinstance(argument, s.Name) and (argument.name in names.captures or argument.name in names.missing):
        _check_name(argument, names, found)
        return
    near = nearest(argument.span.text, names.captures)
    help = f"did you mean `{near}`?" if near else "bind one in the selector, such as `layer<i>`"
    message = f"`{node.function}` needs a capture, and `{argument.span.text}` is none"
    found.error("LR101", message, argument.span, help)


def _check_of_group(node: s.Call, of: s.GroupCapture, names: Names, found: Findings) -> None:
    """`last(@blocks)`, `count(@blocks.i)`, `rank(@blocks, s)`: captures of a group that there is."""
    wrong = _wrong_form(node, of)
    if wrong is not None:
        found.add(wrong)
    elif not names.model:
        found.add(_of_model_here(f"`{node.span.text}`", node.span))
    elif of.group not in names.lets.groups:
        if of.group not in names.lets.lost:
            found.add(unknown_group(of.group, of.span, names.lets.groups))
    else:
        bound = names.lets.groups[of.group]
        wrong = _wrong_capture(node, of, bound)
        if wrong is not None:
            found.add(wrong)
        for argument in node.arguments[1:]:
            _check_shared(node, argument, of, bound, names, found)


def _wrong_form(node: s.Call, of: s.GroupCapture) -> Diagnostic | None:
    """LR109: what a function cannot be asked of a group."""
    if node.function not in PLACE_FUNCTIONS:
        if len(node.arguments) == 1:
            return None
        message = f"`{node.function}` takes one group by itself"
        return error("LR109", message, node.span, f"write `{node.function}({of.span.text})`")
    if len(node.arguments) > 1 and of.capture is not None:
        help = f"write `{node.function}(@{of.group}, {of.capture})`"
        return error("LR109", "captures of this selector stand behind a whole group", of.span, help)
    if node.function == "rank" and len(node.arguments) == 1:
        message = "`rank` is the place of captures of this selector in a group, and none is named"
        return error("LR109", message, node.span, f"write `rank(@{of.group}, i)`")
    return None


def _check_shared(
    node: s.Call,
    argument: s.Expression,
    of: s.GroupCapture,
    bound: frozenset[str],
    names: Names,
    found: Findings,
) -> None:
    """A capture of this selector that the group binds too."""
    part = found.part()
    _check_capture(node, argument, names, found)
    if not part.clean or not isinstance(argument, s.Name) or argument.name in bound:
        return
    shown = ", ".join(f"`<{name}>`" for name in sorted(bound)) or "none"
    message = f"`@{of.group}` does not bind `<{argument.name}>`"
    help = f"it binds {shown}: give the captures of both the same names"
    found.error("LR119", message, argument.span, help)


def unknown_group(name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    """LR110, with the near miss."""
    near = nearest(name, known)
    help = f"did you mean `@{near}`?" if near else f"define it: `group {name} = ...`"
    place = Span(span.source, span.start, span.start + 1 + len(name))
    fix = Fix(f"replace by `@{near}`", (Edit(place, f"@{near}"),)) if near else None
    return error("LR110", f"unknown group `@{name}`", place, help, fix=fix)


def _wrong_capture(node: s.Call, of: s.GroupCapture, captures: frozenset[str]) -> Diagnostic | None:
    several = 1 if node.function not in PLACE_FUNCTIONS else len(captures)
    if of.capture in captures or (of.capture is None and 0 < len(captures) <= several):
        return None
    shown = " and ".join(f"`<{name}>`" for name in sorted(captures))
    if not captures:
        message = f"`@{of.group}` binds no capture"
        return error("LR119", message, of.span, f"bind one in it: `group {of.group} = layer<i>`")
    near = sorted(captures)[0] if of.capture is None else nearest(of.capture, captures)
    meant = None if near is None else f"@{of.group}.{near}"
    fix = None if meant is None else Fix(f"replace by `{meant}`", (Edit(of.span, meant),))
    if of.capture is None:
        message = f"`@{of.group}` binds {shown}"
        return error("LR119", message, of.span, f"say which: `{node.function}({meant})`", fix=fix)
    message = f"`@{of.group}` does not bind `<{of.capture}>`"
    help = f"did you mean `{meant}`?" if meant else f"it binds {shown}"
    return error("LR119", message, of.span, help, fix=fix)


def _check_called_schedule(node: s.Call, names: Names, found: Findings) -> bool:
    if node.arguments:
        message = f"the arguments of `{node.function}` have names"
        found.error("LR109", message, node.arguments[0].span, f"write {node.function}(warmup=5%)")
        return False
    # What its arguments are worth is judged where the schedule is made.
    return True


_RAMP_WORDS = ("shape", "endpoint", "exact")


def check_ramp(node: s.Call, found: Findings) -> bool:
    """Whether `ramp((WHEN, VALUE), ..., shape=, endpoint=, exact=)` has that form."""
    part = found.part()
    if not node.arguments:
        message = "a ramp has points, and this one has none"
        found.error("LR109", message, node.span, "write ramp((0%, 0), (10%, 1))")
    for point in node.arguments:
        if not isinstance(point, s.Tuple) or len(point.items) != 2:
            message = "a point of a ramp is a time and a value"
            found.error("LR109", message, point.span, "write (30%, 0.1) or (2 epochs, 0.1)")
        elif not (
            isinstance(when := point.items[0], s.Duration) or (isinstance(when, s.Number) and when.percent)
        ):
            message = f"`{when.span.text}` is no stretch of time from the start"
            text = when.span.text
            help = (
                f"write {text}%, {text} steps or {text} epochs" if isinstance(when, s.Number) else "write 30%"
            )
            found.error("LR106", message, when.span, help)
        elif isinstance(value := point.items[1], s.Duration):
            found.error("LR107", f"`{value.span.text}` is a stretch of time, not a value", value.span)
    for keyword in node.keywords:
        if keyword.name not in _RAMP_WORDS:
            near = nearest(keyword.name, _RAMP_WORDS)
            help = f"did you mean `{near}`?" if near else "it takes shape, endpoint and exact"
            found.error("LR109", f"`ramp` has no argument `{keyword.name}`", keyword.name_span, help)
    return part.clean


def _check_regex(regex: s.Regex, found: Findings) -> None:
    try:
        full_match(regex.pattern)
    except RegexFault as fault:
        found.error("LR112", str(fault), regex.span)
