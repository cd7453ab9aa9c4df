"""The pages of the diagnostics are true: each example is run as it stands on its page, and so is its fix.

`UPDATE_EXPECTED=1 pytest tests/language/test_pages.py` puts the output of today on every page, to be looked at.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from harness import Ran, layerlr
from page_examples import Page, read_page, write_output

from layerlr_dsl.language.codes import CODES, FAMILIES, PAGES, Code

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


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_page_is_true(code: Code) -> None:
    """The example yields this code with the output that the page shows, and the fix does not yield it."""
    page = read_page(code.page)
    assert (page.code, page.heading, page.severity) == (code.code, code.title, code.severity)
    ran = _run(page, page.files["example.lr"])
    if os.environ.get("UPDATE_EXPECTED"):
        write_output(code.page, ran.together)
    else:
        assert ran.together == page.output
    assert (code.severity, code.code) in _FOUND.findall(ran.err)
    assert ran.status == (1 if code.severity == "error" else 0)
    fixed = _run(page, page.fixed)
    assert code.code not in fixed.together
    assert fixed.status == 0
    assert not {severity for severity, _ in _FOUND.findall(fixed.err)} & {"error", "warning"}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_page_breeds_no_second_fault(code: Code) -> None:
    """One fault, one finding: nothing but notes stands beside it."""
    page = read_page(code.page)
    graver = [found for severity, found in _FOUND.findall(page.output) if severity != "info"]
    assert graver in ([], [code.code])


def test_there_is_a_page_for_every_code_and_none_besides() -> None:
    """No page is forgotten, none is left over."""
    assert {path.stem for path in PAGES.glob("*.md")} == set(CODES)
    assert {code[:3] for code in CODES} == set(FAMILIES)


def test_every_code_that_the_source_can_give_is_registered() -> None:
    """A finding whose code has no page could not be explained."""
    package = PAGES.parent.parent
    used = {
        code
        for path in package.rglob("*.py")
        for code in re.findall(r'"(LR\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert used <= set(CODES)


def test_severities_in_the_source_are_those_of_the_registry() -> None:
    """`error("LR202", ...)` for what the registry calls a warning would be two truths."""
    package = PAGES.parent.parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for severity, code in re.findall(r'\b(error|warning|info)\(\s*"(LR\d{3})"', text):
            if code in ("LR113", "LR201"):  # graver in the main file than in one that it includes
                continue
            assert severity == CODES[code].severity, (path.name, code)
