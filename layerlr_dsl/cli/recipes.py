"""`layerlr recipes`: the rule files that come with layerlr."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from layerlr_dsl.cli.inputs import RECIPE, recipes
from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.tools.cells import cells, pad, wrap

_NARROWEST = 60
"""Cells for a text beside the names; with fewer it stands below them."""
_SENTENCE_END = re.compile(r"(?<!\bal)(?<!\bcf)\.\s+")


@click.command("recipes")
@format_option("text", "json")
def command(form: str) -> int:
    """List the rule files that come with layerlr.

    Any command that takes a rule file takes `recipe:NAME` as well.

    \b
    Examples:
        layerlr recipes
        layerlr plan recipe:resnet18
    """
    known = recipes()
    if form == "json":
        listed = [{"name": name, "path": str(path), "about": about(path)} for name, path in known.items()]
        write_json(json.dumps(listed, indent=2, ensure_ascii=False))
        return 0
    screen = Screen.of_stdout()
    left = max((cells(RECIPE + name) for name in known), default=0) + 2
    for name, path in known.items():
        if screen.width - left < _NARROWEST:
            write(screen.paint(RECIPE + name, "accent"))
            write("\n".join(wrap("  " + about(path), screen.width, 0, "  ")))
            continue
        lines = wrap(about(path), screen.width, left, " " * left)
        write(screen.paint(pad(RECIPE + name, left), "accent") + "\n".join(lines))
    return 0


def about(path: Path) -> str:
    """The first sentence of the comments of a recipe."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   "):  # a command, a table
            break
        if line.startswith("#"):
            said.append(line.lstrip("# ").strip())
        elif said or line.strip():
            break
    text = " ".join(said)
    return _SENTENCE_END.split(text)[0].rstrip(".: ")
