"""What others do, called as their documentation says; None where a peer is not installed.

`make bench` installs them in an environment of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

Grouping = Callable[[], object]


def regex_loop(model: nn.Module, patterns: list[str]) -> Grouping:
    """What people write by hand: ordered regular expressions, the last match wins."""
    compiled = [re.compile(pattern) for pattern in patterns]

    def run() -> dict[int, list[str]]:
        groups: dict[int, list[str]] = {}
        for name, _ in model.named_parameters():
            winner = -1
            for number in range(len(compiled) - 1, -1, -1):
                if compiled[number].match(name):
                    winner = number
                    break
            groups.setdefault(winner, []).append(name)
        return groups

    return run


def timm_layer_decay(model: nn.Module) -> Grouping:
    """timm's parameter groups with layer decay; what is not decayed is found by its own list."""
    from timm.optim import param_groups_layer_decay

    skipped: Any = getattr(model, "no_weight_decay", dict)()
    return lambda: param_groups_layer_decay(model, weight_decay=0.05, no_weight_decay_list=skipped)


def mmengine_paramwise(model: nn.Module, keys: Mapping[str, dict[str, float]]) -> Grouping | None:
    """mmengine's `paramwise_cfg` with `custom_keys`, its log of every parameter left out in its favour."""
    try:
        from mmengine.optim import DefaultOptimWrapperConstructor
        from mmengine.optim.optimizer import default_constructor
    except ImportError:
        return None
    default_constructor.print_log = lambda *_, **__: None
    maker = DefaultOptimWrapperConstructor(
        {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05}},
        {"custom_keys": dict(keys), "norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
    )

    def run() -> list[dict[str, object]]:
        groups: list[dict[str, object]] = []
        maker.add_params(groups, model)
        return groups

    return run
