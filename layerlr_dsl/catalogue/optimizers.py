"""What is known of optimizers without importing torch: their options, defaults and domains.

The table beside this module covers torch.optim and our own optimizers; it is written by
`python -m layerlr_dsl.optim.table` from the real signatures. Optimizers of other packages are looked
up only when the table has no such name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from math import isfinite
from pathlib import Path

from layerlr_dsl.catalogue import other_packages
from layerlr_dsl.catalogue.signatures import MISSING, Interval, OptimizerInfo, OptionInfo, key

__all__ = [
    "ALIASES",
    "MISSING",
    "OptimizerInfo",
    "OptionInfo",
    "conflict",
    "find",
    "find_unimported",
    "implausible",
    "known",
    "names",
    "problem",
    "refused",
    "required",
    "windowed",
    "windowed_names",
]

TABLE = Path(__file__).with_name("optimizers.json")
WINDOWED = ("lr", "weight_decay", "betas", "momentum", "eps")
"""Options that may change in mid-run, by a window or as a value that moves."""
SEVERAL_GROUPS = "several parameter groups"

ALIASES: Mapping[str, str] = {
    "learning_rate": "lr",
    "rate": "lr",
    "step_size": "lr",
    "wd": "weight_decay",
    "decay": "weight_decay",
    "weightdecay": "weight_decay",
    "l2": "weight_decay",
    "beta": "betas",
    "beta1": "betas",
    "beta2": "betas",
    "epsilon": "eps",
    "mu": "momentum",
    "trust_coeff": "trust_coefficient",
    "trust_ratio": "trust_coefficient",
}


def find(name: str) -> OptimizerInfo | None:
    """The optimizer called `name`, or None. `AdamW`, `adamw`, `layer_adaptive` and `LayerAdaptive` all work."""
    return _table().get(key(name)) or other_packages.find(key(name))


def find_unimported(name: str) -> OptimizerInfo | None:
    """As `find`, but None also where only importing its package would tell of it."""
    return _table().get(key(name)) or other_packages.read(key(name))


def known(name: str) -> OptimizerInfo:
    """The table's own entry. Raises KeyError for any other name."""
    return _table()[key(name)]


def names() -> tuple[str, ...]:
    """Every name that `find` knows, the table's first, without importing any optimizer."""
    tabled = [info.name for info in _table().values()]
    return tuple(dict.fromkeys([*tabled, *other_packages.names()]))


def problem(info: OptimizerInfo, option: str, value: object) -> str | None:
    """What the optimizer's constructor would say of this value, such as "must be >= 0"; None if it is fine.

    Numbers must be finite throughout, which torch itself does not ask.
    """
    declared = info.options[option]
    if value is None and declared.default is None:
        return None
    if declared.kind in ("boolean", "optional"):
        return None if isinstance(value, bool) else "must be true or false"
    if declared.kind == "string":
        return _string_problem(declared, value)
    if declared.kind == "number":
        return _number_problem(declared, value)
    return _tuple_problem(declared, value)


MOST_PLAUSIBLE = 10
"""A greater rate is a slip of the pen for optimizers whose steps are as long as their rate."""
_STEPS_OF_ANY_LENGTH = ("sgd", "lars", "layer_adaptive", "lbfgs", "adadelta", "rprop")


def implausible(info: OptimizerInfo, option: str, value: object) -> bool:
    """Whether a rate is allowed and yet beyond what anyone trains with: above 10 for Adam and its kin."""
    if option != info.scheduled or any(word in info.name for word in _STEPS_OF_ANY_LENGTH):
        return False
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > MOST_PLAUSIBLE


def required(info: OptimizerInfo) -> list[str]:
    """The arguments without which the optimizer cannot be built."""
    return [name for name, option in info.options.items() if option.default is MISSING]


CLASHING = ("nesterov", "momentum", "dampening")
"""Options that `conflict` looks at."""


