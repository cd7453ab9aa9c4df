"""Writes the torch-free table of optimizers: `python -m layerlr_dsl.optim.table`.

Names, defaults and kinds come from the signatures; domains are declared here, and a test
drives torch's constructors with good and bad values to hold them to the truth.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.signatures import Interval, OptionInfo, options_of
from layerlr_dsl.optim.lamb import LAMB
from layerlr_dsl.optim.lars import LARS
from layerlr_dsl.optim.layer_adaptive import LayerAdaptive

OURS: dict[str, type[torch.optim.Optimizer]] = {
    "layer_adaptive": LayerAdaptive,
    "lars": LARS,
    "lamb": LAMB,
}

NOT_NEGATIVE = ["[0, inf)"]
DOMAINS: dict[str, list[str]] = {
    "lr": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "eps": NOT_NEGATIVE,
    "momentum": NOT_NEGATIVE,
    "betas": ["[0, 1)", "[0, 1)"],
    "momentum_decay": NOT_NEGATIVE,
    "lr_decay": NOT_NEGATIVE,
    "initial_accumulator_value": NOT_NEGATIVE,
    "trust_coefficient": NOT_NEGATIVE,
}
EXCEPTIONS: dict[tuple[str, str], list[str]] = {
    ("sparseadam", "lr"): ["(0, inf)"],
    ("sparseadam", "eps"): ["(0, inf)"],
    ("adadelta", "rho"): ["[0, 1]"],
    ("adafactor", "beta2_decay"): ["(-inf, 0]"],
    ("adafactor", "eps"): ["[0, inf)", "[0, inf)"],
    ("adafactor", "d"): ["[1, inf)"],
    ("rmsprop", "alpha"): NOT_NEGATIVE,
    ("rprop", "etas"): ["(0, 1)", "(1, inf)"],
    ("muon", "eps"): [],
    ("muon", "ns_steps"): ["[0, 100)"],
    ("lbfgs", "max_iter"): NOT_NEGATIVE,
    ("lbfgs", "max_eval"): NOT_NEGATIVE,
    ("lbfgs", "history_size"): ["[1, inf)"],
}
INTEGERS = {"max_iter", "max_eval", "history_size", "ns_steps"}
CHOICES: dict[tuple[str, str], list[str]] = {
    ("muon", "adjust_lr_fn"): ["original", "match_rms_adamw"],
    ("lbfgs", "line_search_fn"): ["strong_wolfe"],
}
FIXED: dict[tuple[str, str], str] = {
    ("rmsprop", "momentum"): "rmsprop makes its momentum buffer on a parameter's first step only",
    ("rprop", "lr"): "rprop reads lr on a parameter's first step only",
}
# Adagrad fills its accumulators in the constructor, from the constructor's argument alone.
NOT_BY_GROUP = {("adagrad", "initial_accumulator_value")}
REFUSES = {"muon": "not 2-D", "lbfgs": optimizers.SEVERAL_GROUPS}


def classes() -> dict[str, type[torch.optim.Optimizer]]:
    """Every optimizer of torch.optim and of ours, by the name a rule file gives it."""
    found = {
        name.lower(): value
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    del found["optimizer"]
    return {**dict(sorted(found.items())), **OURS}


def row(name: str, cls: type[torch.optim.Optimizer]) -> dict[str, Any]:
    module = "torch.optim" if name not in OURS else "layerlr_dsl.optim"
    entry: dict[str, Any] = {"name": name, "target": f"{module}:{cls.__name__}"}
    if name in REFUSES:
        entry["refuses"] = REFUSES[name]
    entry["options"] = [_option_row(name, option) for option in options_of(cls)]
    return entry


def _option_row(name: str, option: OptionInfo) -> dict[str, Any]:
    key = (name, option.name)
    option = replace(option, group=option.group and key not in NOT_BY_GROUP)
    entry: dict[str, Any] = {
        "name": option.name,
        "default": option.default,
        "kind": option.kind,
        "group": option.group,
        "algorithmic": option.algorithmic,
    }
    domains = EXCEPTIONS.get(key, DOMAINS.get(option.name, []))
    more = {
        "domains": [text for text in domains if Interval.parse(text) != Interval()],
        "integer": option.name in INTEGERS,
        "choices": CHOICES.get(key, []),
        "fixed": FIXED.get(key),
    }
    return entry | {field: value for field, value in more.items() if value}


def text() -> str:
    """The table as it is shipped: one option a line, so that a change reads well."""
    blocks = []
    for name, cls in classes().items():
        entry = row(name, cls)
        options = ",\n".join("    " + json.dumps(option) for option in entry.pop("options"))
        blocks.append(json.dumps(entry)[:-1] + ', "options": [\n' + options + "\n]}")
    return "[\n" + ",\n".join(blocks) + "\n]\n"


if __name__ == "__main__":
    optimizers.TABLE.write_text(text(), encoding="utf-8")
