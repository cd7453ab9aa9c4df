"""The code blocks of docs/embedding, run as they stand."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

PAGES = Path(__file__).parents[2] / "docs" / "embedding"


def blocks(page: str) -> list[str]:
    """The python blocks of a page, in order."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return [part.split("```", 1)[0] for part in text.split("```python\n")[1:]]


def play(page: str, block: int = 0, **given: Any) -> dict[str, Any]:
    """Run a block with these names defined; returns all names it leaves."""
    names: dict[str, Any] = {"__name__": f"{page}_{block}", **given}
    exec(compile(blocks(page)[block], f"{page}.md[{block}]", "exec"), names)
    return names


def lines(page: str, block: int = 0) -> int:
    """Lines of code of a block, empty ones aside."""
    return sum(bool(line.strip()) for line in blocks(page)[block].splitlines())


def written(page: str, folder: Path) -> list[str]:
    """Write every block of a page that has a title into a folder; their names, in order."""
    found = []
    for part in (PAGES / f"{page}.md").read_text(encoding="utf-8").split("```")[1::2]:
        head, _, body = part.partition("\n")
        if 'title="' in head:
            found.append(head.split('"')[1])
            (folder / found[-1]).write_text(body, encoding="utf-8")
    return found


STEPS = 12
COSINE = [(1 + torch.cos(torch.tensor(torch.pi * k / STEPS)).item()) / 2 for k in range(STEPS)]
RIGHT = [(pytest.approx([2e-3 * c, 2e-2 * c], rel=1e-4, abs=1e-9), k >= 4) for k, c in enumerate(COSINE)]
"""What the optimizer of configuration.md does at each step: its rates, and whether the backbone trains."""


def run_page(name: str) -> dict[str, Any]:
    """Run a file of a page in the folder that it was written into."""
    return runpy.run_path(name)
