"""README and documentation say what is so: every block of every page is run as it stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from blocks import Block, Reader, blocks

from layerlr_dsl import cli
from layerlr_dsl.model.torchvision_compat import with_torchvision

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {
    "accelerate",
    "configuration",
    "lightning",
    "peft",
    "timm",
    "transformers",
}  # run by tests/frameworks
ELSEWHERE = FRAMEWORKS | {"architecture"}  # run by tests/house, in copies of the package
PAGES = sorted([ROOT / "README.md", *(p for p in (ROOT / "docs").rglob("*.md") if p.stem not in ELSEWHERE)])


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Models built here are remembered in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with_torchvision(lambda: import_module("torchvision"))  # for pages that import it plainly
        yield


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are written, rules checked, Python executed, commands run and their output compared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python` has it that is started there
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    parts = blocks(page.read_text(encoding="utf-8"))
    with _own_modules(parts):
        wrong = Reader(tmp_path).follow(parts)
        assert not wrong, "\n".join(wrong)


@contextmanager
def _own_modules(parts: list[Block]) -> Iterator[None]:
    """The modules that a page writes are its own: no earlier one of the name is found, and none is left."""
    names = {Path(b.title).stem for b in parts if b.title is not None and b.title.endswith(".py")}
    before = {name: sys.modules.pop(name) for name in names & sys.modules.keys()}
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def test_the_readme_shows_the_bare_loop_as_it_is() -> None:
    """The example that the tests of the runner execute, less what only the linter reads."""
    example = (ROOT / "docs" / "examples" / "bare_loop.py").read_text(encoding="utf-8")
    shown = [
        block.body
        for block in blocks((ROOT / "README.md").read_text(encoding="utf-8"))
        if block.language == "py"
    ]
    assert shown == [example.replace("  # fmt: skip # noqa: E702", "")]


def test_the_picture_of_the_readme_is_drawn_from_its_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that stands above it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rules = next(block.body for block in blocks(text) if block.title == "my.lr")
    (tmp_path / "my.lr").write_text(rules, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = re.search(r"`layerlr (plot my\.lr [^`]*)`", text)
    assert command is not None
    assert cli.run(command[1].split()) == 0
    assert (tmp_path / "network.svg").read_text() == (ROOT / "docs/examples/network.svg").read_text()
