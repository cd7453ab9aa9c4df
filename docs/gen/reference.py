"""Parts of the reference that are read from the code: the grammar, attributes, arguments of schedules, the changelog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from layerlr_dsl.catalogue.schedules import STRETCHED, ArgumentInfo, arguments_of, names
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, FAMILY_WORDS
from layerlr_dsl.tools.resources import grammar_path

_SECTION = {
    **dict.fromkeys(
        ("warmup", "warmup_start_factor", "warmup_lr", "warmup_type", "warmup_prefix"), "warm-up"
    ),
    **dict.fromkeys(("floor", "min_lr"), "how-low-it-falls"),
    "interval": "once-an-epoch",
    "endpoint": "where-it-ends",
}
"""Where the page of schedules speaks of an argument that most of them take."""

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


def study_files() -> dict[str, str]:
    """The page of the study, and its pictures."""
    folder = Path(__file__).parents[2] / "benchmarks" / "effect"
    names = {"RESULTS.md": "study.md", "differences.svg": "differences.svg", "time.svg": "time.svg"}
    return {page: (folder / name).read_text(encoding="utf-8") for name, page in names.items()}


def attribute_table() -> str:
    """What `where` and values can ask of a parameter."""
    rows = [f"| `{word.name}` | {word.about} |" for word in ATTRIBUTE_WORDS]
    rows += [f"| `module is {word.name}` | {word.about} |" for word in FAMILY_WORDS]
    return "| name | what it is |\n|---|---|\n" + "\n".join(rows)


def schedule_table(name: str) -> str:
    """The arguments that a schedule has of its own, and those of all schedules that it takes."""
    own, common = _arguments(name)
    taken = f"Also: {', '.join(f'[`{argument}`](#{_SECTION[argument]})' for argument in common)}."
    return f"{_table(own)}\n\n{taken}" if own else taken


def common_table() -> str:
    """The arguments that most schedules take."""
    return _table(STRETCHED)


def schedules_table() -> str:
    """Every schedule with all its arguments."""
    columns = list(STRETCHED)
    head = f"| schedule | its own | {' | '.join(f'`{argument}`' for argument in columns)} |"
    rows = [_row(name, columns) for name in names()]
    return "\n".join([head, "|---|---|" + ":-:|" * len(columns), *rows])


def _row(name: str, columns: list[str]) -> str:
    own, common = _arguments(name)
    mine = ", ".join(f"`{argument}`" for argument in own)
    takes = " | ".join("yes" if argument in common else "" for argument in columns)
    return f"| [`{name}`](#{name}) | {mine} | {takes} |"


def _arguments(name: str) -> tuple[Mapping[str, ArgumentInfo], list[str]]:
    """A schedule's own arguments, and the names of the common ones that it takes."""
    arguments = arguments_of(name)
    assert arguments is not None, name
    own = {argument: info for argument, info in arguments.items() if argument not in STRETCHED}
    return own, [argument for argument in STRETCHED if argument in arguments]


def _table(arguments: Mapping[str, ArgumentInfo]) -> str:
    rows = [
        f"| `{argument}` | {_kind(info.kind, info.choices)} | {_default(info.default, info.required)} | {info.about} |"
        for argument, info in arguments.items()
    ]
    return "| argument | kind | default | |\n|---|---|---|---|\n" + "\n".join(rows)


def _kind(kind: str, choices: tuple[str, ...]) -> str:
    words = {
        "length": "duration",
        "lengths": "durations",
        "fraction": "share",
        "metric": "name",
        "flag": "`true` or `false`",
    }
    return " or ".join(f"`{choice}`" for choice in choices) if choices else words.get(kind, kind)


def _default(value: object, required: bool) -> str:
    if required:
        return "(required)"
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"
