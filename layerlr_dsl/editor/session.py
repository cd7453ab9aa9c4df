"""One open document: its text, what is known of it at once, and what came back from the analyst."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from layerlr_dsl.editor.findings import Elsewhere, Finding, Here, Makers, Snapshot
from layerlr_dsl.editor.incremental_checking import Checker, as_a_whole
from layerlr_dsl.editor.incremental_parsing import Piece, Pieces, document_offset
from layerlr_dsl.editor.other_optimizers import ForeignOptimizer
from layerlr_dsl.editor.text import Text
from layerlr_dsl.editor.tree import Tree
from layerlr_dsl.language.checked import PatternItem
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.syntax import ModelStatement
from layerlr_dsl.plan.near_misses import NearMiss, matches_nothing
from layerlr_dsl.tools.records import record

logger = logging.getLogger(__name__)

LARGE = 200_000
"""Characters above which a document is left to the analyst alone."""


@record
class Covered:
    """What a selector (`whole`) or one item of it covers."""

    place: Here
    whole: bool
    tensors: int
    numel: int
    examples: tuple[str, ...]


@record
class Tabled:
    """What a value comes to: a heading, and a row for each case."""

    place: Here
    head: list[str]
    rows: list[list[str]]


class Session:
    """A document that is open in an editor.

    Findings are of two kinds. Those of the language, and selectors that match nothing, are worked out
    here at every change, for the changed statements alone. All others come from the analyst a moment
    later; until the next ones come, they stay with the statements that have not changed since.
    """

    def __init__(
        self, uri: str, path: Path | None, text: str, root: Path | None = None, encoding: str = "utf-16"
    ) -> None:
        self.uri = uri
        self.path = path
        self.name = path.name if path is not None else "untitled"
        self.root = root
        self.text = Text(text, encoding)
        self.version = 0
        self.carried: list[Finding] = []
        self.repeated: list[Finding] = []
        """What the analyst said that is known here at once, for when it is not."""
        self.covered: list[Covered] = []
        self.tabled: list[Tabled] = []
        self._options: dict[str, dict[str, str]] = {}
        self.tree: Tree | None = None
        self.model_key: str | None = None
        self.model_spec: str | None = None
        self.model_state = "none"
        self._misses: dict[str, NearMiss | None] = {}
        self.restart()

    def restart(self) -> None:
        """Forget what was read and checked, and begin anew from the text."""
        self.pieces = Pieces(self.name, self.path)
        self.checker = Checker(self.pieces, self.root)
        self._makers = Makers(self.pieces, self.text.encoding)
        self.pieces.edit(0, 0, self.text.content)
        self.settled = False
        self.blind = False

    @property
    def large(self) -> bool:
        return len(self.text) > LARGE

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """By optimizer whose options only the analyst can know: what each of them means."""
        return self._options if self.blind else {}

    # ------------------------------------------------------------ changes

    def replace(self, start: tuple[int, int], end: tuple[int, int], new: str) -> None:
        """Replace the text between two places (line and column as the client counts)."""
        first = self.text.offset(*start)
        self._edit(first, max(first, self.text.offset(*end)), new)

    def replace_all(self, new: str) -> None:
        """Take a whole new text; what it has in common with the old one at both ends is kept."""
        old = self.text.content
        limit = min(len(old), len(new))
        first = next((n for n in range(limit) if old[n] != new[n]), limit)
        last = next((n for n in range(limit - first) if old[-1 - n] != new[-1 - n]), limit - first)
        self._edit(first, len(old) - last, new[first : len(new) - last])

    def _edit(self, start: int, end: int, new: str) -> None:
        self.text = self.text.replaced(start, end, new)
        self.pieces.edit(start, end, new)
        self.settled = False
        if self.large:
            self.carried, self.repeated, self.covered, self.tabled = [], [], [], []

    def touch(self) -> None:
        """Look again at everything outside the text: included files may have changed."""
        self.settled = False

    def work(self, seconds: float = float("inf")) -> bool:
        """Read and check for so long; True once the findings of the language are up to date."""
        until = perf_counter() + seconds
        if not self.settled and not self.large:
            if not self.pieces.read(seconds):
                return False
            if not self._check(until) or not self._match(until):
                return False
        self.settled = True
        return True

    def _check(self, until: float) -> bool:
        """Checker until a time; where that cannot be done here, the analyst's word has to do."""
        self.checker.notice()
        try:
            self.blind = False
            return self.checker.check(until - perf_counter())
        except ForeignOptimizer:
            self.blind = True
        except Exception:
            logger.exception("checking %s failed", self.uri)
            self.blind = True
        return True

    # ------------------------------------------------------------ findings

    def findings(self) -> list[tuple[Here, Finding]]:
        """Everything known at present and where it is shown, from top to bottom."""
        found: list[Finding] = []
        if not self.large:
            found += map(self._makers.finding, self.language())
        if self.blind or self.large:
            said = {(finding.code, self.placed(finding).start) for finding in found}
            found += [f for f in self.repeated if (f.code, self.placed(f).start) not in said]
        else:
            found += map(self._makers.finding, self._unmatched())
        every = [(self.placed(one), one) for one in (*found, *self.carried) if not one.gone]
        return sorted(every, key=lambda placed: (placed[0].start, placed[1].code))

    def language(self) -> Iterator[Diagnostic]:
        """What the language alone has to say; of two findings of one kind at one place, the first."""
        seen = set()
        every = [d for piece in self.pieces.pieces for d in piece.syntax]
        for found in [*every, *as_a_whole(self.pieces)]:
            assert found.span is not None
            key = (found.code, document_offset(found.span)[0])
            if key not in seen:
                seen.add(key)
                yield found
        for piece in () if self.blind else self.pieces.pieces:
            yield from piece.checked

    def placed(self, finding: Finding) -> Here:
        """Where a finding is shown in this document: one of an included file at its include."""
        place = finding.place
        if isinstance(place, Here):
            return place
        if isinstance(place, Elsewhere):
            for piece in self.pieces.pieces:
                brought = self.checker.includes.sources.get(id(piece), ())
                if any(str(source.path) == place.path for source in brought):
                    return Here(None, piece.start, piece.end)
        model = self._model_piece()
        return Here(None, model.start, model.end) if model is not None else Here(None, 0, 0)

    def named_model(self) -> str | None:
        """The model that the document names at present."""
        piece = self._model_piece()
        statement = piece.statement if piece is not None else None
        return statement.spec.value if isinstance(statement, ModelStatement) else None

    def _model_piece(self) -> Piece | None:
        named = [p for p, x in self.pieces.statements() if isinstance(x, ModelStatement)]
        return named[-1] if named else None

    def _match(self, until: float) -> bool:
        """Match patterns that were not seen before until a time; True once all are matched."""
        if self.tree is None:
            return True
        for piece in self.pieces.pieces:
            for item in piece.items:
                if item.text not in self._misses:
                    self._misses[item.text] = _missed(item, self.tree)
                    if perf_counter() >= until:
                        return False
        return True

    def _unmatched(self) -> Iterator[Diagnostic]:
        """LR201, as the resolver says it, for every pattern of the document itself."""
        rules = self.checker.rules
        spec = rules.model.spec.value if rules is not None and rules.model is not None else None
        if self.tree is None or spec != self.model_spec:
            return
        for piece in self.pieces.pieces:
            for item in piece.items:
                miss = self._misses.get(item.text)
                if miss is not None:
                    yield matches_nothing(error, item, miss)

    # ------------------------------------------------------------ the analyst

    def snapshot(self) -> Snapshot:
        return Snapshot(self.pieces)

    def absorb(self, result: dict[str, Any], snapshot: Snapshot) -> None:
        """Take in what the analyst says of the text at the time of `snapshot`."""
        for _ in self.absorbing(result, snapshot):
            pass

    def absorbing(self, result: dict[str, Any], snapshot: Snapshot) -> Iterator[None]:
        """As `absorb`, in small steps; what was known before stands until the last of them."""
        self._absorb_model(result["model"])
        self._options = result["options"]
        findings: dict[bool, list[Finding]] = {False: [], True: []}
        for data in result["findings"]:
            known_here = data["quick"] and not self._of_an_include(data)
            findings[known_here].append(snapshot.finding(data))
            yield
        covered = []
        for data in result["coverage"]:
            place = snapshot.place(data["place"])
            if isinstance(place, Here):
                numbers = (data["whole"], data["tensors"], data["numel"], tuple(data["examples"]))
                covered.append(Covered(place, *numbers))
            yield
        tabled = []
        for data in result["values"]:
            place = snapshot.place(data["place"])
            if isinstance(place, Here):
                tabled.append(Tabled(place, data["head"], data["rows"]))
            yield
        self.carried, self.repeated = findings[False], findings[True]
        self.covered, self.tabled = covered, tabled

    def _absorb_model(self, model: dict[str, Any]) -> None:
        self.model_state, self.model_spec = model["state"], model["spec"]
        if model["key"] != self.model_key or model["key"] is None:
            self.model_key = model["key"]
            self.tree = Tree.from_json(model["tree"]) if model["tree"] is not None else None
            self._misses.clear()
            self.settled = False

    @staticmethod
    def _of_an_include(data: dict[str, Any]) -> bool:
        """Whether it is a selector of an included file, which only the analyst matches."""
        return data["code"] == "LR201" and "file" in (data["place"] or ())


def _missed(item: PatternItem, tree: Tree) -> NearMiss | None:
    """What a pattern that covers nothing was meant to say; None where it covers something."""
    return None if tree.covers(item.pattern) else tree.near.nearest_to(item.text, item.pattern)
