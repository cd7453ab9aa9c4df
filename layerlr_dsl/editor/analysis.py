"""Everything there is to say of a document, against its model and over time, as plain data.

This runs in a process of its own. What it says is what `layerlr validate` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerlr_dsl.api import Rules
from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.editor.coverage import Coverage, coverages
from layerlr_dsl.editor.tables import ValueTable, tables
from layerlr_dsl.editor.text import Text
from layerlr_dsl.editor.tree import Tree
from layerlr_dsl.editor.vocabulary import option_text
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic, Fix
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.model import inventory_cache
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.spec_syntax import Spec, located, parse_spec
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolve import resolve
from layerlr_dsl.tools.records import record

_KEPT_MODELS = 3


@record
class Known:
    """A model at hand. `key` changes when the model does."""

    key: str
    inventory: Inventory
    tree: Tree


@dataclass
class Models:
    """Inventories that are stored somewhere; nothing is ever built here, and torch never imported."""

    _known: dict[str, Known] = field(default_factory=dict)

    def find(self, spec: str, root: Path | None, built: str | None) -> Known | None:
        """A model, or None if it has yet to be built. `built` is where it has been built for us.

        Raises ModelError for a spec that cannot be, or an inventory that cannot be read.
        """
        read = parse_spec(spec, root=root)
        key = self._key(read, root, built)
        known = self._known.pop(key, None)
        if known is None:
            inventory = _stored(read, built)
            if inventory is None:
                return None
            known = Known(key, inventory, Tree.of(inventory))
        self._known[key] = known
        while len(self._known) > _KEPT_MODELS:
            del self._known[next(iter(self._known))]
        return known

    @staticmethod
    def _key(read: Spec, root: Path | None, built: str | None) -> str:
        state = ""
        if read.kind == "inventory" and read.path is not None and read.path.is_file():
            status = read.path.stat()
            state = f"{status.st_mtime_ns} {status.st_size}"
        return f"{read.text}\n{root}\n{built}\n{state}"


def _stored(read: Spec, built: str | None) -> Inventory | None:
    if read.kind == "inventory" and read.path is not None:
        return Inventory.load(read.path)
    found = inventory_cache.get(inventory_cache.key_of(read))
    return Inventory.load(built) if found is None and built is not None else found


@record
class Request:
    """A document to look at. `failure` says why its model could not be built, as a message and a help."""

    text: str
    name: str
    path: str | None = None
    root: str | None = None
    encoding: str = "utf-16"
    epochs: float | None = None
    steps_per_epoch: int | None = None
    built: str | None = None
    failure: tuple[str, str | None] | None = None
    known: str | None = None
    """The key of the model whose tree the asker has."""


@record
class Looked:
    """A document against its model. state: "ready", "missing" (to be built), "refused", or "none" where it names none."""

    source: Source
    rules: Rules
    found: tuple[Diagnostic, ...]
    state: str
    known: Known | None


def look(request: Request, models: Models) -> Looked:
    """Read a document and find its model; `found` is what there is to say without a plan."""
    path = Path(request.path) if request.path is not None else None
    root = Path(request.root) if request.root is not None else None
    source = Source(request.name, request.text, path)
    rules = Rules(check(source, root))
    if rules.model is None:
        return Looked(source, rules, rules.diagnostics, "none", None)
    beside = None if path is None else path.parent
    folder = root if root is not None else beside
    try:
        known = models.find(located(rules.model, beside, folder), folder, request.built)
        if known is None and request.failure is not None:
            raise ModelError(*request.failure)
    except ModelError as fault:
        return Looked(source, rules, rules.without_model(fault), "refused", None)
    return Looked(source, rules, rules.diagnostics, "missing" if known is None else "ready", known)


def analyse(request: Request, models: Models) -> dict[str, Any]:
    """The findings, the coverage of every selector, and the state of the model."""
    looked = look(request, models)
    rules, known = looked.rules, looked.known
    report = _Report(looked.source, request.encoding)
    plan = None if known is None else plan_of(rules, known.inventory, request)
    found = looked.found if plan is None else plan.diagnostics
    quick = {(d.code, d.span) for d in rules.diagnostics}
    new = known is not None and known.key != request.known
    return {
        "findings": [report.finding(d, (d.code, d.span) in quick or d.code == "LR201") for d in found],
        "options": _options_of_foreign(rules),
        "coverage": [report.coverage(c) for c in coverages(plan)] if plan is not None else [],
        "values": [report.values(table) for table in tables(plan)] if plan is not None else [],
        "model": {
            "state": looked.state,
            "spec": rules.model,
            "key": None if known is None else known.key,
            "tree": known.tree.to_json() if new and known is not None else None,
        },
    }


def _options_of_foreign(rules: Rules) -> dict[str, dict[str, str]]:
    """By optimizer that is not in the shipped table: its options, with what is known of each."""
    named = [rules.checked.optimizer.info.name]
    for clause in rules.checked.clauses:
        named += [str(x.constant) for x in clause.settings if x.option == "optimizer"]
    infos = {name: optimizers.find(name) for name in named if optimizers.find_unimported(name) is None}
    return {
        name: {o.name: option_text(o) for o in info.options.values() if o.group and o.algorithmic}
        for name, info in infos.items()
        if info is not None
    }


def plan_of(rules: Rules, inventory: Inventory, request: Request) -> Plan:
    """What the rules come to, with its findings, errors among them."""
    clock = rules.clock(request.epochs, request.steps_per_epoch)
    return resolve(rules.checked, inventory, clock, lenient=True, before=rules.diagnostics)


class _Report:
    """Findings as JSON: offsets in the document itself, lines and columns in other files."""

    def __init__(self, source: Source, encoding: str) -> None:
        self.source = source
        self.encoding = encoding
        self._texts: dict[int, Text] = {}

    def finding(self, found: Diagnostic, quick: bool) -> dict[str, Any]:
        return {
            "code": found.code,
            "severity": found.severity,
            "message": found.message,
            "help": found.help,
            "quick": quick,
            "place": None if found.span is None else self.place(found.span),
            "related": [{"message": r.message, "place": self.place(r.span)} for r in found.related],
            "fix": None if found.fix is None else self._fix(found.fix),
        }

    def coverage(self, covered: Coverage) -> dict[str, Any]:
        return {
            "place": self.place(covered.span),
            "whole": covered.whole,
            "tensors": covered.tensors,
            "numel": covered.numel,
            "examples": covered.examples,
        }

    def values(self, table: ValueTable) -> dict[str, Any]:
        return {"place": self.place(table.span), "head": table.head, "rows": table.rows}

    def place(self, span: Span) -> dict[str, Any]:
        if span.source is self.source:
            return {"start": span.start, "end": span.end}
        text = self._texts.get(id(span.source))
        if text is None:
            text = self._texts[id(span.source)] = Text(span.source.text, self.encoding)
        return {
            "file": str(span.source.path or span.source.name),
            "name": span.source.name,
            "range": [*text.place(span.start), *text.place(span.end)],
        }

    def _fix(self, fix: Fix) -> dict[str, Any] | None:
        if any(edit.span.source is not self.source for edit in fix.edits):
            return None
        edits = [{"place": self.place(e.span), "new": e.replacement} for e in fix.edits]
        return {"message": fix.message, "safe": fix.safe, "edits": edits}
