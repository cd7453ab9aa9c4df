"""From syntax trees back to text: the one printer of the language, in the layout of `layerlr fmt`.

What it writes is read back as an equal tree (`trees.same`): for starters, importers, fixes and
messages, which build trees and never paste strings. Nothing here recurses, so chains of 10,000
operators are written as easily as they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.layout import WIDEST, is_open
from layerlr_dsl.language.machine import machine
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.numbers import respelled

Part: TypeAlias = Any
"""A piece of text, or a node whose text stands there."""

_PLAIN = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")
_SPECIAL = re.compile(r"[*?\[\]{}<>]")
_OPERATORS = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "mod": 6, "^": 8}
_NOT, _COMPARISON, _SUM, _SIGN, _ATOM = 3, 4, 5, 7, 9
_UNITS = {"epochs": "epoch", "steps": "step"}


def text_of(node: Any) -> str:
    """The text of an expression, a selector, a time, a factory, a statement or of a whole file's statements.

    A statement may take several lines, and only a file's text ends with a newline.
    """
    if isinstance(node, s.File):
        return _file(node.statements)
    text = _one_line(node)
    if len(text) > WIDEST and isinstance(node, s.Statement):
        return format_text(Source("", text)).rstrip("\n")
    return text


def selector_of(name: str) -> str:
    """A dotted name as the selector of exactly that, in quotes where a word of the language stands in it."""
    plain = all(_PLAIN.fullmatch(segment) for segment in name.split("."))
    if plain and name.upper() not in machine().words:
        return name
    literal = _SPECIAL.sub(lambda found: f"[{found[0]}]", name)
    return _quoted("".join(char if char.isprintable() else "?" for char in literal))  # no file can spell it


def _file(statements: Iterable[s.Statement]) -> str:
    return format_text(Source("", "".join(f"{_one_line(statement)}\n" for statement in statements)))


def _one_line(node: Any) -> str:
    pieces: list[str] = []
    waiting: list[Part] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            pieces.append(part)
        else:
            waiting.extend(reversed(_WRITERS[type(part)](part)))
    return "".join(pieces)


# ---------------------------------------------------------------- shared parts


def _listed(nodes: Iterable[Any], joint: str = ", ") -> list[Part]:
    parts: list[Part] = []
    for node in nodes:
        parts += [joint, node] if parts else [node]
    return parts


def _behind(word: str, part: Any) -> list[Part]:
    """` until TIME`, where there is such a part."""
    return [] if part is None else [f" {word} ", part]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _in_tuple(items: tuple[Any, ...]) -> list[Part]:
    return ["(", *_listed(items), ",)" if len(items) == 1 else ")"]


def _at_least(level: int, node: Any) -> list[Part]:
    """An operand, in parentheses where it binds less than `level`."""
    return [node] if _level(node) >= level else ["(", node, ")"]


def _level(node: Any) -> int:
    if isinstance(node, s.Arithmetic | s.Logic):
        return _OPERATORS[node.operator]
    if isinstance(node, s.Comparison | s.Is | s.Matches):
        return _COMPARISON
    if isinstance(node, s.Negative):
        return _SIGN
    return _NOT if isinstance(node, s.Not) else _ATOM


def _count(node: Any) -> list[Part]:
    """The number of a time: a number, a name, or anything else in parentheses."""
    number = node.operand if isinstance(node, s.Negative) else node
    bare = isinstance(number, s.Number) and not number.percent
    return [node] if bare or isinstance(node, s.Name) else ["(", node, ")"]


def _counted(node: Any, unit: str) -> list[Part]:
    """`1 epoch`, `n epochs`."""
    one = isinstance(node, s.Number) and respelled(node.text) == "1"
    return [*_count(node), " ", _UNITS[unit] if one else unit]


# ---------------------------------------------------------------- expressions


def _number(node: s.Number) -> list[Part]:
    return [respelled(node.text + "%" * node.percent)]


def _binary(node: s.Arithmetic | s.Logic) -> list[Part]:
    own = _level(node)
    left, right = (own + 1, _SIGN) if node.operator == "^" else (own, own + 1)
    return [*_at_least(left, node.left), f" {node.operator} ", *_at_least(right, node.right)]


def _comparison(node: s.Comparison) -> list[Part]:
    return [*_at_least(_SUM, node.left), f" {node.operator} ", *_at_least(_SUM, node.right)]


def _is(node: s.Is) -> list[Part]:
    word = node.word if node.word.isidentifier() else _quoted(node.word)
    return [*_at_least(_SUM, node.subject), f" is {word}"]


def _matches(node: s.Matches) -> list[Part]:
    return [*_at_least(_SUM, node.subject), " matches ", node.pattern]


def _call(node: s.Call) -> list[Part]:
    return [f"{node.function}(", *_listed((*node.arguments, *node.keywords)), ")"]


def _group_capture(node: s.GroupCapture) -> list[Part]:
    return [f"@{node.group}" if node.capture is None else f"@{node.group}.{node.capture}"]


# ---------------------------------------------------------------- time


def _moment(node: s.Moment) -> list[Part]:
    return [*_count(node.value), "%"] if node.unit == "percent" else [f"{node.unit} ", *_count(node.value)]


def _duration(node: s.Duration) -> list[Part]:
    return [*_count(node.value), "%"] if node.unit == "percent" else _counted(node.value, node.unit)


def _condition(node: s.Condition) -> list[Part]:
    metric = node.metric if node.metric.isidentifier() else _quoted(node.metric)
    by = [" by ", *_count(node.delta)] if node.delta is not None else []
    return [f"{metric} stops {node.direction} for ", *_counted(node.patience, "epochs"), *by]


def _window(node: s.Window) -> list[Part]:
    opens = ["from ", node.opens] if node.opens is not None else []
    joint = " " if opens and node.closes is not None else ""
    return [*opens, joint, *(["until ", node.closes] if node.closes is not None else [])]


# ---------------------------------------------------------------- selectors


def _regex(node: s.Regex) -> list[Part]:
    return ["/" + node.pattern.replace("/", "\\/") + "/"]


def _pattern(node: s.Pattern) -> list[Part]:
    return [_quoted(node.text) if node.quoted else node.text]


def _items(items: tuple[s.SelectorItem, ...]) -> list[Part]:
    parts: list[Part] = []
    for item in items:
        if parts:
            parts.append(" , " if _takes_commas(parts[-1]) else ", ")
        parts.append(item)
    return parts


def _takes_commas(item: Part) -> bool:
    """Whether a comma that touches the item would become a part of it."""
    return isinstance(item, s.Pattern) and not item.quoted and is_open(item.text)


def _selector(node: s.Selector) -> list[Part]:
    excluded = [" except ", *_items(node.exclude)] if node.exclude else []
    return [*_items(node.include), *excluded, *_behind("where", node.where)]


# ---------------------------------------------------------------- optimizers and schedules


def _argument(node: s.Argument) -> list[Part]:
    value = _in_tuple(node.value) if isinstance(node.value, tuple) else [node.value]
    return [f"{node.name}=", *value]


def _factory(node: s.Factory) -> list[Part]:
    return [f"{node.name}(", *_listed(node.arguments), ")"] if node.arguments else [node.name]


# ---------------------------------------------------------------- statements


def _optimizer(node: s.OptimizerStatement) -> list[Part]:
    return ["optimizer ", "" if node.name is None else f"{node.name} = ", node.factory]


def _setting(node: s.Setting) -> list[Part]:
    option = _quoted(node.option) if node.quoted else node.option
    joint = " *= " if node.multiply else " "
    return [option] if node.value is None else [option, joint, node.value]


def _rule(node: s.RuleStatement) -> list[Part]:
    return [node.selector, " -> ", *_listed(node.settings), *_spaced(node.window)]


def _spaced(window: s.Window | None) -> list[Part]:
    return [] if window is None else [" ", window]


def _freeze(node: s.FreezeStatement) -> list[Part]:
    updating = " updating statistics" if node.updating_statistics else ""
    return ["freeze ", node.selector, updating, *_spaced(node.window), *_behind("warmup", node.warmup)]


def _unfreeze(node: s.UnfreezeStatement) -> list[Part]:
    return ["unfreeze ", node.selector, *_behind("at", node.at), *_behind("warmup", node.warmup)]


def _turn(node: s.Turn) -> list[Part]:
    order = " descending" if node.descending else ""
    return [node.selector, "" if node.by is None else f" by {node.by}{order}"]


def _sequence(node: s.UnfreezeSequenceStatement) -> list[Part]:
    pace = [*_behind("every", node.every), *_behind("starting at", node.start)]
    return ["unfreeze ", *_listed(node.turns, " then "), *pace, *_behind("warmup", node.warmup)]


def _stage(node: s.StageStatement) -> list[Part]:
    ending = [*_behind("for", node.length), *_behind("until", node.until)]
    return [f"stage {node.name}", *ending, ", fresh optimizer" if node.fresh else ""]


def _expect_option(node: s.ExpectOption) -> list[Part]:
    compared = [f" {node.option} {node.operator} ", *_at_least(_SUM, node.value)]
    return ["expect ", node.selector, *compared, *_behind("at", node.at)]


def _expect_state(node: s.ExpectState) -> list[Part]:
    return ["expect ", node.selector, " frozen" if node.frozen else " trains", *_behind("at", node.at)]


def _expect_count(node: s.ExpectCount) -> list[Part]:
    compared = [f"expect {node.subject} {node.operator} ", *_at_least(_SUM, node.value)]
    return [*compared, *_behind("at", node.at)]


_WRITERS: dict[type, Callable[[Any], list[Part]]] = {
    s.Number: _number,
    s.String: lambda node: [_quoted(node.value)],
    s.Boolean: lambda node: ["true" if node.value else "false"],
    s.Name: lambda node: [node.name],
    s.Tuple: lambda node: _in_tuple(node.items),
    s.Negative: lambda node: ["-", *_at_least(_SIGN, node.operand)],
    s.Arithmetic: _binary,
    s.Logic: _binary,
    s.Comparison: _comparison,
    s.Not: lambda node: ["not ", *_at_least(_NOT, node.operand)],
    s.Is: _is,
    s.Matches: _matches,
    s.Call: _call,
    s.Subscript: lambda node: [f"{node.name}[", node.index, "]"],
    s.GroupCapture: _group_capture,
    s.Moment: _moment,
    s.Duration: _duration,
    s.Condition: _condition,
    s.Window: _window,
    s.Regex: _regex,
    s.Pattern: _pattern,
    s.GroupRef: lambda node: [f"@{node.name}"],
    s.Selector: _selector,
    s.Argument: _argument,
    s.Factory: _factory,
    s.SchedulePart: lambda node: [node.factory, *_behind("for", node.length)],
    s.ScheduleSequence: lambda node: _listed(node.parts, " then "),
    s.Setting: _setting,
    s.Turn: _turn,
    s.VersionStatement: lambda node: ["version ", node.number],
    s.ModelStatement: lambda node: ["model ", node.spec],
    s.EpochsStatement: lambda node: ["epochs ", node.value],
    s.StepsStatement: lambda node: ["steps ", node.value],
    s.StepsPerEpochStatement: lambda node: ["steps_per_epoch ", node.value],
    s.IncludeStatement: lambda node: ["include ", node.path],
    s.LetStatement: lambda node: [f"let {node.name} = ", node.value],
    s.GroupStatement: lambda node: [f"group {node.name} = ", node.selector],
    s.OptimizerStatement: _optimizer,
    s.ScheduleStatement: lambda node: ["schedule ", node.sequence],
    s.RuleStatement: _rule,
    s.FreezeStatement: _freeze,
    s.FreezeStatisticsStatement: lambda node: ["freeze statistics of ", node.selector, *_spaced(node.window)],
    s.UnfreezeStatement: _unfreeze,
    s.UnfreezeSequenceStatement: _sequence,
    s.StageStatement: _stage,
    s.AfterStagesStatement: lambda node: ["after stages"],
    s.ExpectOption: _expect_option,
    s.ExpectState: _expect_state,
    s.ExpectCount: _expect_count,
}
