"""Configurations of every kind, each value in turn replaced by one of the wrong kind, or out of all bounds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from layerlr_dsl.importers import SourceFault, import_text

WRONG: list[Any] = [None, "x", -1, [], {}, [None], {"a": 1}, inf, 10**400]
SOURCES: dict[str, list[dict[str, Any]]] = {
    "mmengine": [
        {
            "optim_wrapper": {
                "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05, "betas": [0.9, 0.99]},
                "paramwise_cfg": {
                    "norm_decay_mult": 0.0,
                    "custom_keys": {"stem": {"lr_mult": 0.1, "eps": 1e-6}},
                },
            },
            "param_scheduler": [
                {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500},
                {"type": "MultiStepLR", "milestones": [8, 11], "gamma": 0.1},
            ],
            "train_cfg": {"max_epochs": 12},
        },
        {
            "optim_wrapper": {
                "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05},
                "constructor": "LearningRateDecayOptimizerConstructor",
                "paramwise_cfg": {"decay_rate": 0.9, "decay_type": "layer_wise", "num_layers": 6},
            },
            "param_scheduler": [
                {"type": "PolyLR", "power": 0.9, "eta_min": 1e-5, "end": 100, "by_epoch": False}
            ],
            "train_cfg": {"max_iters": 100},
        },
    ],
    "finetuning-scheduler": [
        {"0": {"params": ["fc.weight"], "max_transition_epoch": 2}, "1": {"params": ["layer4.*"], "lr": 1e-4}}
    ],
    "torchtitan": [
        {
            "training": {"steps": 1000},
            "lr_scheduler": {
                "warmup_steps": 9,
                "decay_ratio": 0.2,
                "decay_type": "sqrt",
                "min_lr_factor": 0.1,
            },
            "optimizer": {
                "param_groups": [
                    {
                        "pattern": ".*",
                        "optimizer_name": "AdamW",
                        "optimizer_kwargs": {"lr": 1e-3, "betas": [0.9, 0.95]},
                    }
                ]
            },
        }
    ],
    "axolotl": [
        {
            "learning_rate": 2e-5,
            "num_epochs": 2,
            "lr_scheduler": "cosine",
            "embedding_lr": 1e-6,
            "weight_decay": 0.1,
            "lr_groups": [{"name": "a", "modules": ["q_proj"], "lr": 1e-5}],
            "unfrozen_parameters": ["^lm_head.weight$"],
        },
        {"learning_rate": 2e-5, "max_steps": 200, "loraplus_lr_ratio": 16, "loraplus_lr_embedding": 1e-6},
    ],
    "transformers": [
        {
            "learning_rate": 5e-5,
            "weight_decay": 0.01,
            "lr_scheduler_type": "polynomial",
            "lr_scheduler_kwargs": {"power": 2.0, "lr_end": 1e-6},
            "warmup_ratio": 0.1,
            "num_train_epochs": 3,
            "optim": "adamw_torch",
            "adam_beta1": 0.9,
        },
        {
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": 20, "min_lr_ratio": 0.1},
            "warmup_steps": 10,
            "max_steps": 100,
        },
    ],
    "timm": [
        {
            "opt": "adamw",
            "lr": 1e-3,
            "sched": "cosine",
            "epochs": 50,
            "warmup_epochs": 5,
            "warmup_lr": 1e-6,
            "min_lr": 1e-5,
            "opt_betas": [0.9, 0.99],
            "layer_decay": 0.7,
        },
        {
            "opt": "sgd",
            "lr_base": 0.1,
            "batch_size": 64,
            "sched": "multistep",
            "decay_milestones": [3],
            "epochs": 9,
        },
    ],
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _with(source: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(source)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def _fault(text: str, kind: str) -> SourceFault | None:
    try:
        import_text(text, "a.json", kind)
    except SourceFault as fault:
        return fault
    return None


@pytest.mark.parametrize("kind", SOURCES)
def test_a_wrong_value_is_told_with_its_line_or_gives_rules(kind: str) -> None:
    """Never a fault of another kind, and never a rule file that `validate` refuses."""
    for source in SOURCES[kind]:
        assert import_text(json.dumps(source), "a.json", kind).text
        for path in _paths(source):
            for value in WRONG:
                fault = _fault(json.dumps(_with(source, path, value)), kind)
                assert fault is None or fault.line == 1, (path, value, fault.message)
