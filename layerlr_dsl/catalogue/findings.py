"""Every kind of finding, as its page has it: code, title, how grave it is, and when it is better left unsaid.

A new kind is a page beside this module (pages/CODE.md): its title, a paragraph that begins with `Severity:`, an
explanation, an example that yields it, the output of that example, and the same example put right; the tests
run all of them. The check itself stands where what it looks at is made: in `language` or in `plan`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, cast

from layerlr_dsl.tools.records import record

PAGES = Path(__file__).parent / "pages"

Severity = Literal["error", "warning", "info"]

_HEAD = re.compile(r"# (LR\d{3}): (.+)\n\nSeverity: (error|warning|info)\b((?:.+\n?)*)")
_AFTER = re.compile(r"Not said beside ([LR\d, or]+)\.")
_OF_ABSENCE = "Kept back while a statement of the file is left out as faulty."
_LEAVES_OUT = "Its statement is left out of the plan."
_IDLE = "Editors show it faded."


@record
class Kind:
    """A kind of finding.

    severity: the usual one; what an error is in a file may be a warning in one that it includes.
    of_absence: it says that something is not there, which a statement left out as faulty may have been.
    leaves_out: the statement that it is found in is left out of the plan.
    unsaid_after: findings that make this one pointless.
    idle: what it marks does nothing, so that editors show it faded.
    """

    code: str
    severity: Severity
    title: str
    of_absence: bool = False
    leaves_out: bool = False
    unsaid_after: tuple[str, ...] = ()
    idle: bool = False

    @property
    def advice(self) -> bool:
        """Whether it is given only to those who ask for advice."""
        return self.code.startswith(_ADVICE)

    @property
    def page(self) -> Path:
        return PAGES / f"{self.code}.md"

    def read_page(self) -> str:
        """The page as Markdown."""
        return self.page.read_text(encoding="utf-8")


@cache
def _kind(code: str) -> Kind | None:
    """What the head of a page says; None where there is no such page, or none that can be read."""
    page = PAGES / f"{code}.md"
    head = _HEAD.match(page.read_text(encoding="utf-8")) if code.isalnum() and page.is_file() else None
    if head is None or head[1] != code:
        return None
    said = " ".join(head[4].split())
    after = _AFTER.search(said)
    return Kind(
        code,
        cast(Severity, head[3]),
        head[2],
        of_absence=_OF_ABSENCE in said,
        leaves_out=_LEAVES_OUT in said,
        unsaid_after=() if after is None else tuple(re.findall(r"LR\d{3}", after[1])),
        idle=_IDLE in said,
    )


class _Kinds(Mapping[str, Kind]):
    """All kinds by code. A page is read when it is asked for: a file has few kinds of findings."""

    def __getitem__(self, code: str) -> Kind:
        found = _kind(code)
        if found is None:
            raise KeyError(code)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(page.stem for page in PAGES.glob("LR*.md")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


KINDS: Mapping[str, Kind] = _Kinds()


@record
class Family:
    """Kinds whose codes begin alike."""

    code: str
    about: str

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(kind for code, kind in KINDS.items() if code.startswith(self.code))


_ADVICE = "LR4"
FAMILIES = (
    Family("LR0", "how a file is written"),
    Family("LR1", "names, values, units, options, includes"),
    Family("LR2", "the rules against a model"),
    Family("LR3", "the rules against time"),
    Family(_ADVICE, "advice (only with --advice)"),
)


def unsaid(code: str, found: Collection[str], complete: bool) -> bool:
    """Whether a finding should be kept back, given the codes of all that were found.

    complete: whether the plan holds every statement of the file.
    """
    kind = KINDS[code]
    whole = complete and not any(KINDS[other].leaves_out for other in found)
    return (kind.of_absence and not whole) or any(other in found for other in kind.unsaid_after)
