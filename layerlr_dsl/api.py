"""What users call: load or parse a rule file, check it, resolve it against a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from layerlr_dsl.language.checked import CheckedRules
from layerlr_dsl.language.checker import check, in_order
from layerlr_dsl.language.diagnostics import Diagnostic, RuleError, error, has_errors
from layerlr_dsl.language.expressions import evaluate
from layerlr_dsl.language.files import RECIPE, read_source, recipe_path
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.language.syntax import Duration
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.live import as_module
from layerlr_dsl.plan import plan
from layerlr_dsl.plan.clock import Clock, ImpossibleTime, Length, Steps, UnknownTime, steps_in_an_epoch
from layerlr_dsl.plan.explain import Explanation as PlainExplanation
from layerlr_dsl.tools.collector import collector_paused
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from layerlr_dsl.model.part import Held
    from layerlr_dsl.training.schedule import LayerSchedule


def load(
    path: str | PathLike[str],
    root: str | PathLike[str] | None = None,
    lets: Mapping[str, object] | None = None,
) -> Rules:
    """Read a rule file and check it.

    path: of a file, or `recipe:NAME` for one that comes with layerlr.
    root: the folder that includes must stay in; the file's own folder if not given.
    lets: constants that take the place of the file's `let`s, computed ones and those of includes too.
    Raises RuleError (with every finding in `.diagnostics`) where the file has an error, and
    OSError where it cannot be read as UTF-8 text.
    """
    return _strict(read(Path(path), Path(root) if root is not None else None, lets))


def parse(
    text: str,
    filename: str = "<string>",
    root: str | PathLike[str] | None = None,
    lets: Mapping[str, object] | None = None,
) -> Rules:
    """Check a rule text. Raises RuleError where it has an error."""
    return _strict(Rules(check(Source(filename, text), Path(root) if root is not None else None, lets)))


def read(path: Path, root: Path | None = None, lets: Mapping[str, object] | None = None) -> Rules:
    """As `load`, but errors of the language are left in `diagnostics`, for tools that show them all."""
    name = str(path)
    if name.startswith(RECIPE):
        recipe = recipe_path(name.removeprefix(RECIPE))
        return Rules(check(read_source(recipe, name), root, lets))
    return Rules(check(read_source(path), root, lets))


def _strict(rules: Rules) -> Rules:
    if has_errors(rules.diagnostics):
        raise RuleError(rules.diagnostics)
    return rules


class PrintedFindings(tuple[Diagnostic, ...]):
    """Findings in the order of the file: printed with their lines and carets, and shown so by notebooks."""

    __slots__ = ()

    def __str__(self) -> str:
        from layerlr_dsl.render.text import render_all
        from layerlr_dsl.tools.screen import Screen

        return render_all(self, Screen()) or "no findings"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from layerlr_dsl.render.html import of_findings

        return of_findings(self)


def _dressed(fault: RuleError) -> str:
    """What decides a fault, with lines and carets."""
    from layerlr_dsl.render.text import render_all
    from layerlr_dsl.tools.screen import Screen

    return render_all(fault.decisive, Screen())


def _underlined(span: Span) -> list[str]:
    from layerlr_dsl.render.text import underlined
    from layerlr_dsl.tools.screen import Screen

    return underlined(span, Screen())


RuleError.dressing = _dressed
RuleError.underlining = _underlined


class Explanation(PlainExplanation):
    """Everything that the file says of one parameter at one time; printed as `layerlr explain` prints it."""

    __slots__ = ()

    def __str__(self) -> str:
        from layerlr_dsl.render.explain import Explained, render
        from layerlr_dsl.tools.screen import Screen

        told = Explained((self.parameter,), {}, self.numel, self)
        return "\n".join(render([told], f"epoch {spelled(self.epoch, 6)}", Screen()))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from layerlr_dsl.render.html import pre

        return pre(str(self))


class Plan(plan.Plan):
    """What every parameter does at every time of a run, and the way from there to a live model.

    Made by `Rules.resolve`. `print(plan)` gives the table of `layerlr plan`; a notebook shows its network.

    `param_groups`, `optimizer` and `schedule` take the whole model, or the part of it that
    this process holds: a module (or a list of them) whose names are some of the plan's, or a mapping from names of the
    plan to parameters and modules. What a part lacks is an error where the rules were resolved on the live model and
    one process trains, unless it is a mapping; where several train, what none of them holds is one.
    """

    def __repr__(self) -> str:
        size = f"{plural(len(self.inventory), 'tensor')} in {plural(len(self.groups), 'group')}"
        return f"<Plan for {self.inventory.source}: {size}>"

    def __str__(self) -> str:
        from layerlr_dsl.render.plan import render
        from layerlr_dsl.tools.screen import Screen

        return "\n".join(render(self, self.inventory.source, Screen()))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from layerlr_dsl.render.html import of_plan

        return of_plan(self)

    def plot(self, title: str | None = None, *, option: str | None = None, network: bool = False) -> Figure:
        """The rates of all groups over time, and when they are frozen, as a figure of matplotlib.

        option: another option to draw, such as `weight_decay`. network: draw the blocks of the network instead,
        each with its course.
        Raises ImportError without matplotlib (the extra `plot`), and ValueError where the plan does not know
        how long the run is, and for an option that no group has.
        """
        from layerlr_dsl.plots import chart, figure

        drawn = chart.of_plan(self, self.inventory.source if title is None else title, {}, option, network)
        try:
            return figure.shown_by_itself(figure.made(drawn))
        except ImportError as missing:
            raise ImportError(f"plot() needs matplotlib: {install('plot')}") from missing

    def explain(self, name: str, epoch: float | Fraction = 0) -> Explanation:
        """Every rule that matches a parameter, option by option. Raises KeyError for an unknown name."""
        from layerlr_dsl.plan.explain import explain

        told = explain(self, name, self.tick(epoch=epoch))
        return Explanation(*(getattr(told, field.name) for field in fields(told)))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data, in the published schema."""
        from layerlr_dsl.plan.export import plan_json

        return plan_json(self)

    def param_groups(self, model: Held) -> list[dict[str, Any]]:
        """Ordinary torch parameter groups over the live parameters of `model`.

        Raises ValueError where the file asks for several optimizers (use `optimizer`), and ModelMismatch where the
        model is not the one that was resolved, and no part of it.
        """
        from layerlr_dsl.model.part import as_held
        from layerlr_dsl.training.groups import param_groups

        return param_groups(self, as_held(model))

    def optimizer(self, model: Held) -> torch.optim.Optimizer:
        """The optimizer that the file asks for, several as one where rules choose their own."""
        from layerlr_dsl.model.part import as_held
        from layerlr_dsl.training.groups import build_optimizer

        return build_optimizer(self, as_held(model))

    def schedule(
        self,
        model: Held,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        last_epoch: int = -1,
    ) -> LayerSchedule:
        """A learning-rate scheduler that sets each group's rate, freezes and thaws.

        It drives several optimizers where a loop keeps several, each stepped at its own cadence.
        last_epoch: as torch's schedulers have it, the last step that was taken before this one is made.
        """
        from layerlr_dsl.model.part import as_held
        from layerlr_dsl.training.schedule import LayerSchedule

        return LayerSchedule(self, as_held(model), optimizer, last_epoch)


