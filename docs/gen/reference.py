"""Parts of the reference that are read from the code: the grammar, attributes, arguments of schedules, the changelog."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, FAMILY_WORDS
from layerlr_dsl.plan.clock import Length
from layerlr_dsl.plan.schedules import arguments_of
from layerlr_dsl.tools.resources import grammar_path

GRAMMAR = """# Grammar

The whole grammar, as the parser reads it ([Lark](https://lark-parser.readthedocs.io), LALR).

```text
{grammar}
```
"""


def grammar_page() -> str:
    return GRAMMAR.format(grammar=grammar_path().read_text(encoding="utf-8").strip())


def changelog_page() -> str:
    return (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")


def attribute_table() -> str:
    """What `where` and values can ask of a parameter."""
    rows = [f"| `{word.name}` | {word.about} |" for word in ATTRIBUTE_WORDS]
    rows += [f"| `module is {word.name}` | {word.about} |" for word in FAMILY_WORDS]
    return "| name | what it is |\n|---|---|\n" + "\n".join(rows)


def schedule_table(name: str) -> str:
    """The arguments of a schedule."""
    arguments = arguments_of(name)
    assert arguments is not None, name
    rows = [
        f"| `{argument}` | {_kind(info.kind, info.choices)} | {_default(info.default, info.required)} | {info.about} |"
        for argument, info in arguments.items()
    ]
    return "| argument | kind | default | |\n|---|---|---|---|\n" + "\n".join(rows)


def _kind(kind: str, choices: tuple[str, ...]) -> str:
    words = {"length": "duration", "lengths": "durations", "fraction": "share", "metric": "name"}
    return " or ".join(f'`"{c}"`' for c in choices) if choices else words.get(kind, kind)


def _default(value: object, required: bool) -> str:
    if required:
        return "(required)"
    if value is None:
        return ""
    if isinstance(value, Length):
        number = value.value if value.value.denominator != 1 else Fraction(value.value).numerator
        return f"`{number}%`" if value.unit == "percent" else f"`{number} {value.unit}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"
