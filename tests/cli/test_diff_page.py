"""`layerlr diff OLD NEW -o diff.html`: both pictures, the blocks that differ marked, and what differs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import layerlr

OLD = 'model "net.json"\nepochs 10\n** -> lr 1e-3\nfreeze 0 until epoch 3\n'


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    from layerlr_dsl.model.inventory import Inventory

    monkeypatch.chdir(tmp_path)
    Inventory.of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3))).save("net.json")
    Path("old.lr").write_text(OLD)
    Path("new.lr").write_text(OLD + "2.weight -> lr 1e-4 from epoch 5\n")


def test_both_pictures_stand_side_by_side_with_what_differs_marked() -> None:
    """One block differs: it is marked in both pictures, and the table has both values."""
    done = layerlr("diff", "old.lr", "new.lr", "-o", "diff.html")
    assert (done.status, done.out) == (0, "wrote diff.html\n")
    page = Path("diff.html").read_text()
    assert page.count("<svg") == 2
    assert page.count("differs from the other") == 2
    cells = re.findall(r"<td>(.*?)</td>", page)
    assert cells == ["lr", "1e-3", "1e-3, from epoch 5 1e-4", "2.weight", "1 tensor"]


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    """Names of files are text in it."""
    Path("<b>.lr").write_text(OLD)
    assert layerlr("diff", "<b>.lr", "new.lr", "-o", "diff.html").status == 0
    page = Path("diff.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)\s*=|@import", page)


def test_equal_rules_have_nothing_marked() -> None:
    """It is said that nothing differs."""
    layerlr("diff", "old.lr", "old.lr", "-o", "diff.html")
    page = Path("diff.html").read_text()
    assert "Nothing differs." in page
    assert "differs from the other" not in page


def test_what_cannot_be_drawn_is_refused() -> None:
    """Another form, and a run of unknown length."""
    assert layerlr("diff", "old.lr", "new.lr", "-o", "diff.png").status == 2
    Path("old.lr").write_text('model "net.json"\n** -> lr 1\n')
    done = layerlr("diff", "old.lr", "old.lr", "-o", "diff.html")
    assert done.status == 2
    assert "--epochs" in done.err
