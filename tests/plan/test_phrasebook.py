"""What newcomers type, from the habits of other tools, and the advice that they get for it.

phrasebook.txt holds the cases: a statement behind `===`, the first finding about it on ResNet-18, and behind
`---` what its fix makes of it, where it has one. Advice that lists all words of a kind ends in `...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.language.diagnostics import Diagnostic, Fix
from layerlr_dsl.model.specs import inventory_of_spec

BOOK = Path(__file__).with_name("phrasebook.txt")
BESIDE = {"LR204", "LR301"}
"""What a statement that stands all by itself is told besides."""


def cases() -> Iterator[tuple[str, str]]:
    for case in re.split(r"^=== ", BOOK.read_text(encoding="utf-8"), flags=re.M)[1:]:
        typed, code, advice = re.split(r"^(?=LR\d{3}: )()", case, maxsplit=1, flags=re.M)
        assert code == ""
        yield typed.rstrip("\n"), advice


@cache
def told(text: str) -> tuple[Diagnostic, ...]:
    resnet18 = inventory_of_spec("torchvision:resnet18", root=None, allow_python=False)
    try:
        found = layerlr.parse(text + "\n").check(resnet18, epochs=30)
    except layerlr.RuleError as wrong:
        found = wrong.diagnostics
    return tuple(d for d in found if d.code not in BESIDE and (d.severity != "info" or d.code == "LR215"))


def mended(text: str, fix: Fix) -> str:
    for edit in sorted(fix.edits, key=lambda e: -e.span.start):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def shown(text: str) -> str:
    first = told(text)[0]
    advice = f"{first.code}: {first.help}\n"
    if first.fix is not None:
        advice += f"--- {'safe' if first.fix.safe else 'fix'}\n{mended(text, first.fix)}\n"
    return advice


@pytest.mark.parametrize(("typed", "advice"), list(cases()), ids=[typed for typed, _ in cases()])
def test_a_newcomer_is_told_what_to_write(typed: str, advice: str) -> None:
    """The first finding says how this language says it, and writes it where only one thing can be meant."""
    begun, more, _ = advice.partition("...\n")
    assert shown(typed).startswith(begun) if more else shown(typed) == advice


@pytest.mark.parametrize("typed", [typed for typed, advice in cases() if "\n--- " in advice])
def test_what_a_fix_writes_is_no_worse(typed: str) -> None:
    """It has no more errors than before, and none about its form."""
    fix = told(typed)[0].fix
    assert fix is not None
    after = told(mended(typed, fix))
    errors = [d for d in told(typed) if d.severity == "error"]
    assert len([d for d in after if d.severity == "error"]) <= max(1, len(errors))
    if fix.safe:
        assert not [d.code for d in after if d.code < "LR100"]


def test_long_statements_take_no_longer_to_read() -> None:
    """Patterns that backtrack are held against nothing that is long."""
    text = "freeze " + "a and " * 20_000 + "b"
    assert told(text)[0].code == "LR001"
