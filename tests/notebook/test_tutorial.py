"""The notebook of the documentation runs from top to bottom, and shows what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel import nbclient, nbformat, shown

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "notebook.ipynb"


def test_the_tutorial_runs_and_learns() -> None:
    """No cell fails, the plan is a picture, and the network has learned something in the end."""
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells = [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert cells[2].text == "rules: 4 statements, no findings\n"
    assert "<svg" in cells[3].html
    assert "blocks.&lt;i&gt;.**" in cells[4].html
    assert cells[5].images == 1
    said, right = cells[6].text.splitlines()
    assert said.startswith("<LayerSchedule: epoch 12 of 12")
    assert int(right.removeprefix("right: ").removesuffix("%")) > 80


def test_it_is_stored_without_output() -> None:
    """What it shows is made where it is run."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
