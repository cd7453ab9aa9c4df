"""From an input to its findings and its plan: what every command that looks at rules does first."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.api import Rules
from layerlr_dsl.cli.exits import HasErrors, Refusal
from layerlr_dsl.cli.inputs import Input, read
from layerlr_dsl.cli.options import Models, Run
from layerlr_dsl.cli.terminal import waiting
from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.checker import check, in_order
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.joining import joined
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan
    from layerlr_dsl.model.inventory import Inventory


@record
class Resolved:
    """An input with everything that could be found out about it."""

    entry: Input
    rules: CheckedRules
    findings: tuple[Diagnostic, ...]
    spec: str | None
    """The model that it was checked against; None where there was none to check against."""
    plan: Plan | None


@dataclass
class Resolver:
    """Checks inputs against one model and one clock; what the command line does not say, each file does.

    Raises Refusal where the model given on the command line cannot be had.
    """

    model: Models | None = None
    run: Run = field(default_factory=Run)
    lenient: bool = True
    """Leave unchecked what is relative to a run of unknown length."""
    advice: bool = False
    """Add what is no fault but worth a remark (LR4xx)."""
    pinned: tuple[str, Inventory] | None = None
    """A model that stands for any that the files name."""
    _known: set[str] = field(default_factory=set)
    """The names of the `let`s of all files so far."""
    _inventories: dict[tuple[str, Path | None], Inventory] = field(default_factory=dict)
    _asked: set[tuple[str, Path | None]] = field(default_factory=set)
    """Models that files named, with the root of each."""

    def resolve(self, entry: Input, source: Source) -> Resolved:
        rules = self._read(entry, source)
        if self.pinned is not None:
            return self._against(entry, rules, *self.pinned)
        if self.model is not None:
            return self._against(entry, rules, spelled(self.model), self._stated)
        if rules.model is None:
            return Resolved(entry, rules.checked, rules.diagnostics, None, None)
        folder = _folder(source)
        try:
            inventory = self._named(rules.model, folder, entry.root or folder)
        except ModelError as fault:
            return Resolved(entry, rules.checked, rules.without_model(fault), None, None)
        return self._against(entry, rules, rules.model, inventory)

    def _read(self, entry: Input, source: Source) -> Rules:
        """The rules of a file, with those of the constants given that it has a `let` for."""
        lets = self.run.lets
        if not lets:
            return Rules(check(source, entry.root))
        first = check(source, entry.root)
        here = {name: value for name, value in lets.items() if name in first.lets}
        self._known |= first.lets.keys()
        return Rules(check(source, entry.root, here))

    def refuse_unknown(self) -> None:
        """Raises Refusal for a `--let` whose name no file has. Called when all have been read."""
        from layerlr_dsl.tools.nearest import nearest

        for name in self.run.lets:
            if name not in self._known:
                near = nearest(name, self._known)
                known = ", ".join(sorted(self._known)) or "none"
                hint = f"did you mean `{near}`?" if near else f"there are: {known}"
                raise Refusal(f"no file has a `let` called `{name}`", hint)

    def files(self) -> set[str]:
        """The files that models were read from, those too that could not be."""
        from layerlr_dsl.model.specs import file_of

        stated = self.model.values() if isinstance(self.model, dict) else [self.model] if self.model else []
        asked = [*self._asked, *((spec, None) for spec in stated)]
        return {str(path) for spec, root in asked if (path := file_of(spec, root)) is not None}

    def _against(self, entry: Input, rules: Rules, spec: str, inventory: Inventory) -> Resolved:
        from layerlr_dsl.api import Plan
        from layerlr_dsl.plan.resolve import resolve

        run = self.run
        clock = rules.clock(run.epochs, run.steps_per_epoch, run.steps)  # type: ignore[arg-type]
        plan = resolve(
            rules.checked, inventory, clock, lenient=self.lenient, before=rules.diagnostics, kind=Plan
        )
        found = plan.diagnostics
        if self.advice and not has_errors(found):
            from layerlr_dsl.plan.findings.advice import advice

            found = tuple(in_order((*found, *advice(plan)), rules.checked.sources))
        return Resolved(entry, rules.checked, found, spec, plan)

    @cached_property
    def _stated(self) -> Inventory:
        """What the command line names. Raises Refusal."""
        return stated_inventory(self.model or "")

    def _named(self, written: str, beside: Path | None, root: Path | None) -> Inventory:
        """What a file names. Raises ModelError."""
        from layerlr_dsl.model.specs import located

        key = spec, root = located(written, beside, root), root
        self._asked.add(key)
        if key not in self._inventories:
            self._inventories[key] = load_inventory(spec, root, False)
        return self._inventories[key]


def spelled(model: Models) -> str:
    """The models of the command line, as they were typed."""
    return ", ".join(specs(model))


def specs(model: Models) -> list[str]:
    """Each model of the command line, as it was typed."""
    return [model] if isinstance(model, str) else [f"{key}={spec}" for key, spec in model.items()]


def load_inventory(spec: str, root: Path | None, allow_python: bool) -> Inventory:
    """The inventory of a model, with a sign of life where that takes long. Raises ModelError."""
    from layerlr_dsl.model.specs import inventory_of_spec

    with waiting() as begin:
        return inventory_of_spec(spec, root=root, allow_python=allow_python, progress=begin)


def stated_inventory(spec: Models) -> Inventory:
    """The inventory of a model named on the command line, of several under their keys. Raises Refusal."""
    if isinstance(spec, dict):
        return joined({key: stated_inventory(one) for key, one in spec.items()})
    try:
        return load_inventory(spec, None, True)
    except ModelError as fault:
        raise Refusal(fault.message, fault.help) from None


def _folder(source: Source) -> Path | None:
    return source.path.parent if source.path is not None else None


def planned(entry: Input, resolver: Resolver) -> tuple[Resolved, Plan]:
    """The plan of one input.

    Raises HasErrors where a finding is an error, Refusal where the input cannot be read or there is no
    model to plan for.
    """
    resolved = resolver.resolve(entry, read(entry))
    resolver.refuse_unknown()
    return resolved, plan_of(resolved)


def plan_of(resolved: Resolved) -> Plan:
    """The plan of what was checked. Raises HasErrors and Refusal, as `planned` does."""
    if has_errors(resolved.findings):
        raise HasErrors(resolved.findings)
    if resolved.plan is None:
        hint = 'give one with --model, or write `model "..."` in the file'
        raise Refusal(f"{resolved.entry.name}: names no model", hint)
    return resolved.plan
