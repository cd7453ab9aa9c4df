"""Rules of syntax that hold for a text as a whole: its version, what may stand once, its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from layerlr_dsl.language import characters
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Diagnostic, Related, error

VERSIONS = ("1",)

_ONCE: dict[type, str] = {
    s.VersionStatement: "version",
    s.ModelStatement: "model",
    s.EpochsStatement: "epochs",
    s.StepsStatement: "steps",
    s.StepsPerEpochStatement: "steps_per_epoch",
    s.OptimizerStatement: "optimizer",
    s.ScheduleStatement: "schedule",
    s.AfterStagesStatement: "after stages",
}
# A heading that could not be read is one still: what stands behind it is not above it.
_DAMAGED_HEADING = re.compile(r"stage(?![\w.*?\[{<-])|after[ \t]+stages\b")


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
    headed = False
    for node in sorted((*file.statements, *file.damaged), key=lambda node: node.span.start):
        if _is_heading(node):
            seen.pop(s.ScheduleStatement, None)
            headed = True
        word = _ONCE.get(type(node))
        if word is None or isinstance(node, s.Damaged) or _is_further_optimizer(node):
            continue
        before = seen.setdefault(type(node), node)
        if before is not node:
            stage = headed and isinstance(node, s.ScheduleStatement)
            related = (Related(f"the first `{word}` is here", before.span),)
            message = f"`{word}` may stand only once in a {'stage' if stage else 'file'}"
            yield error("LR009", message, node.span, "remove one of the two", related=related)


def _is_heading(node: s.Statement | s.Damaged) -> bool:
    if isinstance(node, s.Damaged):
        return _DAMAGED_HEADING.match(node.span.source.text, node.span.start) is not None
    return isinstance(node, s.StageStatement | s.AfterStagesStatement)


def _is_further_optimizer(node: s.Statement) -> bool:
    return isinstance(node, s.OptimizerStatement) and node.name is not None
