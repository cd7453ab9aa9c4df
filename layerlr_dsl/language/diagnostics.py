"""Findings about a rule file, as data. How they look on a screen is not decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar, Concatenate, ParamSpec

from layerlr_dsl.catalogue.findings import Severity, unsaid
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.records import record

_SHOWN = 20


@record
class Related:
    """A second place that a finding speaks of."""

    message: str
    span: Span


@record
class Edit:
    """Replace the text of `span` by `replacement`."""

    span: Span
    replacement: str


@record
class Fix:
    """A change that removes the finding; `safe` says that it cannot change what the file means."""

    message: str
    edits: tuple[Edit, ...]
    safe: bool = False


@record
class Diagnostic:
    """One finding: a stable code, where it is, what is wrong, and what to do about it."""

    code: str
    severity: Severity
    message: str
    span: Span | None = None
    help: str | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None


@record
class _Maker:
    """Makes findings of one severity."""

    severity: Severity

    def __call__(
        self,
        code: str,
        message: str,
        span: Span | None,
        help: str | None = None,
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> Diagnostic:
        return Diagnostic(code, self.severity, message, span, help, related, fix)


error = _Maker("error")
warning = _Maker("warning")
info = _Maker("info")

_P = ParamSpec("_P")


def _noting(make: Callable[_P, Diagnostic]) -> Callable[Concatenate[Findings, _P], None]:
    def note(self: Findings, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        self.add(make(*args, **kwargs))

    return note


class Findings:
    """Findings as they are gathered, in the order in which they were noticed."""

    __slots__ = ("_found",)

    def __init__(self, found: Iterable[Diagnostic] = ()) -> None:
        self._found = list(found)

    def add(self, *found: Diagnostic) -> None:
        self._found.extend(found)

    error = _noting(error)
    warning = _noting(warning)
    info = _noting(info)

    def part(self) -> Part:
        """What is found from here on."""
        return Part(self, len(self))

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@record
class Part:
    """What was found since one moment: asked when a piece of the file has been judged."""

    found: Findings
    start: int

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return len(self.found) == self.start

    @property
    def errors(self) -> bool:
        """Whether an error was among it."""
        return has_errors(islice(self.found, self.start, None))


def as_json(found: Diagnostic) -> dict[str, Any]:
    """A finding as every command prints it: 1-based lines and columns, 0-based offsets, in code points."""
    return {
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        "help": found.help,
        **({"file": None, "range": None} if found.span is None else _place(found.span)),
        "related": [{"message": related.message, **_place(related.span)} for related in found.related],
        "fix": None if found.fix is None else _fix(found.fix),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    edits = [{**_place(edit.span), "replacement": edit.replacement} for edit in fix.edits]
    return {"message": fix.message, "safe": fix.safe, "edits": edits}


def _place(span: Span) -> dict[str, Any]:
    ends = {"start": span.first, "end": span.last}
    places = {end: {"line": at.line, "column": at.column, "offset": at.offset} for end, at in ends.items()}
    return {"file": span.source.name, "range": places}


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity == "error" for d in diagnostics)


def causes(found: Iterable[Diagnostic], complete: bool) -> list[Diagnostic]:
    """The findings, less those that only follow from another. complete: whether no statement was left out."""
    every = list(found)
    codes = {one.code for one in every}
    return [one for one in every if not unsaid(one.code, codes, complete)]


class RuleError(ValueError):
    """A rule file that cannot be used; `diagnostics` holds every finding, in the order of the file."""

    dressing: ClassVar[Callable[[RuleError], str]] = str
    """How IPython shows it; whoever draws lines and carets puts that in here."""
    underlining: ClassVar[Callable[[Span], list[str]]] = lambda span: []
    """The source of a place with carets below, for the text; put in here likewise."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(self._summary())

    @property
    def decisive(self) -> tuple[Diagnostic, ...]:
        """The errors; all findings where none is one."""
        return tuple(d for d in self.diagnostics if d.severity == "error") or self.diagnostics

    def _summary(self) -> str:
        errors = self.decisive
        lines = []
        for d in errors[:_SHOWN]:
            place = ""
            if d.span is not None:
                at = d.span.first
                place = f"{d.span.source.name}:{at.line}:{at.column}: "
            lines.append(f"{place}{d.severity}[{d.code}]: {d.message}")
            if d.span is not None:
                lines += type(self).underlining(d.span)
            if d.help:
                lines.append(f"  help: {d.help}")
        if len(errors) > _SHOWN:
            lines.append(f"... and {len(errors) - _SHOWN} more")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback: no line of this library tells of a fault in the rules."""
        return [
            f"RuleError: {plural(len(self.decisive), 'finding')}",
            *type(self).dressing(self).split("\n"),
        ]

    def __repr__(self) -> str:
        """Not in quotes: tools that show what went wrong in what they call (Hydra) show this, and lines are to be lines."""
        return f"RuleError: {self}"

    def __reduce__(self) -> tuple[type[RuleError], tuple[tuple[Diagnostic, ...]]]:
        return (RuleError, (self.diagnostics,))
