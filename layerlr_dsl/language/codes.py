"""Every code a finding can have: how grave it is, and what it is called.

Each has a page beside this module (pages/CODE.md) with an explanation, an example that yields it,
the output of that example, and the same example put right; the tests run all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layerlr_dsl.language.diagnostics import Severity

PAGES = Path(__file__).parent / "pages"


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding. `advice` is given only to those who ask for it."""

    code: str
    severity: Severity
    title: str
    advice: bool = False

    @property
    def page(self) -> Path:
        return PAGES / f"{self.code}.md"

    def read_page(self) -> str:
        """The page as Markdown."""
        return self.page.read_text(encoding="utf-8")


_ERRORS = {
    "LR001": "unexpected text",
    "LR002": "unclosed bracket, quote or regular expression",
    "LR003": "malformed number",
    "LR004": "misspelled word of the language",
    "LR005": "incomplete statement",
    "LR006": "comma after `where`",
    "LR007": "nested too deeply, or too long",
    "LR008": "version unknown or not first",
    "LR009": "statement given twice",
    "LR010": "character not allowed",
    "LR011": "malformed pattern",
    "LR101": "unknown name",
    "LR102": "name defined twice",
    "LR103": "option that the optimizer does not have",
    "LR104": "unknown optimizer",
    "LR105": "unknown schedule",
    "LR106": "missing or unknown unit",
    "LR107": "value of the wrong kind, or out of range",
    "LR108": "arithmetic without a result",
    "LR109": "unknown function, or wrong number of arguments",
    "LR110": "unknown group",
    "LR111": "group that refers to itself",
    "LR112": "regular expression that cannot be used",
    "LR113": "included file missing or unreadable",
    "LR114": "included file outside the rules root",
    "LR115": "files that include each other in a circle",
    "LR116": "statement in the wrong part of a file",
    "LR117": "option that cannot change during training",
    "LR118": "`frozen` written as an option",
    "LR119": "capture that the selector does not bind",
    "LR120": "wrong argument of an optimizer or schedule",
    "LR123": "model that a file may not name",
    "LR124": "option given twice in one rule",
    "LR125": "unknown word after `is`",
    "LR126": "value that moves where none can",
    "LR127": "option in quotes that must not be",
    "LR201": "selector that matches no parameter",
    "LR205": "tied parameters that disagree",
    "LR207": "capture that can bind in two ways",
    "LR208": "parameter that its optimizer refuses",
    "LR209": "selector with nothing left",
    "LR210": "model that cannot be built",
    "LR212": "size unknown: lazy module",
    "LR220": "expectation that does not hold",
    "LR301": "nothing trains",
    "LR303": "window that closes before it opens",
    "LR307": "unfreezing what is not frozen",
    "LR309": "steps without knowing the steps of an epoch",
    "LR311": "share of a run of unknown length",
    "LR312": "moment or duration out of range",
    "LR313": "stage that outlasts the run",
    "LR315": "unfreezing by turns with one turn",
    "LR316": "stage without an end",
}
_WARNINGS = {
    "LR202": "rule wholly overridden",
    "LR204": "parameters without a learning rate of their own",
    "LR214": "optimizer that no rule chooses",
    "LR302": "window that never opens",
    "LR304": "window that outlives the run",
    "LR305": "rule that covers only what is frozen for ever",
    "LR308": "end of a freeze masked by an earlier freeze",
    "LR310": "mark rounded up to a whole epoch",
    "LR314": "time left over behind the last stage",
}
_INFOS = {
    "LR128": "option handed on unchecked",
    "LR203": "rule partly overridden",
    "LR206": "holes in the numbers of a capture",
    "LR211": "parameters frozen by the model",
    "LR213": "options that lapse under a rule's own optimizer",
    "LR317": "unfreezing what trains already in this stage",
    "LR306": "frozen layer behind a training one",
}
_ADVICE = {
    "LR401": "learning rates very far apart",
    "LR402": "weight decay on a bias or a norm",
    "LR403": "Muon on an embedding or a head",
}

_TABLES: tuple[tuple[dict[str, str], Severity, bool], ...] = (
    (_ERRORS, "error", False),
    (_WARNINGS, "warning", False),
    (_INFOS, "info", False),
    (_ADVICE, "info", True),
)

CODES: dict[str, Code] = {
    code: Code(code, severity, title, advice)
    for code, severity, title, advice in sorted(
        (code, severity, title, advice)
        for table, severity, advice in _TABLES
        for code, title in table.items()
    )
}

FAMILIES = {
    "LR0": "how a file is written",
    "LR1": "names, values, units, options, includes",
    "LR2": "the rules against a model",
    "LR3": "the rules against time",
    "LR4": "advice (only with --advice)",
}
