"""Lets: worked out once, in any order, and one finding for each fault."""

from __future__ import annotations

from fractions import Fraction

import layerlr_dsl as layerlr
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source


def findings(text: str) -> tuple[Diagnostic, ...]:
    return check(Source("t.lr", text)).diagnostics


def test_a_chain_of_ten_thousand_names_has_a_value() -> None:
    """However long, a chain of names is no nesting; the order of the file does not matter."""
    links = [f"let a{n} = a{n + 1} + 1" for n in range(10_000)]
    rules = layerlr.parse("\n".join([*links, "let a10000 = 0", "epochs a0"]))
    assert rules.epochs == 10_000
    backwards = layerlr.parse("\n".join(["let a10000 = 0", *reversed(links), "epochs a0"]))
    assert backwards.epochs == 10_000


def test_names_that_are_used_twice_are_worked_out_once() -> None:
    """Doubling 60 times over takes 60 additions and not 2^60."""
    lines = ["let a0 = 1", *(f"let a{n + 1} = a{n} + a{n}" for n in range(60))]
    checked = check(Source("t.lr", "\n".join(lines)))
    assert checked.diagnostics == ()
    assert checked.lets.worth("a60", exact=False) == 2**60


def test_exact_time_sees_exact_lets() -> None:
    """A third of three epochs is one epoch, though no float is a third."""
    checked = check(Source("t.lr", "let third = 1 / 3\nlet one = 3 * third"))
    assert checked.lets.worth("one", exact=True) == Fraction(1)


def test_a_circle_is_one_error_that_shows_the_way_round() -> None:
    """Every name of the circle is at fault, but the fault is one; its users are not at fault."""
    (one,) = findings("let a = b + 1\nlet b = c\nlet c = a\nlet d = a\n** -> lr d + 1")
    assert (one.code, one.span.place if one.span else "") == ("LR102", "t.lr:1")
    assert one.message == "let `a` refers to itself: `a` -> `b` -> `c` -> `a`"
    assert [r.span.place for r in one.related if r.span] == ["t.lr:2", "t.lr:3"]


def test_each_circle_has_its_own_error() -> None:
    """Two circles apart are two faults."""
    found = findings("let a = a\nlet b = c\nlet c = b")
    assert [(d.code, d.span.first.line if d.span else 0) for d in found] == [("LR102", 1), ("LR102", 2)]


def test_a_faulty_let_breeds_no_errors() -> None:
    """Whoever uses a name without a value is not complained of."""
    found = findings("let a = 1 / 0\nlet b = a + 1\nlet c = sqrt(b)\n** -> lr c")
    assert [(d.code, d.span.text if d.span else "") for d in found] == [("LR108", "1 / 0")]
