"""Judging the options that rules give to parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.signatures import OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, attempt, check_expression
from layerlr_dsl.language.check_optimizers import (
    argument_value,
    find_optimizer,
    given_once,
    implausible_rate,
    near_option,
)
from layerlr_dsl.language.checked import CheckedOptimizer, CheckedSetting
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Findings, Fix, Related
from layerlr_dsl.language.diagnostics import info as info_
from layerlr_dsl.language.expressions import Scope, Value
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.questions import is_constant, moves
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.numbers import spelled

_STRUCTURE = ("params", "param_names", "name", "initial_lr", "optimizer", "schedule")
Missing = dict[str, s.Pattern | s.Regex | s.GroupRef]


_ELSEWHERE = {
    **dict.fromkeys(("lr_mult", "lr_scale", "lr_factor", "lr_multiplier"), "write `lr *= VALUE`, a factor on what the rules above give"),
    **dict.fromkeys(
        ("decay_mult", "wd_mult", "weight_decay_mult"), "write `weight_decay *= VALUE`, a factor on what the rules above give"
    ),
    **dict.fromkeys(("requires_grad", "trainable", "train", "frozen_layers"), "freezing is a statement: `freeze SELECTOR`"),
    **dict.fromkeys(("lr_scheduler", "scheduler", "sched"), "write `schedule NAME`"),
    **dict.fromkeys(("min_lr", "warmup", "warmup_steps", "gamma"), "it is an argument of the schedule, as in `schedule cosine(warmup=5%, min_lr=1e-6)`"),
    **dict.fromkeys(("no", "no_decay", "no_weight_decay"), "write `weight_decay 0`"),
    **dict.fromkeys(("epochs", "epoch", "batch_size"), "the length of a run is a statement: `epochs 30`"),
    **dict.fromkeys(("clip", "grad_clip", "max_grad_norm"), "gradients are clipped by the training loop, for all parameters together"),
}  # fmt: skip
"""What other tools set for some parameters under names that no optimizer has, and how it is said here."""


@dataclass(slots=True)
class _Judged:
    """A rule whose settings are being judged."""

    statement: s.RuleStatement
    names: Names
    infos: list[OptimizerInfo]
    """The optimizers that its parameters may train with."""
    checked: list[CheckedSetting] = field(default_factory=list)


class SettingsChecker:
    """Checks the options of rules against every optimizer that the file uses."""

    def __init__(
        self,
        lets: Lets,
        optimizer: CheckedOptimizer,
        further: Mapping[str, CheckedOptimizer],
        clauses: Iterable[s.Clause],
        found: Findings,
    ) -> None:
        self._lets = lets
        self._found = found
        self._file = optimizer.info
        self._numbers = count()
        self._further = further
        self._chosen: set[str] = set()
        """The further optimizers that some rule chooses."""
        named = {optimizer.info.name: optimizer.info, **{x.info.name: x.info for x in further.values()}}
        # An optimizer that is not known may have any option: its own finding is enough.
        self._any_option = any(d.code == "LR104" for d in found)
        for clause in clauses:
            for setting in clause.settings if isinstance(clause, s.RuleStatement) else ():
                if setting.option == "optimizer" and isinstance(setting.value, s.Factory):
                    if setting.value.name in further:
                        continue
                    info = optimizers.find(setting.value.name)
                    if info is None:
                        self._any_option = True
                    else:
                        named[info.name] = info
        self._infos = list(named.values())

    def check(
        self, statement: s.RuleStatement, captures: frozenset[str], missing: Missing
    ) -> tuple[CheckedSetting, ...]:
        """The rule's settings, arguments of its own optimizer laid out as settings before the others."""
        seen: dict[str, s.Setting] = {}
        names = Names(self._lets, captures, True, missing, time=True, model=True)
        rule = _Judged(statement, names, self._infos)
        own = next((x for x in statement.settings if x.option == "optimizer" and not x.quoted), None)
        if own is not None:
            info = self._own_optimizer(own, rule)
            rule.infos = self._infos if info is None else [info]
            self._given_within(own, statement)
        for setting in statement.settings:
            if setting.option in seen:
                help = "keep one of them"
                self._found.error(
                    "LR124", f"`{setting.option}` is given twice in one rule", setting.option_span, help
                )
            elif setting is not own:
                self._setting(setting, rule)
            seen[setting.option] = setting
        return tuple(rule.checked)

    def _given_within(self, own: s.Setting, statement: s.RuleStatement) -> None:
        """An argument of the rule's own optimizer is a setting of the rule, and stands there once."""
        arguments = own.value.arguments if isinstance(own.value, s.Factory) else ()
        named = {argument.name: argument.name_span for argument in arguments}
        for setting in statement.settings:
            other = named.get(setting.option)
            if other is not None:
                first, second = sorted((other, setting.option_span), key=lambda span: span.start)
                message = f"`{setting.option}` is given twice in one rule"
                related = (Related("first given here", first),)
                self._found.error("LR124", message, second, "keep one of them", related)

    def _own_optimizer(self, setting: s.Setting, rule: _Judged) -> OptimizerInfo | None:
        if not self._takes_factory(setting, rule.statement, "`-> optimizer muon(lr=0.02)`"):
            return None
        assert isinstance(setting.value, s.Factory)
        if setting.value.name in self._further:
            return self._further_optimizer(setting, setting.value, rule)
        info = find_optimizer(setting.value, self._found, self._further)
        if info is None:
            return None
        given_once(setting.value, self._found)
        rule.checked.append(
            CheckedSetting(
                setting.span, "optimizer", False, None, info.name, next(self._numbers), setting.value
            )
        )
        rule.infos = [info]
        for argument in setting.value.arguments:
            expression = argument_value(info, argument, self._found)
            if expression is not None:
                self._value(argument.span, argument.name, False, expression, rule)
        return info

    def _further_optimizer(self, setting: s.Setting, factory: s.Factory, rule: _Judged) -> OptimizerInfo:
        """`-> optimizer critic`, one that an `optimizer critic = ...` makes."""
        name = factory.name
        self._chosen.add(name)
        if factory.arguments:
            message = f"the arguments of `{name}` stand where it is made"
            help = f"write `-> optimizer {name}`, and options of these parameters behind it"
            self._found.error("LR120", message, factory.arguments[0].span, help)
        rule.checked.append(
            CheckedSetting(setting.span, "optimizer", False, None, name, next(self._numbers), factory)
        )
        return self._further[name].info

    def unused(self, found: Findings) -> None:
        """Warn of an optimizer that is made and that no rule chooses."""
        for name, made in self._further.items():
            if name not in self._chosen and made.span is not None:
                message = f"no rule chooses the optimizer `{name}`"
                help = f"write `SELECTOR -> optimizer {name}`, or remove it"
                found.warning("LR214", message, made.span, help)

    def _takes_factory(self, setting: s.Setting, statement: s.RuleStatement, example: str) -> bool:
        if setting.multiply or not isinstance(setting.value, s.Factory | s.ScheduleSequence):
            self._found.error(
                "LR107",
                f"`{setting.option}` takes a name and its arguments",
                setting.span,
                f"write {example}",
            )
            return False
        if statement.window is not None:
            self._window_refused(setting.option, "it holds for the whole run", statement.window)
            return False
        return True

    def _window_refused(self, option: str, why: str, window: s.Window) -> None:
        message = f"`{option}` cannot have a time window: {why}"
        self._found.error("LR117", message, window.span, "give it in a rule without `from` or `until`")

    def _setting(self, setting: s.Setting, rule: _Judged) -> None:
        option, statement, infos = setting.option, rule.statement, rule.infos
        if setting.quoted:
            self._handed_on(setting, rule)
        elif option == "frozen":
            window = "" if statement.window is None else f" {statement.window.span.text}"
            help = f"write `freeze {statement.selector.span.text}{window}`"
            self._found.error("LR118", "`frozen` is no option of a rule", setting.span, help)
        elif option == "schedule":
            if self._takes_factory(setting, statement, "`-> schedule constant`"):
                assert isinstance(setting.value, s.ScheduleSequence)
                rule.checked.append(
                    CheckedSetting(
                        setting.span,
                        "schedule",
                        False,
                        None,
                        None,
                        next(self._numbers),
                        sequence=setting.value,
                    )
                )
        elif self._known(setting.option, setting.option_span, infos):
            if isinstance(setting.value, s.Factory | s.ScheduleSequence) or setting.value is None:
                self._found.error(
                    "LR107", f"`{option}` needs a value", setting.span, f"write `{option} 1e-3`"
                )
                return
            if statement.window is not None:
                reasons = [optimizers.windowed(info, option) for info in infos if option in info.options]
                if reasons and all(reasons):
                    self._window_refused(option, reasons[0] or "", statement.window)
            having = [info for info in infos if option in info.options]
            if setting.multiply and all(info.options[option].kind != "number" for info in having):
                message = f"`{option}` is no number, so it cannot be multiplied"
                self._found.error("LR107", message, setting.span, f"set it: `{option} ...`")
                return
            self._value(setting.span, option, setting.multiply, setting.value, rule)

    def _handed_on(self, setting: s.Setting, rule: _Judged) -> None:
        """`-> "rank" 128`: for optimizers that read keys of a group which their signature lacks."""
        option, span, value = setting.option, setting.option_span, setting.value
        if any(option in info.options for info in rule.infos) or option in _STRUCTURE:
            known = option not in _STRUCTURE
            message = (
                f"`{option}` is {'an option of the optimizer' if known else 'no option: every group has it'}"
            )
            help = f"write it bare: `{option} ...`" if known else "give another name"
            fix = Fix(f"replace by `{option}`", (Edit(span, option),)) if known else None
            self._found.error("LR127", message, span, help, fix=fix)
            return
        if setting.multiply:
            self._found.error("LR127", f'"{option}" is handed on as it is', setting.span, "set it")
            return
        window = rule.statement.window
        if window is not None:
            self._window_refused(option, "it is handed on as it is", window)
            return
        if not isinstance(value, s.Factory | s.ScheduleSequence | None):
            fixed = replace(rule.names, time=False)
            part = self._found.part()
            check_expression(value, fixed, self._found)
            if part.clean:
                worth = None
                if is_constant(value, self._lets):
                    worth = attempt(value, Scope(self._lets), self._found)
                rule.checked.append(
                    CheckedSetting(
                        setting.span, option, False, value, worth, next(self._numbers), quoted=True
                    )
                )
                note = f'"{option}" is handed to the optimizer unchecked'
                self._found.info("LR128", note, span)

    def expected(self, statement: s.ExpectOption) -> None:
        """An `expect` may ask for what some optimizer of the file has."""
        if not any(statement.option in info.options for info in self._infos):
            self._known(statement.option, statement.option_span, self._infos)

    def _known(self, option: str, span: Span, infos: list[OptimizerInfo]) -> bool:
        having = [info for info in infos if option in info.options]
        if having and any(info.options[option].group for info in having):
            return True
        shown = " and ".join(info.name for info in infos)
        if having:
            message = f"`{option}` of {shown} holds for the whole optimizer, not for some parameters"
            help = f"give it in `optimizer {infos[0].name}({option}=...)`"
            self._found.error("LR103", message, span, help)
            return False
        if self._any_option:
            return False
        near, fix = near_option(option, span, infos)
        listed = ", ".join(f"`{name}`" for name, o in infos[0].options.items() if o.group and o.algorithmic)
        help = f"did you mean `{near}`?" if near else f"{infos[0].name} has {listed}"
        if option in _ELSEWHERE:
            help, fix = _ELSEWHERE[option], None
        message = f"{shown} has no option `{option}`"
        self._found.error("LR103", message, span, help, fix=fix)
        return False

    def _value(
        self, span: Span, option: str, multiply: bool, expression: s.Expression, rule: _Judged
    ) -> None:
        part = self._found.part()
        check_expression(expression, rule.names, self._found)
        if not part.clean:
            return
        if self._lets.rests_on_a_fault(expression):
            return  # what is wrong is said where it is
        moving = moves(expression, self._lets, rule.names.captures)
        if moving and not self._may_move(option, expression, rule.infos):
            return
        worth = None
        if is_constant(expression, self._lets):
            worth = attempt(expression, Scope(self._lets), self._found)
            if worth is None:
                return
            if multiply:
                self._factor(option, worth, expression)
            else:
                self._domain(option, worth, expression, rule.infos)
        rule.checked.append(
            CheckedSetting(span, option, multiply, expression, worth, next(self._numbers), moving=moving)
        )

    def _may_move(self, option: str, expression: s.Expression, infos: list[OptimizerInfo]) -> bool:
        having = [info for info in infos if option in info.options]
        reasons = [optimizers.windowed(info, option) for info in having]
        if not reasons or not all(reasons):
            return True
        message = f"`{option}` cannot move: {reasons[0]}"
        self._found.error("LR117", message, expression.span, "give it a value that stays as it is")
        return False

    def _factor(self, option: str, value: Value, expression: s.Expression) -> None:
        why = factor_problem(option, value)
        if why is not None:
            self._found.error("LR107", why, expression.span)
        elif option == "lr" and value == 0:
            self._found.add(no_freeze(expression.span))

    def _domain(
        self, option: str, value: Value, expression: s.Expression, infos: list[OptimizerInfo]
    ) -> None:
        having = [info for info in infos if option in info.options]
        problems = [optimizers.problem(info, option, value) for info in having]
        if problems and all(problems):
            message = f"`{option}` {problems[0]}, and this is {spelled(value)}"
            self._found.error("LR107", message, expression.span)
        elif having and all(optimizers.implausible(info, option, value) for info in having):
            self._found.add(implausible_rate(option, value, expression.span, having[0].name))
        elif option == "lr" and value == 0:
            self._found.add(no_freeze(expression.span))


def no_freeze(span: Span) -> Diagnostic:
    """LR130: a rate of 0 saves nothing."""
    message = "a rate of 0 is no freeze: gradients, optimizer state and norm statistics go on all the same"
    return info_("LR130", message, span, "write `freeze SELECTOR` where nothing is to train")


def factor_problem(option: str, value: Value) -> str | None:
    """Why `OPTION *= value` cannot be; None if it can."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"`{option} *=` takes a number, and this is {spelled(value)}"
    if option == "lr" and value < 0:
        return f"`lr *=` takes a factor of 0 or more, and this is {spelled(value)}"
    return None
