"""The winner as a rule file: its text with the values that were found, and the evidence in comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tuning.arms import Arm


def texts(
    arm: Arm, values: Mapping[str, object], evidence: Sequence[str], root: Path | None
) -> dict[str, str]:
    """The files of an arm by their paths beside each other, its own first; included ones as they are.

    A `let` of an included file gets its value there, and `epochs` in the arm's own file that of its trials.
    """
    from layerlr_dsl.runner.folder import rule_texts

    chosen = {**arm.fixed, **values}
    sources = arm.load({}, root).checked.sources
    found = {name: with_values(text, chosen) for name, text in rule_texts(sources).items()}
    first = next(iter(found))
    if arm.epochs is not None:
        found[first] = with_epochs(found[first], arm.epochs)
    comments = "".join(f"# {escape(line)}".rstrip() + "\n" for line in evidence)
    found[first] = format_text(Source(first, f"{comments}\n{found[first]}"))
    return found


def with_values(text: str, values: Mapping[str, object]) -> str:
    """A rule text with other constants in its `let`s, all else as it stands."""
    file, _ = parse(Source("<winner>", text))
    for statement in reversed(file.statements):
        if isinstance(statement, s.LetStatement) and statement.name in values:
            span = statement.value.span
            text = text[: span.start] + spelled(values[statement.name], 4) + text[span.end :]
    return text


def with_epochs(text: str, epochs: float) -> str:
    """A rule text with another length, where it gives one."""
    file, _ = parse(Source("<winner>", text))
    for statement in file.statements:
        if isinstance(statement, s.EpochsStatement):
            span = statement.value.span
            text = text[: span.start] + spelled(epochs) + text[span.end :]
    return text
