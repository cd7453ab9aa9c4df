"""From a description to the text of a rule file: through syntax trees and the one printer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Line, Rule, Stage
from layerlr_dsl.importers.holding import hold
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.printing import text_of
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.printable import escape

_WIDTH = 98


def text_of_description(told: Description, source: str, notes: Iterable[str] = ()) -> str:
    """The rule file, what could not be carried over in comments at its head.

    Raises SourceFault, with the line in the source, where that says what no rule file may say.
    """
    head = [f"Imported from {escape(source)} ({told.kind}).", *notes]
    comments = [line for text in head for line in _comment(text)]
    missing = [entry for entry in told.left_out if entry.matters]
    if missing:
        comments += ["#", "# Not carried over:"]
        comments += [line for entry in missing for line in _comment(_listed(entry, source), "- ", "  ")]
    parts = list(_parts(told))
    blocks = [text_of(s.File(Source("", ""), tuple(one for one, _ in part), ())) for part in parts if part]
    written = Source("<import>", "\n".join([*comments, *blocks]))
    hold(written, [line for part in parts for _, line in part])
    return format_text(written)


def _listed(entry: LeftOut, source: str) -> str:
    place = f"{escape(source)}:{entry.line}: " if entry.line is not None else ""
    return f"{place}{entry}"


def _comment(text: str, first: str = "", rest: str = "") -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)
    return [f"# {line}" for line in lines or [""]]


# ---------------------------------------------------------------- statements


_Placed: TypeAlias = tuple[s.Statement, Line]
"""A statement, and the line of the source that it comes from."""


def _parts(told: Description) -> Iterator[list[_Placed]]:
    """Statements, a blank line between the parts."""
    yield list(_head(told))
    yield [
        *((nodes.let(word, plain), told.lines.get("schedule")) for word, plain in told.lets),
        *_setting(told),
    ]
    yield [(_statement(rule), rule.line) for rule in told.rules]
    for stage in told.stages:
        yield [(_heading(stage), stage.line), *((_statement(rule), rule.line) for rule in stage.rules)]


def _head(told: Description) -> Iterator[_Placed]:
    yield s.VersionStatement(nodes.HERE, s.Number(nodes.HERE, "1")), None
    if told.model is not None:
        yield s.ModelStatement(nodes.HERE, s.String(nodes.HERE, told.model)), None
    lengths = (
        (s.EpochsStatement, "epochs", told.epochs),
        (s.StepsStatement, "steps", told.steps),
        (s.StepsPerEpochStatement, "steps_per_epoch", told.steps_per_epoch),
    )
    for statement, key, number in lengths:
        if number is not None:
            yield statement(nodes.HERE, nodes.value(_plain(number))), told.lines.get(key)


def _plain(number: Any) -> Any:
    whole = Fraction(str(number)).denominator == 1
    return int(number) if whole else float(number)


def _setting(told: Description) -> Iterator[_Placed]:
    if told.optimizer is not None:
        yield s.OptimizerStatement(nodes.HERE, told.optimizer), told.lines.get("optimizer")
    if told.schedule is not None:
        yield s.ScheduleStatement(nodes.HERE, told.schedule), told.lines.get("schedule")


def _heading(stage: Stage) -> s.StageStatement:
    return s.StageStatement(nodes.HERE, stage.name, nodes.HERE, stage.length, stage.until, stage.fresh)


def _statement(rule: Rule | Freeze) -> s.Statement:
    if isinstance(rule, Freeze):
        return nodes.freeze(rule.which)
    return nodes.rule(rule.which, list(_settings(rule.options, rule.quoted)))


def _settings(options: Mapping[str, Any], quoted: frozenset[str]) -> Iterator[s.Setting]:
    for option, plain in options.items():
        yield nodes.setting(option, plain, option in quoted)