def conflict(info: OptimizerInfo, settings: Mapping[str, object]) -> tuple[str, str] | None:
    """The option whose value does not go with the others, and why; `settings` are an optimizer's arguments.

    Constructors check these combinations for their own arguments only, never for a group.
    """
    if not info.options.keys() >= set(CLASHING):
        return None
    nesterov, momentum, dampening = (settings.get(name, info.options[name].default) for name in CLASHING)
    if nesterov and (momentum == 0 or dampening != 0):
        return "nesterov", "needs momentum > 0 and dampening 0"
    return None


def windowed(info: OptimizerInfo, option: str) -> str | None:
    """Why `option` cannot change in mid-run with this optimizer; None if it can."""
    if option not in WINDOWED:
        return f"only {windowed_names()} can change during training"
    declared = info.options.get(option)
    return f"{info.name} has no `{option}`" if declared is None else declared.fixed


def windowed_names() -> str:
    """The options that can change in mid-run, in words."""
    return f"{', '.join(WINDOWED[:-1])} and {WINDOWED[-1]}"


def refused(info: OptimizerInfo, ndim: int) -> str | None:
    """Why the optimizer takes no parameter of `ndim` dimensions; None if it does."""
    if info.refuses == "not 2-D" and ndim != 2:
        return f"{info.name} takes only 2-D parameters, and this one is {ndim}-D"
    return None


# ---------------------------------------------------------------- values


def _number_problem(option: OptionInfo, value: object) -> str | None:
    word = "whole number" if option.integer else "number"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"must be a {word}"
    if not isfinite(value):
        return "must be finite"
    domain = option.domains[0] if option.domains else Interval()
    if option.integer and value != int(value):
        return f"must be a whole number {domain}"
    return None if value in domain else f"must be {domain}"


def _tuple_problem(option: OptionInfo, value: object) -> str | None:
    size = 2 if option.kind == "pair" else 3
    defaults = option.default if isinstance(option.default, tuple) else (MISSING,) * size
    domains = option.domains or (Interval(),) * size
    if isinstance(value, (tuple, list)) and len(value) == size:
        pairs = zip(value, domains, defaults, strict=True)
        if all(_fits(item, domain, default) for item, domain, default in pairs):
            return None
    return f"must be {_shape(option.kind, domains)}"


def _fits(item: object, domain: Interval, default: object) -> bool:
    if item is None:
        return default is None
    return isinstance(item, (int, float)) and not isinstance(item, bool) and isfinite(item) and item in domain


def _shape(kind: str, domains: tuple[Interval, ...]) -> str:
    if len(set(domains)) == 1:
        where = "" if domains[0] == Interval() else f" {domains[0]}"
        return f"a {kind} of numbers{where}"
    return f"a {kind} of numbers: " + ", ".join(
        f"the {place} {domain}" for place, domain in zip(("first", "second", "third"), domains, strict=False)
    )


def _string_problem(option: OptionInfo, value: object) -> str | None:
    if option.choices and value not in option.choices:
        return "must be " + " or ".join(f'"{choice}"' for choice in option.choices)
    return None if isinstance(value, str) else "must be a string"


# ---------------------------------------------------------------- where optimizers are found


@cache
def _table() -> Mapping[str, OptimizerInfo]:
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    infos = [
        OptimizerInfo(
            row["name"],
            row["target"],
            {option["name"]: _option(option) for option in row["options"]},
            row.get("refuses"),
        )
        for row in rows
    ]
    return {key(info.name): info for info in infos}


def _option(row: dict[str, object]) -> OptionInfo:
    values = dict(row)
    if isinstance(values["default"], list):
        values["default"] = tuple(values["default"])
    values["domains"] = tuple(Interval.parse(text) for text in values.get("domains", ()))  # type: ignore[attr-defined]
    values["choices"] = tuple(values.get("choices", ()))  # type: ignore[arg-type]
    return OptionInfo(**values)  # type: ignore[arg-type]
