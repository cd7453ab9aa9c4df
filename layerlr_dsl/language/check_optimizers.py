"""Judging `optimizer` statements: which one is named, and the arguments that it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.signatures import PARAMETER_GROUPS, OptimizerInfo
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_expressions import Names, constant
from layerlr_dsl.language.checked import CheckedOptimizer
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Findings, Fix, warning
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled

DEFAULT_OPTIMIZER = "adamw"


def check_optimizer_statement(
    statement: s.OptimizerStatement | None, lets: Lets, found: Findings
) -> CheckedOptimizer:
    """The file's optimizer; torch's AdamW with its own defaults where the file names none."""
    default = optimizers.known(DEFAULT_OPTIMIZER)
    if statement is None:
        return CheckedOptimizer(default, {}, None)
    info = find_optimizer(statement.factory, found)
    if info is None:
        return CheckedOptimizer(default, {}, statement.span)
    given_once(statement.factory, found)
    settings: dict[str, Value] = {}
    reason = "the optimizer's arguments are the same for every parameter"
    names = Names(lets, reason=reason)
    for argument in statement.factory.arguments:
        expression = argument_value(info, argument, found)
        if expression is None:
            continue
        value = constant(expression, names, found)
        if value is not None and _fits(info, argument.name, value, expression.span, found):
            settings[argument.name] = value
    given = {argument.name for argument in statement.factory.arguments}
    for option in [option for option in optimizers.required(info) if option not in given]:
        help = f"write `{statement.factory.name}({option}=...)`"
        found.error("LR120", f"`{statement.factory.name}` needs `{option}`", statement.factory.span, help)
    clash = optimizers.conflict(info, settings)
    if clash is not None:
        option, why = clash
        span = next((a.span for a in statement.factory.arguments if a.name == option), statement.factory.span)
        found.error("LR120", f"`{option}` {why}", span)
    return CheckedOptimizer(info, settings, statement.span, statement.name)


def find_optimizer(
    factory: s.Factory, found: Findings, further: Collection[str] = ()
) -> OptimizerInfo | None:
    """The table entry of a named optimizer, or a finding with the near miss. further: what else may be meant."""
    info = optimizers.find(factory.name)
    if info is None:
        near = nearest(factory.name, further) or nearest(factory.name.lower(), optimizers.names())
        help = f"did you mean `{near}`?" if near else "any of torch.optim's, such as `adamw`, `sgd`, `muon`"
        fix = Fix(f"replace by `{near}`", (Edit(factory.name_span, near),)) if near else None
        found.error("LR104", f"unknown optimizer `{factory.name}`", factory.name_span, help, fix=fix)
    elif info.refuses == PARAMETER_GROUPS:
        message = f"`{factory.name}` is built from a model, and rules make parameter groups"
        found.error("LR104", message, factory.name_span, "choose another optimizer")
        return None
    return info


def given_once(factory: s.Factory, found: Findings) -> None:
    """LR120 for an argument that is given twice."""
    seen: set[str] = set()
    for argument in factory.arguments:
        if argument.name in seen:
            message = f"`{argument.name}` is given twice"
            found.error("LR120", message, argument.name_span, "keep one of them")
        seen.add(argument.name)


def argument_value(info: OptimizerInfo, argument: s.Argument, found: Findings) -> s.Expression | None:
    """What is written for an argument that the optimizer has; None where it has none or takes no time."""
    if argument.name not in info.options:
        near, fix = near_option(argument.name, argument.name_span, [info])
        known = ", ".join(f"`{n}`" for n in info.options)
        help = f"did you mean `{near}`?" if near else f"{info.name} takes {known}"
        found.error(
            "LR120", f"{info.name} has no argument `{argument.name}`", argument.name_span, help, fix=fix
        )
        return None
    if isinstance(argument.value, (s.Duration, tuple)):
        found.error("LR107", f"`{argument.name}` is a number, not a stretch of time", argument.value_span)
        return None
    return argument.value


def _fits(info: OptimizerInfo, option: str, value: Value, span: Span, found: Findings) -> bool:
    why = optimizers.problem(info, option, value)
    if why is not None:
        found.error("LR107", f"`{option}` {why}, and this is {spelled(value)}", span)
    elif optimizers.implausible(info, option, value):
        found.add(implausible_rate(option, value, span, info.name))
    return why is None


def implausible_rate(option: str, value: Value, span: Span, optimizer: str, whose: str = "") -> Diagnostic:
    """LR129: a rate that is allowed, and that nobody means."""
    message = f"`{option}` is {spelled(value)}{whose}, far above what {optimizer} trains with"
    help = "rates of such optimizers lie well below 1, as in 1e-3: is a minus sign missing in the exponent?"
    return warning("LR129", message, span, help)


def near_option(word: str, span: Span, infos: Iterable[OptimizerInfo]) -> tuple[str | None, Fix | None]:
    """The option that was meant, by alias or by spelling, and the edit that writes it."""
    options = {name for info in infos for name in info.options}
    alias = optimizers.ALIASES.get(word.lower())
    near = alias if alias in options else nearest(word, [*options, "schedule", "optimizer"])
    if near is None:
        return None, None
    return near, Fix(f"replace by `{near}`", (Edit(span, near),), safe=near == alias)
