"""How findings are gathered."""

from __future__ import annotations

from layerlr_dsl.language.diagnostics import Findings, warning


def test_a_part_knows_what_was_found_since_it_began() -> None:
    """Also by those who were handed the whole, and not what was found before."""
    found = Findings([warning("LR204", "before", None)])
    part = found.part()
    assert part.clean
    found.warning("LR202", "within", None)
    assert not part.clean
    assert not part.errors
    found.error("LR107", "within", None, "a way out")
    assert part.errors
    assert found.part().clean


def test_findings_stand_in_the_order_in_which_they_were_noticed() -> None:
    """Made in place or handed over, one or several."""
    found = Findings()
    found.error("LR101", "first", None)
    found.add(warning("LR202", "second", None), warning("LR203", "third", None))
    found.info("LR130", "fourth", None)
    assert [(one.severity, one.message) for one in found] == [
        ("error", "first"),
        ("warning", "second"),
        ("warning", "third"),
        ("info", "fourth"),
    ]
