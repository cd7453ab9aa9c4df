"""Optimizers that are stepped by themselves, each at its own cadence, under one schedule.

They are the parts of several optimizers as one, or a list that a loop keeps: one for a generator and one for its
critic, or one for every parameter, stepped while gradients come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch.optim import Optimizer

from layerlr_dsl.optim.several import Several, parts_of
from layerlr_dsl.training.binding import innermost
from layerlr_dsl.training.curvature import forget_frozen_directions
from layerlr_dsl.training.hooks import remove

if TYPE_CHECKING:
    from torch import nn

Called = tuple[Any, dict[str, Any]]


class WholeGuard(Protocol):
    """What a part asks of the guard of the whole."""

    paused: bool
    by_parts: bool

    @property
    def frozen(self) -> Sequence[nn.Parameter]: ...

    def look(self) -> None: ...

    def look_at_flags(self, part: list[dict[str, Any]] | None) -> None: ...


def together(optimizers: Optimizer | Sequence[Optimizer]) -> Optimizer:
    """One optimizer that holds the groups of all that are given, for a schedule to drive.

    torch's schedulers take nothing that is no Optimizer, as some wrappers are none; then it is what they wrap.
    """
    if isinstance(optimizers, Optimizer):
        return optimizers
    if not isinstance(optimizers, Sequence):
        return innermost(optimizers)
    inner = [innermost(optimizer) for optimizer in optimizers]
    return inner[0] if len(inner) == 1 else Several(inner)


class PartGuard:
    """Step pre-hook of a part: what the guard of the whole does, for the parameters of this part alone.

    stepped: the parts that were stepped since the whole was looked at. A loop may step hundreds of them after
    one backward pass, so that is done once a round: when a part steps again, or none has yet.
    """

    def __init__(self, whole: WholeGuard, stepped: set[int]) -> None:
        self.whole = whole
        self.stepped = stepped
        self._frozen: list[nn.Parameter] = []
        self._of: tuple[object, int] | None = None

    def __call__(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Called | None:
        if self.whole.paused:
            return None
        if not self.stepped or id(optimizer) in self.stepped:
            self.stepped.clear()
            self.whole.look()
        self.stepped.add(id(optimizer))
        self.whole.look_at_flags(optimizer.param_groups)
        self.whole.by_parts = True
        self._take_up(optimizer)
        self._drop()
        forget_frozen_directions(optimizer, self._frozen)
        return dropping_after_closure(args, kwargs, self._drop) if self._frozen else None

    def _take_up(self, optimizer: Optimizer) -> None:
        """Note which parameters of the part are frozen now, where that may have changed."""
        now = self.whole.frozen, sum(len(group["params"]) for group in optimizer.param_groups)
        if self._of is None or self._of[0] is not now[0] or self._of[1] != now[1]:
            frozen = set(map(id, self.whole.frozen))
            own = [p for group in optimizer.param_groups for p in group["params"]]
            self._frozen, self._of = [p for p in own if id(p) in frozen], now

    def _drop(self) -> None:
        for parameter in self._frozen:
            parameter.grad = None

    def __getstate__(self) -> dict[str, Any]:
        return {"whole": self.whole, "stepped": set(), "_frozen": [], "_of": None}


def guard_parts(optimizer: Optimizer, whole: WholeGuard) -> None:
    """Put the guard of `whole` in force on every part of an optimizer."""
    unguard_parts(optimizer)
    stepped: set[int] = set()
    for part in parts_of(optimizer):
        part.register_step_pre_hook(PartGuard(whole, stepped))


def unguard_parts(optimizer: Optimizer) -> None:
    """Take the guards off the parts of an optimizer."""
    for part in parts_of(optimizer):
        remove(part._optimizer_step_pre_hooks, PartGuard)


def dropping_after_closure(args: Any, kwargs: dict[str, Any], drop: Callable[[], None]) -> Called | None:
    """The arguments of a step whose closure is followed by `drop`; None where there is no closure."""
    closure = kwargs.get("closure") if "closure" in kwargs else args[1] if len(args) > 1 else None
    if closure is None:
        return None

    def guarded() -> Any:
        loss = closure()
        drop()
        return loss

    if "closure" in kwargs:
        return args, {**kwargs, "closure": guarded}
    return (args[0], guarded, *args[2:]), kwargs
