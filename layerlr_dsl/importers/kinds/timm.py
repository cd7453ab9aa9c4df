"""timm's saved arguments (`args.yaml`): `--opt`, `--layer-decay`, `--sched` and friends.

Source: timm/optim/_optim_factory.py, _param_groups.py, scheduler/scheduler_factory.py (1.0.31). Which layer
a parameter belongs to is known to timm's models alone: layer decay needs the model and timm.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import setup
from layerlr_dsl.importers.description import Description, LeftOut, Rule, SourceFault
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.importers.timm_schedules import timm_schedule
from layerlr_dsl.model.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

KIND = "timm"
ABOUT = "timm: the arguments that its train.py saves (args.yaml)"

MARKS = {"opt", "sched", "warmup_lr", "opt_betas", "decay_epochs", "layer_decay"}
_LOOP = {
    "clip_grad": "gradients are clipped in the training loop, not by rules",
    "lr_noise": "noise on the rate is not to be had",
    "model_ema": "averaging weights is a matter of the training loop",
    "opt_args": "further arguments of the optimizer: add them to the `optimizer` statement",
}
_NAMES = {"momentum": "sgd", "nesterov": "sgd", "sgd": "sgd", "rmsproptf": "rmsprop", "nadamw": "nadam"}


def recognizes(root: Node) -> bool:
    """Whether several of the arguments' names are there."""
    return isinstance(root.value, dict) and len(MARKS & root.value.keys()) >= 2


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The rules of the arguments; with a model and timm, by its own groups. Raises SourceFault."""
    top = as_section(root)
    left: list[LeftOut] = []
    rate = _rate(top, left)
    arguments = _arguments(top)
    groups = _by_timm(root, model, rate)
    told = _by_arguments(top, rate, arguments, left) if groups is None else groups
    over_time = timm_schedule(top, rate, left)
    top.ignore("layer_decay", "layer_decay_min_scale", "layer_decay_no_opt_scale")
    left += top.refused(_LOOP)
    left += top.misspelled()
    spec = top.text("model")
    return Description(
        KIND,
        told.rules,
        told.optimizer,
        lets=over_time.lets,
        schedule=over_time.schedule,
        epochs=over_time.epochs,
        model=None if spec is None else _spec(top, spec),
        left_out=(*told.left_out, *left),
        lines={"optimizer": top.line("opt"), "schedule": top.line("sched"), "epochs": top.line("epochs")},
    )


def _spec(top: Section, called: str) -> str:
    classes = top.whole("num_classes")
    return f"timm:{called}" + (f"(num_classes={classes})" if classes else "")


def _rate(top: Section, left: list[LeftOut]) -> float:
    """`lr`, or what train.py makes of `lr_base` and the batch size of one process."""
    rate = top.number("lr", None, 0)
    if rate is not None:
        return float(rate)
    base, size = top.number("lr_base", 0.1, 0), top.whole("lr_base_size", 256, 1)
    batch = top.whole("batch_size", 128, 1) * top.whole("grad_accum_steps", 1, 1)
    adaptive = any(word in top.text("opt", "sgd").lower() for word in ("ada", "lamb"))
    scale = top.text("lr_base_scale") or ("sqrt" if adaptive else "linear")
    ratio = batch / size
    left.append(
        LeftOut(
            "`lr` follows from `lr_base` and the batch size of one process: scale it for more",
            top.line("lr_base"),
        )
    )
    return float(base * (ratio**0.5 if scale == "sqrt" else ratio))


def _arguments(top: Section) -> dict[str, Any]:
    called = top.text("opt", "sgd").lower()
    made: dict[str, Any] = {"weight_decay": top.number("weight_decay", 2e-5)}
    if called in ("sgd", "momentum", "nesterov", "rmsprop", "rmsproptf"):
        made["momentum"] = top.number("momentum", 0.9)
    if called in ("sgd", "nesterov"):
        made["nesterov"] = True
    if top.take("opt_eps") is not None:
        made["eps"] = top.number("opt_eps")
    if top.numbers("opt_betas"):
        made["betas"] = top.numbers("opt_betas")
    return made


def _by_arguments(top: Section, rate: float, arguments: dict[str, Any], left: list[LeftOut]) -> Description:
    called = top.text("opt", "sgd").lower()
    made = setup(_NAMES.get(called, called), arguments, top.line("opt"), {})
    rules = [Rule(nodes.selector(), {"lr": rate})]
    if made.arguments.get("weight_decay"):
        flat = nodes.any_of((nodes.compared("ndim", "<=", 1), nodes.compared("name", "==", "bias")))
        shorter = (nodes.selector(where=nodes.compared("ndim", "<=", 1)),)
        rules.append(Rule(nodes.selector(where=flat), {"weight_decay": 0}, None, "", shorter))
        left.append(LeftOut("what the model lists in `no_weight_decay()`: known with the model only"))
    if top.number("layer_decay", None, 0) is not None:
        message = (
            "`layer_decay`: which layer a parameter belongs to is known to timm's model only: give --model"
        )
        left.append(LeftOut(message, top.line("layer_decay")))
    return Description(KIND, tuple(rules), made.factory, left_out=tuple(made.left_out))


def _by_timm(root: Node, model: nn.Module | None, rate: float) -> Description | None:
    """The rules that give timm's own groups; None without a model or without timm."""
    from layerlr_dsl.importers.live import describe as described
    from layerlr_dsl.importers.live import read_optimizer

    if model is None:
        return None
    try:
        optimizer = own(root, model, rate)
    except ModelError:
        return None
    return described(read_optimizer(optimizer, model), KIND)


def own(root: Node, model: nn.Module, rate: float | None = None) -> torch.optim.Optimizer:
    """timm's own optimizer of these arguments. Raises ModelError where timm is not installed, SourceFault."""
    from layerlr_dsl.model.libraries import import_library

    factory: Any = import_library("timm.optim")
    top = as_section(root)
    arguments = {key: value for key, value in root.plain().items() if value is not None}
    arguments |= {"lr": rate if rate is not None else _rate(top, []), "opt": top.text("opt", "sgd")}
    arguments.setdefault("weight_decay", 2e-5)
    arguments.setdefault("momentum", 0.9)
    arguments["opt_args"] = arguments.get("opt_args") or {}
    try:
        keywords = factory.optimizer_kwargs(cfg=SimpleNamespace(**arguments))
        optimizer: torch.optim.Optimizer = factory.create_optimizer_v2(model, **keywords)
    except (ValueError, AssertionError, KeyError, TypeError) as fault:
        raise SourceFault(f"timm itself refuses these arguments: {fault}", top.line("opt")) from None
    return optimizer
