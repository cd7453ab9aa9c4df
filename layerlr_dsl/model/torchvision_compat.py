"""torch from one index and torchvision from another: a pair that cannot be imported, and what helps.

torchvision's compiled operators do not load beside a torch of another build, and then its import fails
with `operator torchvision::nms does not exist`. Its models and transforms do not need those operators,
only their schemas: with `nms` and `qnms` declared, all but the running of detection models works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[object] = []  # torch forgets what a Library declared when the Library is collected


def with_torchvision(action: Callable[[], Result]) -> Result:
    """What `action` returns; tried once more with the schemas declared if it failed for want of them.

    `action` imports torchvision, or something that looks for it (timm, parts of transformers).
    """
    try:
        return action()
    except Exception as fault:
        if _declared or not _lacks_operators(fault):
            raise
    _declare()
    return action()


def _lacks_operators(fault: BaseException | None) -> bool:
    while fault is not None:
        if "operator torchvision::nms does not exist" in str(fault):
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _declare() -> None:
    import torch

    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    library.define(f"nms{_SCHEMA}")
    library.define(f"qnms{_SCHEMA}")
    _declared.append(library)
