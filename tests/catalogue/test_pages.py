"""The pages of the diagnostics are true: each example is run as it stands on its page, and so is its fix.

`UPDATE_EXPECTED=1 pytest tests/catalogue/test_pages.py` puts the output of today on every page, to be looked at.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from harness import Ran, layerlr
from page_examples import Page, read_page, write_output

from layerlr_dsl.catalogue.findings import FAMILIES, KINDS, PAGES, Kind, unsaid

_FOUND = re.compile(r"^(error|warning|info)\[(LR\d{3})\]", re.M)


@pytest.fixture(scope="module")
def remembered_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remembered")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered_models: Path) -> None:
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(remembered_models))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)


def _run(page: Page, example: str) -> Ran:
    for name, content in (page.files | {"example.lr": example}).items():
        Path(name).write_text(content, encoding="utf-8")
        sys.modules.pop(name.removesuffix(".py"), None)
    return layerlr(*page.command)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_page_is_true(kind: Kind) -> None:
    """The example yields this code with the output that the page shows, and the fix does not yield it."""
    page = read_page(kind.page)
    assert (page.code, page.heading, page.severity) == (kind.code, kind.title, kind.severity)
    ran = _run(page, page.files["example.lr"])
    if os.environ.get("UPDATE_EXPECTED"):
        write_output(kind.page, ran.together)
    else:
        assert ran.together == page.output
    assert (kind.severity, kind.code) in _FOUND.findall(ran.err)
    assert ran.status == (1 if kind.severity == "error" else 0)
    fixed = _run(page, page.fixed)
    assert kind.code not in fixed.together
    assert fixed.status == 0
    assert not {severity for severity, _ in _FOUND.findall(fixed.err)} & {"error", "warning"}


_COMES_FROM = {"LR216": ["LR201"]}
"""A group binds nothing where its pattern matches nothing, which an included file may have."""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_page_breeds_no_second_fault(kind: Kind) -> None:
    """One fault, one finding: nothing but notes stands beside it, and what the fault comes from."""
    page = read_page(kind.page)
    graver = [found for severity, found in _FOUND.findall(page.output) if severity != "info"]
    assert graver in ([], [kind.code], [kind.code, *_COMES_FROM.get(kind.code, ())])


def test_there_is_a_page_for_every_kind_and_none_besides() -> None:
    """No page is forgotten, none is left over."""
    assert {path.stem for path in PAGES.glob("*.md")} == set(KINDS)
    assert all(kind.code.startswith(family.code) for family in FAMILIES for kind in family.kinds)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_head_of_a_page_says_nothing_that_is_not_understood(kind: Kind) -> None:
    """A sentence in other words would be read by people only, and the finding given where it is better left unsaid."""
    head = kind.read_page().split("\n\n")[1]
    said = [f"Severity: {kind.severity}{', given only with `--advice`' if kind.advice else ''}."]
    said += ["Kept back while a statement of the file is left out as faulty."] * kind.of_absence
    said += ["Its statement is left out of the plan."] * kind.leaves_out
    said += [f"Not said beside {' or '.join(kind.unsaid_after)}."] if kind.unsaid_after else []
    said += ["Editors show it faded."] * kind.idle
    assert head == " ".join(said)


def test_what_is_absent_may_stand_in_what_was_left_out() -> None:
    """A finding about what is not there is kept back while a statement of the file is missing from the plan."""
    assert not unsaid("LR301", {"LR301"}, complete=True)
    assert unsaid("LR301", {"LR301"}, complete=False)
    assert unsaid("LR301", {"LR301", "LR309"}, complete=True)
    assert not unsaid("LR205", {"LR205", "LR309"}, complete=False)


def test_a_faulty_value_is_no_missing_one() -> None:
    """Where the rate is given and cannot be used, nobody says that there is none."""
    assert unsaid("LR204", {"LR107", "LR204"}, complete=True)
    assert not unsaid("LR202", {"LR107", "LR202"}, complete=True)


def _said_in_the_source() -> dict[str, set[str]]:
    """By code: the severities with which the source gives it; empty where it stands without one."""
    said: dict[str, set[str]] = defaultdict(set)
    for path in PAGES.parent.parent.rglob("*.py"):
        if path != PAGES.parent / "findings.py":
            text = path.read_text(encoding="utf-8")
            for severity, code in re.findall(r'(?:\b(error|warning|info)\(\s*)?"(LR\d{3})"', text):
                said[code].update([severity] if severity else [])
    return said


def test_every_kind_is_given_somewhere_and_no_other() -> None:
    """A finding without a page could not be explained; a page without a finding explains nothing."""
    assert set(_said_in_the_source()) == set(KINDS)


def test_severities_in_the_source_are_those_of_the_catalogue() -> None:
    """`error("LR202", ...)` for what the catalogue calls a warning would be two truths."""
    graver_in_the_main_file = {"LR113", "LR201"}  # than in one that it includes
    for code, severities in _said_in_the_source().items():
        assert severities <= {KINDS[code].severity} or code in graver_in_the_main_file, code
