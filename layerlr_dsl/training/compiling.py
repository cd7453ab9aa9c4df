"""torch.compile: what each change of the frozen set costs, and rates that do not recompile the optimizer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from layerlr_dsl.training.errors import TrainingError, tell

if TYPE_CHECKING:
    from torch.optim import Optimizer


def is_compiled(model: nn.Module, root: nn.Module) -> bool:
    """Whether torch.compile has to do with a model: as a wrapper, in place, or around its root from outside."""
    if "torch._dynamo.eval_frame" not in sys.modules:
        return False
    from torch._dynamo.eval_frame import OptimizedModule

    if any(isinstance(m, OptimizedModule) or m._compiled_call_impl is not None for m in model.modules()):
        return True
    return _traced(type(root).forward)


def _traced(forward: Any) -> bool:
    # A wrapper outside the model is known only by what it left on the code of `forward`.
    entries = getattr(torch._dynamo.eval_frame, "_debug_get_cache_entry_list", None)
    code = getattr(forward, "__code__", None)
    return entries is not None and code is not None and bool(entries(code))


def passes_limit(patterns: int) -> bool:
    """Whether so many frozen sets, each compiled for training and for evaluation, are past torch's limit."""
    return 2 * patterns > _limit()


def _limit() -> int:
    config = torch._dynamo.config
    return int(getattr(config, "recompile_limit", None) or config.cache_size_limit)


def warn_of_limit(patterns: int) -> None:
    """Warn that a plan with so many frozen sets will not stay compiled."""
    tell(
        f"torch.compile makes a new version of the model for every set of frozen layers, one for training and one for "
        f"evaluation: {patterns} sets need {2 * patterns}, and past torch._dynamo.config.recompile_limit = {_limit()} "
        "it silently stops compiling; raise that limit"
    )


def tensor_rates(optimizer: Optimizer) -> None:
    """Give every group a learning rate tensor of its own, so that a compiled `optimizer.step` is compiled once.

    A tensor given as the optimizer's default is one object in all groups, which would give them one rate.
    """
    for group in optimizer.param_groups:
        rate = group["lr"]
        group["lr"] = rate.clone() if isinstance(rate, torch.Tensor) else torch.tensor(rate)


def separate_shared_rates(param_groups: list[dict[str, Any]]) -> bool:
    """Clone rate tensors that several groups share; return whether any rate is a tensor."""
    seen: set[int] = set()
    found = False
    for group in param_groups:
        rate = group.get("lr")
        if isinstance(rate, torch.Tensor):
            found = True
            if id(rate) in seen:
                group["lr"] = rate = rate.clone()
            seen.add(id(rate))
    return found


def refuse_stale_capture(param_groups: list[dict[str, Any]], driven: bool, freezes_later: bool) -> None:
    """Raise TrainingError for a CUDA graph of the optimizer step that would outlive what it was captured for.

    driven: whether rates move. freezes_later: whether what is frozen changes after the capture.
    """
    if driven and not all(isinstance(group["lr"], torch.Tensor) for group in param_groups):
        raise TrainingError(
            "optimizer.step is being captured in a CUDA graph, where a rate that is a plain number never changes "
            "again; call layerlr_dsl.training.compiling.tensor_rates(optimizer) first"
        )
    if freezes_later:
        raise TrainingError(
            "optimizer.step is being captured in a CUDA graph, and the rules change later what is frozen: the "
            "graph would go on as it is. Capture it after the last change, or train without a graph"
        )
