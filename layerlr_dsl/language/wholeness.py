"""Rules of syntax that hold for a text as a whole: its version, what may stand once, its characters."""

from __future__ import annotations

from collections.abc import Iterator

from layerlr_dsl.language import characters
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error

VERSIONS = ("1",)

_ONCE: dict[type, str] = {
    s.VersionStatement: "version",
    s.ModelStatement: "model",
    s.EpochsStatement: "epochs",
    s.OptimizerStatement: "optimizer",
    s.ScheduleStatement: "schedule",
}


def check(file: s.File) -> list[Diagnostic]:
    """LR008, LR009 and LR010 for the text as a whole."""
    return [*_versions(file), *_repeated(file), *characters.forbidden(file.source)]


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