class Rules:
    """A checked rule file, ready to be resolved against a model."""

    def __init__(self, checked: CheckedRules) -> None:
        self.checked = checked
        from layerlr_dsl.plan.timeless import timeless

        found = (*checked.diagnostics, *timeless(checked))
        self.diagnostics: tuple[Diagnostic, ...] = PrintedFindings(in_order(found, checked.sources))

    def __repr__(self) -> str:
        return f"<Rules {self.checked.source.name}: {len(self.checked.clauses)} statements>"

    def _repr_html_(self) -> str:
        from layerlr_dsl.render.html import of_rules

        return of_rules(self.checked.source.text, self.diagnostics)

    @property
    def model(self) -> str | None:
        """The model that the file names, if it names one."""
        return None if self.checked.model is None else self.checked.model.spec.value

    @property
    def epochs(self) -> float | None:
        """The length of the run that the file names, if it names one."""
        return None if self.checked.epochs is None else float(self.checked.epochs)

    @property
    def steps(self) -> int | None:
        """The length of the run in optimizer steps that the file names, if it names one."""
        return self.checked.steps

    @property
    def steps_per_epoch(self) -> Steps | None:
        """The optimizer steps in an epoch that the file names, if it names them."""
        return self.checked.steps_per_epoch

    def resolve(
        self,
        model: nn.Module | Inventory | Mapping[str, nn.Module],
        epochs: float | None = None,
        steps_per_epoch: float | Fraction | None = None,
        steps: int | None = None,
    ) -> Plan:
        """What every parameter does at every time.

        model: a module, wrapped (DDP, FSDP2, torch.compile, ...) or not, or an Inventory.
            Several modules under one plan come as a mapping: names begin with the key.
        epochs, steps: the length of the run, in epochs or in optimizer steps; the file's own if neither is
            given. Not both.
        steps_per_epoch: optimizer steps in an epoch; the file's own if not given. Without it, and without
            `steps`, the schedule is stepped once an epoch. 25 / 4 where 4 batches make a step, and those of 25
            that are left over count for the first step of the next epoch.
        Raises RuleError where any finding is an error, ValueError for impossible numbers.
        """
        plan = self._plan(model, epochs, steps_per_epoch, steps, lenient=False)
        if has_errors(plan.diagnostics):
            raise RuleError(plan.diagnostics)
        return plan

    def check(
        self,
        model: nn.Module | Inventory | Mapping[str, nn.Module] | None = None,
        epochs: float | None = None,
        steps_per_epoch: float | Fraction | None = None,
        steps: int | None = None,
    ) -> PrintedFindings:
        """Every finding, worst or not; nothing is raised.

        Without a model, those of the language alone. A model or a length that cannot be is a finding too.
        """
        if model is None:
            return PrintedFindings(self.diagnostics)
        try:
            return PrintedFindings(
                self._plan(model, epochs, steps_per_epoch, steps, lenient=True).diagnostics
            )
        except ModelError as fault:
            return PrintedFindings((*self.diagnostics, error("LR210", str(fault), None, fault.help)))
        except ImpossibleTime as fault:
            return PrintedFindings((*self.diagnostics, error("LR312", str(fault), None)))

    def without_model(self, fault: ModelError) -> tuple[Diagnostic, ...]:
        """Every finding where the file's own model cannot be had; not twice where its name is at fault."""
        span = None if self.checked.model is None else self.checked.model.spec.span
        if any(d.span == span for d in self.diagnostics):
            return self.diagnostics
        found = error("LR210", fault.message, span, fault.help)
        return tuple(in_order((*self.diagnostics, found), self.checked.sources))

    def _plan(
        self,
        model: nn.Module | Inventory | Mapping[str, nn.Module],
        epochs: float | None,
        steps_per_epoch: float | Fraction | None,
        steps: int | None,
        *,
        lenient: bool,
    ) -> Plan:
        from layerlr_dsl.plan.resolve import resolve

        with collector_paused():
            inventory = model if isinstance(model, Inventory) else Inventory.of(as_module(model), live=True)
            clock = self.clock(epochs, steps_per_epoch, steps)
            return resolve(
                self.checked, inventory, clock, lenient=lenient, before=self.diagnostics, kind=Plan
            )

    def clock(
        self,
        epochs: float | None = None,
        steps_per_epoch: float | Fraction | None = None,
        steps: int | None = None,
    ) -> Clock:
        """The clock of a run. Raises ValueError for a length that is not positive."""
        if epochs is not None and steps is not None:
            raise ImpossibleTime("epochs and steps both give the length of the run: give one of them")
        own = self.checked.steps_per_epoch
        per_epoch = own if steps_per_epoch is None else steps_in_an_epoch(steps_per_epoch)
        if steps is not None:
            return Clock(None, per_epoch, _whole("steps", steps))
        if epochs is not None:
            length = _exact(epochs)
            if length is None or length <= 0:
                raise ImpossibleTime(f"epochs is {epochs}: it must be a positive number")
            return Clock(length, per_epoch)
        if self.checked.steps is not None:
            return Clock(None, per_epoch, self.checked.steps)
        if self.checked.epochs is not None:
            return Clock(self.checked.epochs, per_epoch)
        return self._sum_of_stages(per_epoch)

    def _sum_of_stages(self, per_epoch: Steps | None) -> Clock:
        """Without a length anywhere, a run is as long as its stages, where all of them say how long they are."""
        clock = Clock(None, per_epoch)
        total = Fraction(0)
        in_steps = bool(self.checked.stages)
        for stage in self.checked.stages:
            if stage.length is None or stage.length.unit == "percent":
                return clock
            in_steps = in_steps and stage.length.unit == "steps"
        if in_steps and per_epoch is None:
            return Clock(
                None, None, sum(int(self._number(x.length)) for x in self.checked.stages if x.length)
            )
        for stage in self.checked.stages:
            assert stage.length is not None
            try:
                total += clock.exact(Length(self._number(stage.length), stage.length.unit))
            except UnknownTime:
                return clock
        return Clock(total / clock.ticks_per_epoch, per_epoch) if total else clock

    def _number(self, duration: Duration) -> Fraction:
        return Fraction(evaluate(duration.value, self.checked.exact_scope))


