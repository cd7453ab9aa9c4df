"""Rules of syntax that hold for a text as a whole: its version, what may stand once, its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, Related, error
from layerlr_dsl.language.explain_signs import character_not_allowed
from layerlr_dsl.language.source import Source, Span

VERSIONS = ("1",)

_ONCE: dict[type, str] = {
    s.VersionStatement: "version",
    s.ModelStatement: "model",
    s.EpochsStatement: "epochs",
    s.OptimizerStatement: "optimizer",
    s.ScheduleStatement: "schedule",
}
# Control characters, lone surrogates, and the signs that make a line read otherwise than it is written.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\x85\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_MOST_RUNS = 1000


def check(file: s.File) -> list[Diagnostic]:
    """LR008, LR009 and LR010 for the text as a whole."""
    return [*_versions(file), *_repeated(file), *_forbidden(file.source)]


def _versions(file: s.File) -> Iterator[Diagnostic]:
    first = min((n.span.start for n in (*file.statements, *file.damaged)), default=0)
    version = next((n for n in file.statements if isinstance(n, s.VersionStatement)), None)
    if version is None:
        return
    if version.number.span.text not in VERSIONS:
        message = f"version {version.number.span.text} of the language is unknown here"
        yield error("LR008", message, version.number.span, "this layerlr reads version 1")
    elif version.span.start > first:
        yield error("LR008", "`version` is not the first statement", version.span, "move it to the top")


def _repeated(file: s.File) -> Iterator[Diagnostic]:
    seen: dict[type, s.Statement] = {}
    for statement in file.statements:
        word = _ONCE.get(type(statement))
        if word is None:
            continue
        before = seen.setdefault(type(statement), statement)
        if before is not statement:
            related = (Related(f"the first `{word}` is here", before.span),)
            message = f"`{word}` may stand only once in a file"
            yield error("LR009", message, statement.span, "remove one of the two", related=related)


def _forbidden(source: Source) -> Iterator[Diagnostic]:
    for run in islice(_FORBIDDEN.finditer(source.text), _MOST_RUNS):
        first = character_not_allowed(Span(source, run.start(), run.start() + 1))
        span = Span(source, run.start(), run.end())
        fix = Fix("remove it", (Edit(span, ""),))
        yield error("LR010", first.message, span, "remove it", fix=fix)
