"""`layerlr rule [CODE]`: the pages that explain findings."""

from __future__ import annotations

import json
import re

import click

from layerlr_dsl.catalogue.findings import FAMILIES, KINDS, Kind
from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.tools.cells import wrap


@click.command("rule")
@click.argument("code", required=False)
@format_option("text", "json", "markdown")
def command(code: str | None, form: str) -> int:
    """Tell what a finding means: what it is about, an example, and the way out.

    Without CODE, list all codes.

    \b
    Examples:
        layerlr rule
        layerlr rule LR201
    """
    kinds = list(KINDS.values()) if code is None else [_known(code)]
    screen = Screen.of_stdout()
    if form == "json":
        write_json(json.dumps([_as_json(kind) for kind in kinds], indent=2, ensure_ascii=False))
    elif form == "markdown":
        write("\n".join(kind.read_page() for kind in kinds).rstrip("\n"))
    elif code is None:
        write("\n".join(listing(screen)))
    else:
        write("\n".join(on_screen(kinds[0].read_page(), screen)))
    return 0


def _known(code: str) -> Kind:
    from layerlr_dsl.tools.nearest import nearest

    found = KINDS.get(code.upper())
    if found is None:
        near = nearest(code.upper(), KINDS)
        raise Refusal(
            f"no code `{code}`", f"did you mean {near}?" if near else "`layerlr rule` lists them all"
        )
    return found


def _as_json(kind: Kind) -> dict[str, object]:
    return {
        "code": kind.code,
        "severity": kind.severity,
        "title": kind.title,
        "advice": kind.advice,
        "page": kind.read_page(),
    }


def listing(screen: Screen) -> list[str]:
    """All codes, family by family."""
    lines: list[str] = []
    for family in FAMILIES:
        lines += [""] * bool(lines) + [screen.paint(f"{family.code}xx  {family.about}", "bold")]
        for kind in family.kinds:
            lines += _entry(kind, screen)
    return lines


def _entry(kind: Kind, screen: Screen) -> list[str]:
    severity = screen.paint(f"{kind.severity:<8}", kind.severity)
    title = wrap(kind.title, screen.width, 17, " " * min(17, screen.width // 2))
    return [f"  {kind.code}  {severity} {title[0]}", *title[1:]]


# ---------------------------------------------------------------- Markdown


_CODE = re.compile(r"`([^`]+)`")


def on_screen(text: str, screen: Screen) -> list[str]:
    """The little Markdown that pages use: headings, paragraphs, lists and fenced blocks as lines."""
    lines: list[str] = []
    paragraph: list[str] = []
    fenced = False
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("```"):
            lines += _flow(paragraph, screen)
            fenced = not fenced
        elif fenced:
            lines.append(f"    {line}".rstrip())
        elif line.startswith("#"):
            lines += _flow(paragraph, screen)
            lines.append(screen.paint(line.lstrip("#").strip(), "bold"))
        elif not line.strip():
            lines += _flow(paragraph, screen)
            lines.append("")
        elif line.startswith("- "):
            lines += _flow(paragraph, screen)
            paragraph.append(line)
        else:
            paragraph.append(line.strip())
    return lines + _flow(paragraph, screen)


def _flow(paragraph: list[str], screen: Screen) -> list[str]:
    if not paragraph:
        return []
    text = " ".join(paragraph)
    paragraph.clear()
    indent = "  " if text.startswith("- ") else ""
    return [_inline(line, screen) for line in wrap(text, screen.width, 0, indent)]


def _inline(text: str, screen: Screen) -> str:
    if not screen.colour:
        return text
    return _CODE.sub(lambda found: screen.paint(found[1], "accent"), text)