@dataclass(frozen=True)
class Configured:
    """Rules as a configuration gives them: `Configured("my.lr", epochs=3)(model, loader)`.

    Reads and checks the rules at once. Raises RuleError where they have an error, and OSError where the file
    cannot be read. Takes the place of Rules wherever an integration resolves them, which then knows the length of
    the run better.

    Args:
        rules: a file, `recipe:NAME`, or the rules themselves.
        lets: constants that take the place of the rules' own.
        epochs: the length of the run in epochs, where no trainer gives it; the rules' own if neither.
        steps: the length of the run in optimizer steps, in place of epochs.
        steps_per_epoch: optimizer steps in an epoch, where no loader or trainer gives them.
    """

    rules: str | PathLike[str]
    lets: dict[str, Any] | None = None
    epochs: float | None = None
    steps: int | None = None
    steps_per_epoch: float | Fraction | None = None
    _read: Rules = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", rules_of(self.rules, self.lets))
        self._read.clock(self.epochs, self.steps_per_epoch, self.steps)

    def __call__(
        self, model: nn.Module, batches: Any = None, *, accumulate: int = 1
    ) -> tuple[torch.optim.Optimizer, LayerSchedule]:
        """The optimizer and the schedule of a model.

        batches: what an epoch runs over; its length, where it has one, gives the optimizer steps of an epoch.
        accumulate: batches whose gradients make one optimizer step.
        Raises RuleError where any finding is an error.
        """
        plan = self.resolve(model, steps_per_epoch=_steps_of(batches, accumulate))
        optimizer = plan.optimizer(model)
        return optimizer, plan.schedule(model, optimizer)

    def resolve(
        self,
        model: nn.Module,
        epochs: float | None = None,
        steps_per_epoch: float | Fraction | None = None,
        steps: int | None = None,
    ) -> Plan:
        """As `Rules.resolve`; what is not given here is as configured."""
        if epochs is None and steps is None:
            epochs, steps = self.epochs, self.steps
        per_epoch = self.steps_per_epoch if steps_per_epoch is None else steps_per_epoch
        return self._read.resolve(model, epochs=epochs, steps_per_epoch=per_epoch, steps=steps)


