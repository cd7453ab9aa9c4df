"""What a schedule's arguments may be, and reading them as plain numbers and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from math import isfinite
from typing import cast

from layerlr_dsl.catalogue.schedules import SCHEDULES, ArgumentInfo
from layerlr_dsl.plan.clock import Length, Unit
from layerlr_dsl.plan.schedules import easing
from layerlr_dsl.plan.schedules.easing import Easing
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import respelled, spelled


class ScheduleFault(Exception):
    """A schedule that cannot be made: which argument is at fault (None: the name itself), and why."""

    def __init__(self, argument: str | None, message: str, help: str | None = None) -> None:
        self.argument = argument
        self.message = message
        self.help = help
        super().__init__(message)


_LONGEST = 10**12
"""Of a length, in any unit: what lies beyond is no number of steps that could be counted exactly as a float."""


def read(name: str, infos: Mapping[str, ArgumentInfo], given: Mapping[str, object]) -> dict[str, object]:
    """The value of every argument of schedule `name`, defaults filled in.

    Numbers and fractions come out as int or float, lengths as Length, None where there is no
    default. Raises ScheduleFault.
    """
    for argument in given:
        if argument not in infos:
            help = _elsewhere(argument, infos, given[argument]) or _near(argument, infos)
            raise ScheduleFault(argument, f"{name} has no argument `{argument}`", help)
    values: dict[str, object] = {}
    for argument, info in infos.items():
        if argument in given:
            values[argument] = _value(name, argument, info, given[argument])
        elif info.required:
            raise ScheduleFault(None, f"{name} needs {argument}", f"write {name}({argument}={_sample(info)})")
        else:
            values[argument] = _default(info)
    return values


def written(name: str, infos: Mapping[str, ArgumentInfo], given: Mapping[str, object]) -> str:
    """The canonical text: arguments in their declared order, those at their default left out."""
    parts = [
        f"{argument}={_text(given[argument])}"
        for argument, info in infos.items()
        if argument in given and given[argument] != _default(info)
    ]
    return f"{name}({', '.join(parts)})" if parts else name


@cache
def _default(info: ArgumentInfo) -> object:
    """The default of an argument as a value."""
    written = info.default
    if not isinstance(written, str):
        return written
    if info.kind == "shape":
        return Easing(written)
    if info.kind == "length":
        number, _, unit = written.replace("%", " percent").partition(" ")
        return Length(Fraction(number), cast(Unit, unit))
    return written


_LENGTH = "a schedule takes what there is of the run: give its length with `epochs` or `steps`"
_ELSEWHERE = {
    "eta_min": "write min_lr={}",
    "min_lr_rate": "write floor={}",
    "min_lr_ratio": "write floor={}",
    "warmup_epochs": "write warmup={} epochs",
    "num_warmup_epochs": "write warmup={} epochs",
    "warmup_steps": "write warmup={} steps",
    "num_warmup_steps": "write warmup={} steps",
    "warmup_iters": "write warmup={} steps",
    "warmup_ratio": "write warmup as a share of the run, such as warmup=5%",
    "warmup_lr_init": "write warmup_lr={}",
    "warmup_factor": "write warmup_start_factor={}",
    "pct_start": "write warmup as a share of the run, such as warmup=30%",
    "step_size": "write every={} epochs",
    "decay_epochs": "write every={} epochs",
    "milestones": "write at=(30 epochs, 60 epochs)",
    "decay_rate": "write gamma={}",
    "max_lr": "the peak is the rate that the rules give",
    "base_lr": "the peak is the rate that the rules give",
    **dict.fromkeys(("T_max", "total_steps", "num_training_steps", "t_initial", "total_iters", "max_epochs"), _LENGTH),
    **dict.fromkeys(("by_epoch", "convert_to_iter_based", "sched_on_updates"), "write interval=epoch to hold it for an epoch"),
}  # fmt: skip
"""Arguments of torch, transformers, timm and mmengine, and what is written here."""
_WRITTEN_AS = re.compile(r"write (\w+)=")


def _elsewhere(argument: str, infos: Mapping[str, ArgumentInfo], value: object) -> str | None:
    """What an argument of other schedulers is here, where this schedule has it."""
    help = _ELSEWHERE.get(argument)
    if help is None:
        return None
    here = _WRITTEN_AS.match(help)
    return None if here is not None and here[1] not in infos else help.format(_plainly(value))


def _plainly(value: object) -> str:
    return spelled(value) if isinstance(value, (int, float, Fraction)) else "..."


def _near(argument: str, infos: Mapping[str, ArgumentInfo]) -> str:
    others = [name for name, signature in SCHEDULES.items() if argument in signature.arguments]
    takes = f"it takes {', '.join(infos)}"
    if others:
        return f"{takes}; {argument} is of {', '.join(others)}"
    meant = nearest(argument, infos)
    return f"did you mean {meant}?" if meant else takes


def _sample(info: ArgumentInfo) -> str:
    samples = {
        "length": "30 epochs",
        "lengths": "(30 epochs, 60 epochs)",
        "metric": '"val_loss"',
        "number": "0.1",
    }
    return samples.get(info.kind, "0.1")


def _value(name: str, argument: str, info: ArgumentInfo, value: object) -> object:
    if info.kind == "length":
        return _length(argument, info, value)
    if info.kind == "lengths":
        return _lengths(argument, info, value)
    if info.kind == "metric":
        if isinstance(value, str) and value:
            return value
        raise ScheduleFault(
            argument, f"{argument} must be the name of a metric", f'write {argument}="val_loss"'
        )
    if info.kind == "word":
        return _word(argument, info, value)
    if info.kind == "flag":
        if isinstance(value, bool):
            return value
        raise ScheduleFault(argument, f"{argument} must be true or false")
    if info.kind == "shape":
        return _shape(argument, value)
    return _number(argument, info, value)


def _length(argument: str, info: ArgumentInfo, value: object) -> Length:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ScheduleFault(argument, f"{argument} needs a unit", f"write {_with_unit(argument, value)}")
    if not isinstance(value, Length):
        raise ScheduleFault(argument, f"{argument} must be a stretch of time", f"write {argument}=2 epochs")
    if value.value < 0 or (info.positive and value.value == 0):
        raise ScheduleFault(argument, f"{argument} must be {'> 0' if info.positive else '>= 0'}")
    if value.value > _LONGEST:
        raise ScheduleFault(argument, f"{argument} is longer than any run", "is a zero too many in it?")
    return value


def _with_unit(argument: str, value: float) -> str:
    """`warmup=500 steps`: a number by itself with the units that it can have, the likeliest first."""
    if 0 < value < 1:
        return f"{argument}={spelled(value * 100)}%, a share of the run"
    number = spelled(value)
    units = ("epochs", "steps") if value < 100 else ("steps", "epochs")
    forms = [f"{argument}={number} {unit}" for unit in units]
    return " or ".join(forms) if value > 50 else f"{', '.join(forms)} or {argument}={number}%"


def _lengths(argument: str, info: ArgumentInfo, value: object) -> tuple[Length, ...]:
    items = value if isinstance(value, (tuple, list)) else (value,)
    if not items:
        raise ScheduleFault(argument, f"{argument} is empty", f"write {argument}=(30 epochs, 60 epochs)")
    return tuple(_length(argument, info, item) for item in items)


def _word(argument: str, info: ArgumentInfo, value: object) -> str:
    if isinstance(value, str) and value in info.choices:
        return value
    choices = " or ".join(f'"{choice}"' for choice in info.choices)
    meant = nearest(value, info.choices) if isinstance(value, str) else None
    raise ScheduleFault(
        argument, f"{argument} must be {choices}", f'did you mean "{meant}"?' if meant else None
    )


def _shape(argument: str, value: object) -> Easing:
    if isinstance(value, Easing):
        return value
    known = ", ".join("power(2)" if name == "power" else name for name in easing.NAMES)
    if isinstance(value, str) and value in easing.NAMES and value != "power":
        return Easing(value)
    near = nearest(value, easing.NAMES) if isinstance(value, str) else None
    raise ScheduleFault(
        argument, f"{argument} must be one of {known}", f"did you mean {near}?" if near else None
    )


def _number(argument: str, info: ArgumentInfo, value: object) -> int | float:
    if isinstance(value, Length):
        value = _plain(argument, info, value)
    if isinstance(value, Fraction):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScheduleFault(argument, f"{argument} must be a number")
    if not isfinite(value) or value not in info.domain or (info.whole and value != int(value)):
        word = "a whole number " if info.whole else ""
        raise ScheduleFault(argument, f"{argument} must be {word}{info.domain}")
    return int(value) if info.whole else value


def _plain(argument: str, info: ArgumentInfo, value: Length) -> Fraction:
    """A percentage where a fraction is wanted; epochs where reports are counted, one an epoch."""
    if info.kind == "fraction" and value.unit == "percent":
        return value.value / 100
    if info.whole and value.unit == "epochs":
        return value.value
    raise ScheduleFault(
        argument, f"{argument} is a number and takes no unit", f"write {argument}={spelled(value.value)}"
    )


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_text(item) for item in value)})"
    if isinstance(value, Easing):
        return value.text()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float):
        sign = "-" if value < 0 else ""
        return sign + respelled(repr(abs(value))).removesuffix(".0")
    return str(value)
