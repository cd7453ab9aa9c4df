"""`layerlr rule [CODE]`: the pages that explain findings."""

from __future__ import annotations

import json

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.render.markdown import render
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.language.codes import CODES, FAMILIES, Code
from layerlr_dsl.reports.cells import wrap


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
    codes = list(CODES.values()) if code is None else [_known(code)]
    screen = Screen.of_stdout()
    if form == "json":
        write_json(json.dumps([_as_json(entry) for entry in codes], indent=2, ensure_ascii=False))
    elif form == "markdown":
        write("\n".join(entry.read_page() for entry in codes).rstrip("\n"))
    elif code is None:
        write("\n".join(listing(screen)))
    else:
        write("\n".join(render(codes[0].read_page(), screen)))
    return 0


def _known(code: str) -> Code:
    from layerlr_dsl.language.nearest import nearest

    found = CODES.get(code.upper())
    if found is None:
        near = nearest(code.upper(), CODES)
        raise Refusal(
            f"no code `{code}`", f"did you mean {near}?" if near else "`layerlr rule` lists them all"
        )
    return found


def _as_json(code: Code) -> dict[str, object]:
    return {
        "code": code.code,
        "severity": code.severity,
        "title": code.title,
        "advice": code.advice,
        "page": code.read_page(),
    }


def listing(screen: Screen) -> list[str]:
    """All codes, family by family."""
    lines: list[str] = []
    for family, about in FAMILIES.items():
        lines += (
            ["", screen.paint(f"{family}xx  {about}", "bold")]
            if lines
            else [screen.paint(f"{family}xx  {about}", "bold")]
        )
        for code in CODES.values():
            if code.code.startswith(family):
                lines += _entry(code, screen)
    return lines


def _entry(code: Code, screen: Screen) -> list[str]:
    kind = f"{code.severity:<8}"
    title = wrap(code.title, screen.width, 17, " " * min(17, screen.width // 2))
    return [f"  {code.code}  {screen.paint(kind, code.severity)} {title[0]}", *title[1:]]
