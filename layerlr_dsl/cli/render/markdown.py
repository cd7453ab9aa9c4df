"""The little Markdown that diagnostics pages use, on a terminal."""

from __future__ import annotations

import re

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.tools.cells import wrap

_CODE = re.compile(r"`([^`]+)`")


def render(text: str, screen: Screen) -> list[str]:
    """Headings, paragraphs, lists and fenced blocks as lines for the screen."""
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
