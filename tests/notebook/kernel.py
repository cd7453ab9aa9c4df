"""A notebook run by a real kernel, and what its cells showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="the notebook's tests need nbclient and ipykernel")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


@dataclass
class Shown:
    """What a cell showed: `text` is all that was printed or is the plain form, `html` the rich one."""

    text: str
    html: str
    images: int
    error: str | None


def run(*cells: str) -> list[Shown]:
    """Run the cells in order in one kernel, those behind an error too."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120, allow_errors=True, kernel_name="python3").execute()
    return [shown(cell) for cell in notebook.cells]


def shown(cell: Any) -> Shown:
    data = [output.get("data", {}) for output in cell.outputs]
    streams = [output.text for output in cell.outputs if output.output_type == "stream"]
    errors = ["\n".join(output.traceback) for output in cell.outputs if output.output_type == "error"]
    return Shown(
        "".join([*streams, *(one.get("text/plain", "") for one in data)]),
        "".join(one.get("text/html", "") for one in data),
        sum("image/png" in one for one in data),
        errors[0] if errors else None,
    )
