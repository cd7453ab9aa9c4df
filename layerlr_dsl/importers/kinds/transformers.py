"""transformers' `TrainingArguments` as JSON: what its Trainer makes of them.

Source: `Trainer.create_optimizer`, `get_decay_parameter_names` and `optimization.py` (5.23).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import Setup, not_decayed, setup
from layerlr_dsl.importers.description import Description, LeftOut, Rule
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.importers.transformers_schedules import transformers_schedule

if TYPE_CHECKING:
    import torch
    from torch import nn

KIND = "transformers"
ABOUT = "transformers: TrainingArguments as JSON (`args.to_json_string()`)"

MARKS = {
    "per_device_train_batch_size",
    "lr_scheduler_type",
    "num_train_epochs",
    "adam_beta1",
    "max_grad_norm",
}
_LOOP = {
    "max_grad_norm": "gradients are clipped in the training loop, not by rules",
    "optim_args": "arguments of the optimizer that the rules say nothing of",
    "optim_target_modules": "which modules GaLore and APOLLO treat: write a rule with quoted options",
    "neftune_noise_alpha": "noise in embeddings is a matter of the model",
}
_PLAIN = {"sgd": "sgd", "adagrad": "adagrad", "rmsprop": "rmsprop", "adafactor": "adafactor"}


def recognizes(root: Node) -> bool:
    """Whether several of the arguments' names are there."""
    return isinstance(root.value, dict) and len(MARKS & root.value.keys()) >= 2


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The rules of the arguments. Raises SourceFault."""
    top = as_section(root)
    left: list[LeftOut] = []
    made = optimizer_of(top, left)
    rate = top.number("learning_rate", 5e-5, 0)
    decay = made.arguments.get("weight_decay", 0.0)
    rules = [Rule(nodes.selector(), {"lr": rate})]
    if decay:
        rules.append(not_decayed(top.line("weight_decay")))
    steps = top.whole("max_steps", -1, -1)
    schedule, lets = transformers_schedule(top, rate, steps if steps > 0 else None, left)
    left += top.refused(_LOOP)
    left += top.misspelled()
    epochs = None if steps > 0 else top.number("num_train_epochs", 3.0)
    return Description(
        KIND,
        tuple(rules),
        made.factory,
        lets,
        schedule,
        epochs,
        steps=steps if steps > 0 else None,
        left_out=tuple(left),
        lines={
            "optimizer": top.line("optim"),
            "schedule": top.line("lr_scheduler_type"),
            "epochs": top.line("num_train_epochs"),
            "steps": top.line("max_steps"),
        },
    )


def optimizer_of(top: Section, left: list[LeftOut], key: str = "optim") -> Setup:
    """The optimizer by one of transformers' names for it."""
    called = top.text(key, "adamw_torch").lower()
    betas = (top.number("adam_beta1", 0.9), top.number("adam_beta2", 0.999))
    epsilon = top.number("adam_epsilon", 1e-8)
    line = top.line(key)
    name = next((name for word, name in _PLAIN.items() if called.startswith(word)), None)
    if (
        name is None
        and ("adamw" in called)
        and not called.startswith(("galore", "apollo", "grok", "schedule", "stable"))
    ):
        name = "adamw"
    if called == "adafactor":
        left.append(LeftOut("`adafactor`: transformers has its own, with other defaults than torch's", line))
    elif name is not None and any(word in called for word in ("bit", "bnb", "paged", "anyprecision")):
        left.append(
            LeftOut(f"`{called}`: its state is kept in another precision than that of `{name}`", line)
        )
    arguments: dict[str, Any] = {"betas": betas, "eps": epsilon} if name == "adamw" else {}
    decay = top.number("weight_decay", 0.0)
    if decay or name is not None:
        arguments["weight_decay"] = decay
    made = setup(name or called, arguments, line, {"weight_decay": top.line("weight_decay")})
    left += made.left_out
    return made


def own(root: Node, model: nn.Module) -> torch.optim.Optimizer | None:
    """The groups as the Trainer sorts them. Raises ImportError where transformers is not installed."""
    import torch

    decays = decaying(model)
    top = as_section(root)
    rate, decay = top.number("learning_rate", 5e-5), top.number("weight_decay", 0.0)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in named if n in decays], "weight_decay": decay},
        {"params": [p for n, p in named if n not in decays], "weight_decay": 0.0},
    ]
    made = optimizer_of(top, [])
    cls = getattr(torch.optim, made.info.target.rpartition(":")[2], None)
    if cls is None:
        return None
    arguments = {k: v for k, v in made.arguments.items() if k != "weight_decay"}
    optimizer: torch.optim.Optimizer = cls([g for g in groups if g["params"]], lr=rate, **arguments)
    return optimizer


def decaying(model: nn.Module) -> set[str]:
    """The parameters that transformers' Trainer decays. Raises ImportError."""
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    def trainer() -> Any:
        from transformers import Trainer

        return Trainer

    return set(with_torchvision(trainer).get_decay_parameter_names(None, model))
