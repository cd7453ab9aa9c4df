"""A plan at work on live objects: parameter groups, the schedule, freezing, and state by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerlr_dsl.training.remembering import Remembering, remember

__all__ = ["Remembering", "remember"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from layerlr_dsl.training import remembering

    return getattr(remembering, name)
