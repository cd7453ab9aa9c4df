"""Optimizers that step copies of the parameters, made once: DeepSpeed's ZeRO, and its fp16 and bf16 optimizers.

The copies hold what required a gradient when they were made. What freezes later goes on moving, since nobody
looks at its flag or its gradient, and what thaws later has no copy and never trains. So under such an optimizer
the frozen set must be what it is for ever, before the copies are made; anything else is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch.distributed as dist

from layerlr_dsl.model import live
from layerlr_dsl.optim.several import parts_of
from layerlr_dsl.training.errors import TrainingError, listed

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from layerlr_dsl.plan.plan import Plan

LAUNCHED = ("RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK")


def may_come() -> bool:
    """Whether DeepSpeed may take over the model and the optimizer yet.

    That it is in this process says little: a Trainer of transformers imports it wherever it is installed. It wants
    processes that know each other, or what a launcher says of them, or MPI to ask.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        return True
    return "deepspeed" in sys.modules and (
        (dist.is_available() and dist.is_initialized())
        or any(name in os.environ for name in LAUNCHED)
        or find_spec("mpi4py") is not None
    )


def are_stepped(parameters: Iterable[nn.Parameter], param_groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an optimizer holds none of a model's parameters any more.

    One without any is that of a process whose part of the model is empty, or that of ZeRO 3 between its steps.
    """
    own = set(map(id, parameters))
    stepped = [id(parameter) for group in param_groups for parameter in group["params"]]
    return bool(own) and own.isdisjoint(stepped) and (bool(stepped) or may_come())


def leave_out(plan: Plan, model: nn.Module, optimizer: Optimizer) -> list[int]:
    """Where DeepSpeed may come, take groups out that hold nothing but what never trains; return their places.

    It cannot be initialised with a group in which nothing requires a gradient.
    """
    if not may_come() or parts_of(optimizer):
        return []
    parameters = live.named_parameters(model)
    names = [name for group in plan.groups if group.kind != "trains" for name in group.parameters]
    never = {id(parameters[name]) for name in names if name in parameters}
    groups = optimizer.param_groups
    places = [i for i, group in enumerate(groups) if all(id(p) in never for p in group["params"])]
    if len(places) == len(groups):
        return []
    optimizer.param_groups = [group for i, group in enumerate(groups) if i not in places]
    return places


def refuse_changes(plan: Plan, optimizer: Optimizer) -> None:
    """Raise TrainingError where a plan freezes or thaws in mid-run, or has several optimizers stepped as one."""
    if parts_of(optimizer):
        raise TrainingError(
            "DeepSpeed steps the groups of one optimizer over copies of its own, and the rules ask for several: use ZeRO "
            "stage 0 without fp16 and bf16, DistributedDataParallel or fully_shard; or one optimizer for all"
        )
    frozen = [frozenset(phase.frozen) for phase in plan.phases]
    if changing := sorted(frozenset().union(*frozen) - frozen[0].intersection(*frozen[1:])):
        raise TrainingError(
            "the optimizer steps copies of the parameters, which DeepSpeed has made once and for all, and the rules freeze "
            f"or thaw {listed(changing)} in mid-run: what freezes would go on moving, and what thaws would "
            "never train. Use ZeRO stage 0 without fp16 and bf16, DistributedDataParallel or fully_shard; or rules "
            "whose frozen layers stay the same"
        )


def refuse_late(plan: Plan) -> None:
    """Raise TrainingError where a plan freezes anything, and the copies were made while nothing was frozen."""
    if any(phase.frozen for phase in plan.phases):
        raise TrainingError(
            "DeepSpeed has made its copies of the parameters already, with those that the rules freeze among them: they "
            "would go on moving. Call plan.schedule(model, optimizer) first, and then deepspeed.initialize(model=model, "
            "optimizer=optimizer, lr_scheduler=schedule)"
        )
