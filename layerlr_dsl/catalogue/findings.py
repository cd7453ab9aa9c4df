"""Every kind of finding: its code, how grave it is, what it is called, and when it is better left unsaid.

A new kind is a row here and a page beside this module (pages/CODE.md) with an explanation, an example that
yields it, the output of that example, and the same example put right; the tests run all of them. The check
itself stands where what it looks at is made: in `language` or in `plan`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from layerlr_dsl.tools.records import record

PAGES = Path(__file__).parent / "pages"

Severity = Literal["error", "warning", "info"]


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
    def page(self) -> Path:
        return PAGES / f"{self.code}.md"

    def read_page(self) -> str:
        """The page as Markdown."""
        return self.page.read_text(encoding="utf-8")


@record
class Family:
    """Kinds whose codes begin alike; those of advice are given only to those who ask for them."""

    code: str
    about: str
    kinds: tuple[Kind, ...]
    advice: bool = False


FAMILIES = (
    Family(
        "LR0",
        "how a file is written",
        (
            Kind("LR001", "error", "unexpected text"),
            Kind("LR002", "error", "unclosed bracket, quote or regular expression"),
            Kind("LR003", "error", "malformed number"),
            Kind("LR004", "error", "misspelled word of the language"),
            Kind("LR005", "error", "incomplete statement"),
            Kind("LR006", "error", "comma after `where`"),
            Kind("LR007", "error", "nested too deeply, or too long"),
            Kind("LR008", "error", "version unknown or not first"),
            Kind("LR009", "error", "statement given twice"),
            Kind("LR010", "error", "character not allowed"),
            Kind("LR011", "error", "malformed pattern"),
        ),
    ),
    Family(
        "LR1",
        "names, values, units, options, includes",
        (
            Kind("LR101", "error", "unknown name"),
            Kind("LR102", "error", "name defined twice"),
            Kind("LR103", "error", "option that the optimizer does not have"),
            Kind("LR104", "error", "unknown optimizer"),
            Kind("LR105", "error", "unknown schedule"),
            Kind("LR106", "error", "missing or unknown unit"),
            Kind("LR107", "error", "value of the wrong kind, or out of range"),
            Kind("LR108", "error", "arithmetic without a result"),
            Kind("LR109", "error", "unknown function, or wrong number of arguments"),
            Kind("LR110", "error", "unknown group"),
            Kind("LR111", "error", "group that refers to itself"),
            Kind("LR112", "error", "regular expression that cannot be used"),
            Kind("LR113", "error", "included file missing or unreadable"),
            Kind("LR114", "error", "included file outside the rules root"),
            Kind("LR115", "error", "files that include each other in a circle"),
            Kind("LR116", "error", "statement in the wrong part of a file"),
            Kind("LR117", "error", "option that cannot change during training"),
            Kind("LR118", "error", "`frozen` written as an option"),
            Kind("LR119", "error", "capture that the selector does not bind"),
            Kind("LR120", "error", "wrong argument of an optimizer or schedule"),
            Kind("LR123", "error", "model that a file may not name"),
            Kind("LR124", "error", "option given twice in one rule"),
            Kind("LR125", "error", "unknown word after `is`"),
            Kind("LR126", "error", "value that moves where none can"),
            Kind("LR127", "error", "option in quotes that must not be"),
            Kind("LR128", "info", "option handed on unchecked"),
            Kind("LR129", "warning", "implausible learning rate"),
            Kind("LR130", "info", "learning rate of 0, which is no freeze"),
            Kind("LR131", "error", "fact of the model where none can be"),
        ),
    ),
    Family(
        "LR2",
        "the rules against a model",
        kinds=(
            Kind("LR201", "error", "selector that matches no parameter"),
            Kind("LR202", "warning", "rule wholly overridden", of_absence=True, idle=True),
            Kind("LR203", "info", "rule partly overridden", of_absence=True),
            Kind(
                "LR204",
                "warning",
                "parameters without a learning rate of their own",
                of_absence=True,
                unsaid_after=("LR107", "LR108"),
            ),
            Kind("LR205", "error", "tied parameters that disagree"),
            Kind("LR206", "info", "holes in the numbers of a capture"),
            Kind("LR207", "error", "capture that can bind in two ways"),
            Kind("LR208", "error", "parameter that its optimizer refuses"),
            Kind("LR209", "error", "selector with nothing left"),
            Kind("LR210", "error", "model that cannot be built"),
            Kind("LR211", "info", "parameters frozen by the model"),
            Kind("LR212", "error", "what is not known of the model yet"),
            Kind("LR213", "info", "options that lapse under a rule's own optimizer"),
            Kind("LR214", "warning", "optimizer that no rule chooses"),
            Kind("LR215", "info", "`*` that covers less than `**` would"),
            Kind("LR216", "error", "fact of a group that binds nothing"),
            Kind("LR220", "error", "expectation that does not hold"),
        ),
    ),
    Family(
        "LR3",
        "the rules against time",
        kinds=(
            Kind("LR301", "error", "nothing trains", of_absence=True),
            Kind("LR302", "warning", "window that never opens"),
            Kind("LR303", "error", "window that closes before it opens"),
            Kind("LR304", "warning", "window that outlives the run"),
            Kind(
                "LR305",
                "warning",
                "rule that covers only what is frozen for ever",
                of_absence=True,
                idle=True,
            ),
            Kind("LR306", "info", "frozen layer behind a training one"),
            Kind("LR307", "error", "unfreezing what is not frozen", of_absence=True),
            Kind("LR308", "warning", "end of a freeze masked by an earlier freeze"),
            Kind("LR309", "error", "steps without knowing the steps of an epoch", leaves_out=True),
            Kind("LR310", "warning", "mark rounded up to a whole epoch"),
            Kind("LR311", "error", "share of a run of unknown length", leaves_out=True),
            Kind("LR312", "error", "moment or duration out of range"),
            Kind("LR313", "error", "stage that outlasts the run"),
            Kind("LR314", "warning", "time left over behind the last stage"),
            Kind("LR315", "error", "unfreezing by turns with one turn"),
            Kind("LR316", "error", "stage without an end"),
            Kind("LR317", "info", "unfreezing what trains already in this stage"),
            Kind("LR318", "warning", "base weights under adapters stay frozen"),
            Kind("LR319", "info", "floor that looks like a rate"),
            Kind("LR320", "warning", "rate at or below the least rate"),
            Kind("LR321", "info", "fresh optimizer where it is fresh"),
            Kind("LR322", "warning", "freeze whose end thaws nothing", of_absence=True),
        ),
    ),
    Family(
        "LR4",
        "advice (only with --advice)",
        advice=True,
        kinds=(
            Kind("LR401", "info", "learning rates very far apart"),
            Kind("LR402", "info", "weight decay on a bias or a norm"),
            Kind("LR403", "info", "Muon on an embedding or a head"),
            Kind("LR404", "info", "batch norms thaw behind a fitted head"),
        ),
    ),
)

KINDS = {kind.code: kind for family in FAMILIES for kind in family.kinds}
ADVICE = frozenset(kind.code for family in FAMILIES if family.advice for kind in family.kinds)


def unsaid(code: str, found: Collection[str], complete: bool) -> bool:
    """Whether a finding should be kept back, given the codes of all that were found.

    complete: whether the plan holds every statement of the file.
    """
    kind = KINDS[code]
    whole = complete and not any(KINDS[other].leaves_out for other in found)
    return (kind.of_absence and not whole) or any(other in found for other in kind.unsaid_after)
