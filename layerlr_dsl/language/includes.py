"""Laying included files in place: once each, and only from inside the rules root."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.characters import has_forbidden
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, Related, error
from layerlr_dsl.language.files import Unreadable, read_source
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source, Span

MAX_FILES = 1000
CLAUSES = (
    s.RuleStatement,
    s.FreezeStatement,
    s.FreezeStatisticsStatement,
    s.UnfreezeStatement,
    s.UnfreezeSequenceStatement,
)
"""The statements that take part in the cascade."""


@dataclass
class Expansion:
    """Statements of a file and its includes, in the order in which they count."""

    root: Path | None
    statements: list[tuple[s.Statement, bool]] = field(default_factory=list)
    """Each with whether it came from an included file."""
    sources: list[Source] = field(default_factory=list)
    diagnostics: Findings = field(default_factory=Findings)
    lost: dict[str, Span] = field(default_factory=dict)
    """Names that statements which could not be read would have given, each with its statement."""
    _seen: dict[Path, s.IncludeStatement | None] = field(default_factory=dict)
    _laid: dict[Path, list[s.Statement]] = field(default_factory=dict)
    """Each included file's statements, its own includes laid in place."""
    _places: set[tuple[Path, int]] = field(default_factory=set)
    """Files by the stage that they are laid under: a stage takes the rules of each once."""
    _stage: int = 0
    _open: list[tuple[Path, s.IncludeStatement | None]] = field(default_factory=list)


def expand(source: Source, root: Path | None) -> Expansion:
    """Parse `source` and everything it includes."""
    if root is None and source.path is not None:
        root = source.path.parent
    expansion = Expansion(root.resolve() if root is not None else None)
    path = source.path.resolve() if source.path is not None else Path(source.name)
    _lay(expansion, source, path, None)
    return expansion


def _lay(expansion: Expansion, source: Source, path: Path, by: s.IncludeStatement | None) -> None:
    file, diagnostics = parse(source)
    expansion.sources.append(source)
    expansion.diagnostics.add(*diagnostics)
    expansion.lost.update((one.defines, one.span) for one in file.damaged if one.defines is not None)
    expansion._seen[path] = by
    expansion._open.append((path, by))
    expansion._places.add((path, expansion._stage))
    start = len(expansion.statements)
    for statement in file.statements:
        if isinstance(statement, s.IncludeStatement):
            _include(expansion, source, statement)
        elif isinstance(statement, s.StageStatement | s.AfterStagesStatement) and by is not None:
            message = "an included file has no stages"
            help = "write the stages in the main file, and include the rules under them"
            related = (Related("included here", by.path.span),)
            expansion.diagnostics.error("LR116", message, statement.span, help, related=related)
        else:
            expansion._stage += isinstance(statement, s.StageStatement | s.AfterStagesStatement)
            expansion.statements.append((statement, by is not None))
    expansion._open.pop()
    expansion._laid[path] = [statement for statement, _ in expansion.statements[start:]]


def _again(expansion: Expansion, path: Path) -> None:
    """Lay the rules of a file under one more stage; its lets and groups are there already."""
    if (path, expansion._stage) not in expansion._places:
        expansion._places.add((path, expansion._stage))
        expansion.statements.extend((one, True) for one in expansion._laid[path] if isinstance(one, CLAUSES))


def _include(expansion: Expansion, source: Source, statement: s.IncludeStatement) -> None:
    if has_forbidden(statement.path.value):
        return  # the character is reported where it stands, and that is the one fault
    found = _locate(expansion, source, statement)
    if isinstance(found, Diagnostic):
        expansion.diagnostics.add(found)
        return
    if any(found == path for path, _ in expansion._open):
        expansion.diagnostics.add(_cycle(expansion, statement, found))
        return
    if found in expansion._seen:
        _again(expansion, found)
        return
    if len(expansion.sources) >= MAX_FILES or len(expansion._open) > 100:
        expansion.diagnostics.error("LR113", "too many included files", statement.span)
        return
    try:
        text = read_source(found, _shown(expansion, found))
    except Unreadable as fault:
        reason = str(fault)
        span, trail = statement.path.span, _trail(expansion)
        expansion.diagnostics.error("LR113", f"included file {reason}", span, related=trail)
        return
    _lay(expansion, text, found, statement)


def _shown(expansion: Expansion, path: Path) -> str:
    """The included file's name as the user would type it: beside the main file's own name."""
    main = expansion.sources[0]
    if main.path is not None:
        folder = main.path.resolve().parent
        try:
            return str(Path(main.name).parent / path.relative_to(folder))
        except ValueError:
            pass
    return str(path)


def _locate(expansion: Expansion, source: Source, statement: s.IncludeStatement) -> Path | Diagnostic:
    span = statement.path.span
    written = statement.path.value
    if expansion.root is None:
        return error(
            "LR113",
            "a text without a file has no folder to include from",
            span,
            "load it from a file, or give a root",
        )
    if not written:
        return error("LR113", "an include needs the path of a file", span)
    bases = [expansion.root] if source.path is None else [source.path.resolve().parent, expansion.root]
    inside = False
    for base in bases:
        try:
            path = (base / written).resolve()
        except (OSError, RuntimeError):
            continue
        if path == expansion.root or not path.is_relative_to(expansion.root):
            continue
        inside = True
        if path.exists():
            return path
    if inside:
        return error(
            "LR113",
            f"included file `{written}` does not exist",
            span,
            f"looked below {_folder(expansion)}",
            related=_trail(expansion),
        )
    return error(
        "LR114",
        f"`{written}` lies outside the rules root",
        span,
        f"includes stay inside {_folder(expansion)}; name a wider one with --root",
        related=_trail(expansion),
    )


def _folder(expansion: Expansion) -> str:
    root = expansion.root
    try:
        return (
            f"`{root.relative_to(Path.cwd())}`" if root is not None and root != Path.cwd() else "this folder"
        )
    except ValueError:
        return f"`{root}`"


def _trail(expansion: Expansion) -> tuple[Related, ...]:
    return tuple(
        Related("included here", by.path.span) for _, by in reversed(expansion._open) if by is not None
    )


def _cycle(expansion: Expansion, statement: s.IncludeStatement, found: Path) -> Diagnostic:
    first = next(by for path, by in expansion._open if path == found)
    related: tuple[Related, ...] = (
        (Related("first included here", first.path.span),) if first is not None else ()
    )
    inner = [by for _, by in expansion._open if by is not None and by is not first]
    related += tuple(Related("which includes this", by.path.span) for by in inner)
    message = (
        "a file includes itself"
        if expansion._open[-1][0] == found
        else "files include each other in a circle"
    )
    return error("LR115", message, statement.path.span, "remove one of the includes", related=related)
