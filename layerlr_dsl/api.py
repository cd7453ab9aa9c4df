"""What users call: load or parse a rule file, check it, resolve it against a model."""

from __future__ import annotations

from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.checker import check, in_order
from layerlr_dsl.language.diagnostics import Diagnostic, RuleError, error, has_errors
from layerlr_dsl.language.files import read_source
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.clock import Clock, ImpossibleTime
from layerlr_dsl.tools.collector import collector_paused

if TYPE_CHECKING:
    from torch import nn

    from layerlr_dsl.plan.compiled import Compiled
    from layerlr_dsl.plan.plan import Plan


def load(path: str | PathLike[str], root: str | PathLike[str] | None = None) -> Rules:
    """Read a rule file and check it.

    root: the folder that includes must stay in; the file's own folder if not given.
    Raises RuleError (with every finding in `.diagnostics`) where the file has an error, and
    OSError where it cannot be read as UTF-8 text.
    """
    return _strict(read(Path(path), Path(root) if root is not None else None))


def parse(text: str, filename: str = "<string>", root: str | PathLike[str] | None = None) -> Rules:
    """Check a rule text. Raises RuleError where it has an error."""
    return _strict(Rules(check(Source(filename, text), Path(root) if root is not None else None)))


def read(path: Path, root: Path | None = None) -> Rules:
    """As `load`, but errors of the language are left in `diagnostics`, for tools that show them all."""
    return Rules(check(read_source(path), root))


def _strict(rules: Rules) -> Rules:
    if has_errors(rules.diagnostics):
        raise RuleError(rules.diagnostics)
    return rules


class Rules:
    """A checked rule file, ready to be resolved against a model."""

    def __init__(self, checked: CheckedRules) -> None:
        self.checked = checked
        found = (*checked.diagnostics, *_schedule_findings(checked))
        self.diagnostics: tuple[Diagnostic, ...] = tuple(in_order(found, checked.sources))
        self._compiled: Compiled | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept between models, which goes by the identity of the rules' parts."""
        return {**self.__dict__, "_compiled": None}

    def __repr__(self) -> str:
        return f"<Rules {self.checked.source.name}: {len(self.checked.clauses)} statements>"

    @property
    def model(self) -> str | None:
        """The model that the file names, if it names one."""
        return None if self.checked.model is None else self.checked.model.spec.value

    @property
    def epochs(self) -> float | None:
        """The length of the run that the file names, if it names one."""
        return None if self.checked.epochs is None else float(self.checked.epochs)

    def resolve(
        self, model: nn.Module | Inventory, epochs: float | None = None, steps_per_epoch: int | None = None
    ) -> Plan:
        """What every parameter does at every time.

        model: a module, wrapped (DDP, FSDP2, torch.compile, ...) or not, or an Inventory.
        epochs: the length of the run, in epochs; the file's own `epochs` if not given.
        steps_per_epoch: optimizer steps in an epoch; without it the schedule is stepped once an epoch.
        Raises RuleError where any finding is an error, ValueError for impossible numbers.
        """
        plan = self._plan(model, epochs, steps_per_epoch, lenient=False)
        if has_errors(plan.diagnostics):
            raise RuleError(plan.diagnostics)
        return plan

    def check(
        self,
        model: nn.Module | Inventory | None = None,
        epochs: float | None = None,
        steps_per_epoch: int | None = None,
    ) -> tuple[Diagnostic, ...]:
        """Every finding, worst or not; nothing is raised.

        Without a model, those of the language alone. A model or a length that cannot be is a finding too.
        """
        if model is None:
            return self.diagnostics
        try:
            return self._plan(model, epochs, steps_per_epoch, lenient=True).diagnostics
        except ModelError as fault:
            return (*self.diagnostics, error("LR210", str(fault), None, fault.help))
        except ImpossibleTime as fault:
            return (*self.diagnostics, error("LR312", str(fault), None))

    def without_model(self, fault: ModelError) -> tuple[Diagnostic, ...]:
        """Every finding where the file's own model cannot be had; not twice where its name is at fault."""
        span = None if self.checked.model is None else self.checked.model.spec.span
        if any(d.span == span for d in self.diagnostics):
            return self.diagnostics
        found = error("LR210", fault.message, span, fault.help)
        return tuple(in_order((*self.diagnostics, found), self.checked.sources))

    def _plan(
        self,
        model: nn.Module | Inventory,
        epochs: float | None,
        steps_per_epoch: int | None,
        *,
        lenient: bool,
    ) -> Plan:
        from layerlr_dsl.plan.compiled import Compiled
        from layerlr_dsl.plan.resolve import resolve

        with collector_paused():
            inventory = model if isinstance(model, Inventory) else Inventory.of(model)
            clock = self.clock(epochs, steps_per_epoch)
            if self._compiled is None:
                self._compiled = Compiled(self.checked)
            return resolve(self._compiled, inventory, clock, lenient=lenient, before=self.diagnostics)

    def clock(self, epochs: float | None = None, steps_per_epoch: int | None = None) -> Clock:
        """The clock of a run. Raises ValueError for a length that is not positive."""
        length = self.checked.epochs if epochs is None else _exact(epochs)
        if (length is None and epochs is not None) or (length is not None and length <= 0):
            raise ImpossibleTime(f"epochs is {epochs}: it must be a positive number")
        steps = None if steps_per_epoch is None else _exact(steps_per_epoch)
        if steps_per_epoch is not None and (steps is None or steps.denominator != 1 or steps < 1):
            raise ImpossibleTime(
                f"steps_per_epoch is {steps_per_epoch}: it must be a whole number of 1 or more"
            )
        return Clock(length, None if steps is None else int(steps))


def _exact(number: object) -> Fraction | None:
    """A number as it is written, so that 0.1 is a tenth; None for what is no number."""
    try:
        return Fraction(str(number))
    except (ValueError, ZeroDivisionError):
        return None


def _schedule_findings(checked: CheckedRules) -> list[Diagnostic]:
    """Faults in schedules that show without knowing the run: names and arguments."""
    from layerlr_dsl.plan.factories import factories, make_schedule

    found: list[Diagnostic] = []
    nominal = Clock(Fraction(1000), 1000)
    for factory in factories(checked):
        make_schedule(factory, checked, nominal, found)
    return found
