"""Findings as a person reads them: code and message, place, source with carets, related places, help."""

from __future__ import annotations

from collections.abc import Iterable

from layerlr_dsl.language.diagnostics import Diagnostic, Related
from layerlr_dsl.language.source import Span
from layerlr_dsl.render.excerpt import excerpt
from layerlr_dsl.tools.cells import cells, wrap
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.screen import Screen


def render(diagnostic: Diagnostic, screen: Screen) -> str:
    """One finding, several lines, no line end after the last."""
    places = [diagnostic.span, *(related.span for related in diagnostic.related)]
    gutter = max((len(str(span.last.line)) for span in places if span is not None), default=1)
    lines = _title(diagnostic, screen)
    if diagnostic.span is not None:
        lines += _place("-->", diagnostic.span, gutter, screen)
        lines += _source(diagnostic.span, "^", diagnostic.severity, "", gutter, screen)
    for related in diagnostic.related:
        lines += _related(related, diagnostic, gutter, screen)
    notes = _notes(diagnostic, screen)
    if notes and diagnostic.span is not None:
        lines.append(_bar(gutter, screen))
    return "\n".join(lines + notes)


def render_all(diagnostics: Iterable[Diagnostic], screen: Screen) -> str:
    """All findings, an empty line between two."""
    return "\n\n".join(render(diagnostic, screen) for diagnostic in diagnostics)


def labelled(label: str, text: str, screen: Screen, style: str | None = None) -> list[str]:
    """`label: text`, wrapped, the lines after the first set in by the label's width where there is room."""
    head = f"{label}: "
    deep = cells(head) if screen.width >= 40 else 2
    lines = wrap(escape(text), screen.width, cells(head), " " * deep)
    return [screen.paint(f"{label}:", style or label) + " " + lines[0], *lines[1:]]


def _title(diagnostic: Diagnostic, screen: Screen) -> list[str]:
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    lines = wrap(escape(diagnostic.message), screen.width, cells(head) + 2, "  ")
    first = screen.paint(head, diagnostic.severity) + screen.paint(":", "bold")
    return [f"{first} {screen.paint(lines[0], 'bold')}", *(screen.paint(line, "bold") for line in lines[1:])]


def _bar(gutter: int, screen: Screen) -> str:
    return " " * gutter + " " + screen.paint("|", "gutter")


def _place(arrow: str, span: Span, gutter: int, screen: Screen) -> list[str]:
    at = span.first
    return [
        f"{' ' * gutter}{screen.paint(arrow, 'gutter')} {escape(span.source.name)}:{at.line}:{at.column}",
        _bar(gutter, screen),
    ]


def _source(span: Span, sign: str, style: str, label: str, gutter: int, screen: Screen) -> list[str]:
    lines: list[str] = []
    before: int | None = None
    for mark in excerpt(span, screen.width - gutter - 3, screen.ellipsis):
        if before is not None and mark.number > before + 1:
            lines.append(screen.paint("...", "gutter"))
        before = mark.number
        number = screen.paint(f"{mark.number:>{gutter}} |", "gutter")
        lines.append(f"{number} {mark.text}".rstrip())
        carets = " " * mark.left + screen.paint(sign * (mark.right - mark.left), style)
        lines.append(f"{_bar(gutter, screen)} {carets}")
        reach = gutter + 3 + mark.right
    if not label:
        return lines
    if reach + 1 + cells(label) <= screen.width:
        lines[-1] += " " + screen.paint(label, style)
        return lines
    set_in = gutter + 3
    for line in wrap(label, screen.width - set_in):
        lines.append(f"{_bar(gutter, screen)} {screen.paint(line, style)}")
    return lines


def _related(related: Related, to: Diagnostic, gutter: int, screen: Screen) -> list[str]:
    lines = [_bar(gutter, screen)] if to.span is not None else []
    lines += _place(":::", related.span, gutter, screen)
    return lines + _source(related.span, "-", "gutter", escape(related.message), gutter, screen)


def _notes(diagnostic: Diagnostic, screen: Screen) -> list[str]:
    lines: list[str] = []
    if diagnostic.help:
        lines += labelled("help", diagnostic.help, screen)
    fix = diagnostic.fix
    if fix is not None and fix.safe:
        lines += labelled("fix", f"{fix.message} (`validate --fix` does it)", screen, "help")
    return lines


__all__ = ["labelled", "render", "render_all"]
