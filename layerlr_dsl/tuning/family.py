"""The files that are compared where none are given: one rate first, and what else is commonly done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.runner.files import make_folder, write_text
from layerlr_dsl.starters import fitting, starter
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning.ranges import Range

STYLES = ("plain", "lower-half", "held", "head", "gradual", "head-then-all", "decay")
"""In the order in which they are tried: what the study saw win comes before what it saw lose, should time run out."""
BASELINE = STYLES[0]
USUAL = Range(1e-4, 1e-2, log=True)
LOWER = Range(3e-5, 3e-3, log=True)
"""With statistics held, images in benchmarks/effect were learnt best between 1e-4 and 1e-3, letters with 3e-3 not at all."""
RATES = {"head": Range(1e-3, 1e-1, log=True), "held": LOWER, "head-then-all": LOWER}


def write(
    inventory: Inventory,
    spec: str,
    nameable: bool,
    epochs: float | None,
    folder: Path,
    styles: Iterable[str] = STYLES,
) -> dict[str, Path]:
    """Write those of `styles` that fit the model into `folder`; their paths by style, the baseline first.

    Files that are there already stay as they are: a search that goes on must find what it began with.
    `epochs` takes the place of the length that the styles have.
    """
    make_folder(folder)
    written = {}
    for style in fitting(inventory, styles):
        path = written[style] = folder / f"{style}.lr"
        if not path.exists():
            write_text(path, _of_length(starter(inventory, style, spec, nameable), epochs))
    return written


def _of_length(text: str, epochs: float | None) -> str:
    return text if epochs is None else re.sub(r"(?m)^epochs .*$", f"epochs {spelled(epochs)}", text)


def rates(name: str) -> dict[str, Range]:
    """Where the base rate of a file of the family is looked for."""
    return {"base": RATES.get(name, USUAL)}
