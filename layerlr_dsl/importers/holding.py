"""What an importer has written, held to the language: what a rule file may not say is the source's fault."""

from __future__ import annotations

from collections.abc import Sequence

from layerlr_dsl.api import Rules
from layerlr_dsl.importers.description import Line, SourceFault
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.printable import shown

_MOST = 60


def hold(written: Source, lines: Sequence[Line]) -> None:
    """Raise SourceFault for the first error of a rule text.

    lines: for each of its statements, the line of the source that it comes from.
    """
    errors = [one for one in Rules(check(written)).diagnostics if one.severity == "error"]
    if errors:
        message, line = _told(errors[0], written, lines)
        raise SourceFault(message, line)


def _told(error: Diagnostic, written: Source, lines: Sequence[Line]) -> tuple[str, Line]:
    """The message, and the line of the source that its statement comes from."""
    statements = parse(written)[0].statements
    if error.span is None or len(statements) != len(lines):
        return f"gives no rule file: {error.message}", None
    at = max(n for n, one in enumerate(statements) if n == 0 or one.span.start <= error.span.start)
    return f"{error.message}: it gives `{shown(statements[at].span.text, _MOST)}`", lines[at]
