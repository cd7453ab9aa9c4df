"""From a description to the text of a rule file: through syntax trees and the one printer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Rule, Stage
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.printing import text_of
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.printable import escape

_WIDTH = 98


def text_of_description(told: Description, source: str, notes: Iterable[str] = ()) -> str:
    """The rule file, what could not be carried over in comments at its head."""
    head = [f"Imported from {escape(source)} ({told.kind}).", *notes]
    comments = [line for text in head for line in _comment(text)]
    missing = [entry for entry in told.left_out if entry.matters]
    if missing:
        comments += ["#", "# Not carried over:"]
        comments += [line for entry in missing for line in _comment(_listed(entry, source), "- ", "  ")]
    blocks = [text_of(s.File(Source("", ""), tuple(part), ())) for part in _parts(told) if part]
    body = "\n".join(blocks)
    return format_text(Source("<import>", "\n".join(comments) + "\n" + body))


def _listed(entry: LeftOut, source: str) -> str:
    place = f"{escape(source)}:{entry.line}: " if entry.line is not None else ""
    return f"{place}{entry}"


def _comment(text: str, first: str = "", rest: str = "") -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)
    return [f"# {line}" for line in lines or [""]]


# ---------------------------------------------------------------- statements


def _parts(told: Description) -> Iterator[list[s.Statement]]:
    """Statements, a blank line between the parts."""
    yield list(_head(told))
    yield [nodes.let(word, plain) for word, plain in told.lets] + list(_setting(told))
    yield [_statement(rule) for rule in told.rules]
    for stage in told.stages:
        yield [_heading(stage), *(_statement(rule) for rule in stage.rules)]


def _head(told: Description) -> Iterator[s.Statement]:
    yield s.VersionStatement(nodes.HERE, s.Number(nodes.HERE, "1"))
    if told.model is not None:
        yield s.ModelStatement(nodes.HERE, s.String(nodes.HERE, told.model))
    lengths = (
        (s.EpochsStatement, told.epochs),
        (s.StepsStatement, told.steps),
        (s.StepsPerEpochStatement, told.steps_per_epoch),
    )
    for statement, number in lengths:
        if number is not None:
            yield statement(nodes.HERE, nodes.value(_plain(number)))


def _plain(number: Any) -> Any:
    whole = Fraction(str(number)).denominator == 1
    return int(number) if whole else float(number)


def _setting(told: Description) -> Iterator[s.Statement]:
    if told.optimizer is not None:
        yield s.OptimizerStatement(nodes.HERE, told.optimizer)
    if told.schedule is not None:
        yield s.ScheduleStatement(nodes.HERE, told.schedule)


def _heading(stage: Stage) -> s.StageStatement:
    return s.StageStatement(nodes.HERE, stage.name, nodes.HERE, stage.length, stage.until, stage.fresh)


def _statement(rule: Rule | Freeze) -> s.Statement:
    if isinstance(rule, Freeze):
        return nodes.freeze(rule.which)
    return nodes.rule(rule.which, list(_settings(rule.options, rule.quoted)))


def _settings(options: Mapping[str, Any], quoted: frozenset[str]) -> Iterator[s.Setting]:
    for option, plain in options.items():
        yield nodes.setting(option, plain, option in quoted)


def with_rules(told: Description, rules: Iterable[Rule | Freeze], left: Iterable[LeftOut]) -> Description:
    """The same with other rules, and more that could not be carried over."""
    return replace(told, rules=tuple(rules), left_out=(*told.left_out, *left))