configured = Configured
"""As configurations spell what is called."""


def rules_of(rules: str | PathLike[str], lets: Mapping[str, object] | None = None) -> Rules:
    """Rules from what names them: a file, `recipe:NAME`, or their text, which has an arrow or several lines.

    Raises TypeError for what is none of these, and what `load` and `parse` do.
    """
    if not isinstance(rules, (str, PathLike)):
        raise TypeError(f"rules must be a file, recipe:NAME or text, and these are {rules!r}")
    if not isinstance(lets, (Mapping, NoneType)):
        raise TypeError(f"lets must be a mapping from names to values, and these are {lets!r}")
    text, given = str(fspath(rules)), None if lets is None else {name: _plain(lets[name]) for name in lets}
    return parse(text, lets=given) if "->" in text or "\n" in text else load(text, lets=given)


def _plain(value: object) -> object:
    """A list for what a configuration's own kind of list holds (OmegaConf's is none of Python's)."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _steps_of(batches: Any, accumulate: int = 1) -> int | None:
    """Optimizer steps that an epoch over these batches takes; None where they have no length."""
    try:
        return max(1, math.ceil(len(batches) / accumulate))
    except (TypeError, NotImplementedError):  # a DataLoader over a stream has a `__len__` that raises
        return None


def _whole(name: str, number: object) -> int | None:
    if number is None:
        return None
    exact = _exact(number)
    if exact is None or exact.denominator != 1 or exact < 1:
        raise ImpossibleTime(f"{name} is {number}: it must be a whole number of 1 or more")
    return int(exact)


def _exact(number: object) -> Fraction | None:
    """A number as it is written, so that 0.1 is a tenth; None for what is no number."""
    try:
        return Fraction(str(number))
    except (ValueError, ZeroDivisionError):
        return None
