"""Hooks of which there is one of a kind: putting them on again after a copy, taking them off, and calling back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, MutableMapping
from typing import Any


def installed(hooks: MutableMapping[int, Any], hook: object) -> bool:
    """Whether `hook` itself is among `hooks`; any other of its kind is taken off."""
    remove(hooks, type(hook), but=hook)
    return any(other is hook for other in hooks.values())


def remove(hooks: MutableMapping[int, Any], kind: type, but: object = None) -> None:
    """Take off every hook of a kind, except one."""
    for key in [key for key, hook in hooks.items() if isinstance(hook, kind) and hook is not but]:
        del hooks[key]


def weakly(method: Callable[..., None]) -> Callable[..., bool]:
    """A call of a method whose object it does not keep alive; it returns False where that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> bool:
        alive = reference()
        if alive is None:
            return False
        alive(*arguments)
        return True

    return call
