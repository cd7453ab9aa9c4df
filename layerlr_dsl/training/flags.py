"""`requires_grad` and who set it: what layerlr took is known for as long as the model lives, and put right in a step.

That a flag was taken by layerlr is noted on the module that owns the parameter, so it survives copies, pickles,
`load_state_dict(assign=True)` and the schedule that took it. Whoever comes next knows what the model itself froze.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from layerlr_dsl.model.walk import FLAGS_TAKEN, Walk
from layerlr_dsl.training.errors import listed, tell

if TYPE_CHECKING:
    from layerlr_dsl.training.binding import Binding

_flag = attrgetter("requires_grad")


class Freezing(Protocol):
    """What the check asks of whatever freezes."""

    @property
    def frozen(self) -> Collection[str]: ...

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]: ...

    def frozen_by_flag(self) -> Mapping[str, nn.Parameter]: ...


def give_back(root: nn.Module) -> None:
    """Give every parameter the flag back that layerlr took from it."""
    for module in root.modules():
        for leaf in module.__dict__.pop(FLAGS_TAKEN, ()):
            parameter = module._parameters.get(leaf)
            if parameter is not None:
                parameter.requires_grad = True


def note(found: Walk, taken: Collection[int]) -> None:
    """Note on each module which of its parameters, by id, have lost their flag to layerlr."""
    leaves: dict[int, list[str]] = {}
    for owner, leaf, parameter in zip(found.owners, found.leaves, found.parameters, strict=True):
        if id(parameter) in taken:
            leaves.setdefault(owner, []).append(leaf)
    for row, module in enumerate(found.modules):
        if row in leaves:
            module.__dict__[FLAGS_TAKEN] = tuple(leaves[row])
        else:
            module.__dict__.pop(FLAGS_TAKEN, None)


def taken(found: Walk) -> set[int]:
    """Ids of the parameters that have lost their flag to layerlr."""
    return {
        id(parameter)
        for owner, leaf, parameter in zip(found.owners, found.leaves, found.parameters, strict=True)
        if leaf in found.modules[owner].__dict__.get(FLAGS_TAKEN, ())
    }


class FlagCheck:
    """Looks at every optimizer step whether all flags are as the plan has them.

    Loops and callbacks that toggle flags put back what they found before a thaw, and then a layer trains no
    more without a word. Some do so at every step, after which giving back is too late for each: what is lost twice
    in a row is `watched` from then on, and given back ahead of the forward pass.
    """

    def __init__(self, binding: Binding, freezer: Freezing) -> None:
        self.binding = binding
        self.freezer = freezer
        self.watched: set[str] = set()
        self._on: list[nn.Parameter] = []
        self._off: list[nn.Parameter] = []
        self._ids: tuple[set[int], set[int]] = (set(), set())
        self._before: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def renew(self) -> None:
        """Take up what is frozen now, and which parameters there are."""
        frozen = self.freezer.frozen
        self._on = [parameter for name, parameter in self.binding.trains.items() if name not in frozen]
        self._off = list(self.freezer.frozen_by_flag().values())
        self._ids = set(map(id, self._on)), set(map(id, self._off))

    def check(self, part: Iterable[Mapping[str, Any]] | None = None) -> None:
        """Put right the flags that the plan owns, and warn of all that were changed.

        part: the groups of one of several optimizers that is stepped by itself; what the others hold may have
        lost its flag for this turn.
        """
        on, off = (self._on, self._off) if part is None else self._of(part)
        if all(map(_flag, on)) and not any(map(_flag, off)):
            if part is None:
                self._before = set()
            return
        lost, gained = self._changed(set(map(id, on)), set(map(id, off)))
        self._put_right(lost)
        for parameter in gained.values():
            parameter.requires_grad = False
        owned = lost.keys() & self.freezer.parameters.keys()
        self.watched |= owned & self._before
        self._before = owned if part is None else self._before | owned
        self._tell(lost, gained)

    def put_right(self) -> None:
        """Give the flags back, ahead of a forward pass, that something takes at every step."""
        frozen, held = self.freezer.frozen, self.freezer.parameters
        self._put_right({name: held[name] for name in (self.watched & held.keys()).difference(frozen)})

    def _put_right(self, lost: Mapping[str, nn.Parameter]) -> None:
        for name, parameter in lost.items():
            parameter.requires_grad = name in self.freezer.parameters

    def _of(self, groups: Iterable[Mapping[str, Any]]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        own = [parameter for group in groups for parameter in group["params"]]
        on, off = self._ids
        return [p for p in own if id(p) in on], [p for p in own if id(p) in off]

    def _changed(
        self, on: Collection[int], off: Collection[int]
    ) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
        """What has lost its flag of those that train, and what has gained one of those that are frozen. Ids."""
        lost = {n: p for n, p in self.binding.trains.items() if id(p) in on and not p.requires_grad}
        frozen = self.freezer.frozen_by_flag().items()
        return lost, {name: p for name, p in frozen if id(p) in off and p.requires_grad}

    def _tell(self, lost: Collection[str], gained: Collection[str]) -> None:
        owned = self._news("owned", [name for name in lost if name in self.freezer.parameters])
        others = self._news("others", [name for name in lost if name not in self.freezer.parameters])
        on = self._news("on", gained)
        if owned:
            tell(
                f"{listed(owned)}: the rules train these now, and something else had taken their requires_grad (a "
                "callback, toggle_optimizer, LightningModule.freeze), so they may have had no gradient in this step. It "
                "is given back; leave the flags of what rules freeze and thaw to the rules"
            )
        if others:
            tell(
                f"{listed(others)}: the rules train these, and something else has taken their requires_grad, so they do "
                "not train. Freeze them in the rules, or set the flag again"
            )
        if on:
            tell(
                f"{listed(on)}: frozen by the rules, and something else had set their requires_grad; it is taken again. "
                "They did not move, but backward had to pay for their gradients"
            )

    def _news(self, what: str, names: Collection[str]) -> list[str]:
        """Those of `names` of which this was not said yet."""
        new = [name for name in names if (what, name) not in self._told]
        self._told.update((what, name) for name in new)
        return new
