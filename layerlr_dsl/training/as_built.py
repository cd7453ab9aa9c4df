"""An optimizer as it was before it took a step, so that it can begin afresh."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from layerlr_dsl.optim.joint_state import without_parameter
from layerlr_dsl.tools.records import record
from layerlr_dsl.training.saved_state import IMPLEMENTATION, RATES, STRUCTURE

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

BY_SCHEDULERS = RATES | {"max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum"}
"""What schedulers of torch write into groups: not the optimizer's to begin afresh with."""


@record
class AsBuilt:
    """groups: the options of each. loose: state that hangs on no parameter."""

    groups: Sequence[Mapping[str, Any]]
    loose: Mapping[Any, Any]

    @classmethod
    def of(cls, optimizer: Optimizer) -> AsBuilt:
        """Note an optimizer as it is now."""
        groups = [
            {key: copy.deepcopy(group[key]) for key in _kept(group)} for group in optimizer.param_groups
        ]
        return cls(groups, copy.deepcopy(without_parameter(optimizer)))

    def restore(
        self, optimizer: Optimizer, parameters: Collection[Tensor], planned: Sequence[Set[str]]
    ) -> None:
        """Drop the state of `parameters`, and put the groups that hold nothing else back to what they were.

        planned: the options of each group that the rules decide, which stay as they are.
        """
        for parameter in parameters:
            optimizer.state.pop(parameter, None)
        fresh = set(map(id, parameters))
        whole = [all(id(p) in fresh for p in group["params"]) for group in optimizer.param_groups]
        for place, (group, built) in enumerate(zip(optimizer.param_groups, self.groups, strict=False)):
            if whole[place]:
                _put_back(group, built, planned[place] if place < len(planned) else frozenset())
        if all(whole):
            optimizer.state.update(copy.deepcopy(dict(self.loose)))


def _put_back(group: dict[str, Any], built: Mapping[str, Any], decided: Set[str]) -> None:
    for key in _kept(group) - decided:
        if key in built:
            group[key] = copy.deepcopy(built[key])
        else:
            del group[key]  # such as a count of steps, which begins when it is missed


def _kept(group: Mapping[str, Any]) -> Set[str]:
    return group.keys() - STRUCTURE - IMPLEMENTATION - BY_SCHEDULERS
