"""Several optimizers that the rest of the world sees as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from layerlr_dsl.catalogue import optimizers as table


class Several(Optimizer):
    """A real `torch.optim.Optimizer` made of others, each with its own parameters and rules.

    `param_groups` holds the very dictionaries of the inner optimizers, one after the other, so
    whatever writes `group["lr"]` (torch's schedulers, ours) reaches them; each carries
    `optimizer`, the name of its inner optimizer (`muon`, `adamw`, a second AdamW `adamw_2`).
    `state` is one mapping that all of them share. Saving, loading, copying and pickling keep
    torch's formats. `defaults` is empty, since the inner ones have none in common.

    order: names of groups, in the order that `param_groups` shall have; by default the inner
    optimizers' groups follow each other, and so do groups that `order` does not name.

    Raises ValueError for no optimizers, for parameters that two of them hold, and for LBFGS,
    which must call the closure as often as it likes.
    """

    _built = False

    def __init__(self, optimizers: Sequence[Optimizer], order: Sequence[str] = ()) -> None:
        if not optimizers:
            raise ValueError("several optimizers need at least one")
        for inner in optimizers:
            if isinstance(inner, LBFGS):
                raise ValueError("LBFGS evaluates the closure many times and cannot step beside others")
        self._inner = tuple(optimizers)
        self._names = _names(self._inner)
        for name, inner in zip(self._names, self._inner, strict=True):
            for group in inner.param_groups:
                group["optimizer"] = name
        places: dict[Any, int] = {name: place for place, name in enumerate(order)}
        groups = [group for inner in self._inner for group in inner.param_groups]
        super().__init__(sorted(groups, key=lambda group: places.get(group.get("name"), len(places))), {})
        self._share()
        self._built = True

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The inner optimizers, in the order of their groups."""
        return self._inner

    def owner_of(self, group: dict[str, Any]) -> Optimizer:
        """The inner optimizer that steps this group."""
        return self._inner[self._names.index(group["optimizer"])]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step every inner optimizer; `closure`, if given, is called once, and its value returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for inner in self._inner:
            self._pass_scaling(inner)
            _bare_step(inner)
        return loss

    @property
    def _step_supports_amp_scaling(self) -> bool:
        # GradScaler leaves unscaling and skipping to the optimizer only where all of it can.
        return all(getattr(inner, "_step_supports_amp_scaling", False) for inner in self._inner)

    def _pass_scaling(self, inner: Optimizer) -> None:
        for name in ("grad_scale", "found_inf"):
            if hasattr(self, name):
                setattr(inner, name, getattr(self, name))
            elif name in inner.__dict__:
                delattr(inner, name)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Give the group to the inner optimizer that its key `optimizer` names.

        Raises ValueError if it names none, if that optimizer does not take the parameters, or if
        another one already holds them.
        """
        if not self._built:
            super().add_param_group(param_group)
            return
        name = param_group.get("optimizer")
        if name not in self._names:
            asked = "names no optimizer" if name is None else f"names {name!r}"
            known = " or ".join(f'"{one}"' for one in self._names)
            raise ValueError(f"the parameter group {asked}: give it the key 'optimizer', {known}")
        inner = self._inner[self._names.index(name)]
        before = len(inner.param_groups)
        held = {id(p) for group in self.param_groups for p in group["params"]}
        inner.add_param_group(param_group)
        added = inner.param_groups[before]
        if wrong := _unfit(inner, added, held):
            del inner.param_groups[before:]
            raise ValueError(wrong)
        self.param_groups.append(added)

    # ------------------------------------------------------------ state

    def _share(self) -> None:
        """One state for all, so that it is live from both sides."""
        merged: defaultdict[Tensor, Any] = defaultdict(dict)
        for inner in self._inner:
            merged.update(inner.state)
        self.state = merged
        for inner in self._inner:
            inner.state = merged

    def _part(self, inner: Optimizer, state: Any) -> defaultdict[Tensor, Any]:
        part: defaultdict[Tensor, Any] = defaultdict(dict)
        part.update({p: state[p] for group in inner.param_groups for p in group["params"] if p in state})
        return part

    def __getstate__(self) -> dict[str, Any]:
        parts = []
        for inner in self._inner:
            # Some optimizers look at all of the state they are given back, so each gets its own.
            inner.state = self._part(inner, self.state)
            parts.append((type(inner), inner.__getstate__()))
            inner.state = self.state
        return {"inner": parts, "names": self._names, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "inner" in state:
            self._restore(state)
        else:
            self._take(state["param_groups"], state["state"])
        self._share()

    def _restore(self, state: dict[str, Any]) -> None:
        """From a pickle or a copy."""
        inner = []
        for kind, part in state["inner"]:
            optimizer = kind.__new__(kind)
            optimizer.__setstate__(part)
            inner.append(optimizer)
        self._inner = tuple(inner)
        self._names = state["names"]
        self._built = True
        super().__setstate__(
            {"defaults": {}, "param_groups": state["param_groups"], "state": defaultdict(dict)}
        )

    def _take(self, groups: list[dict[str, Any]], state: Any) -> None:
        """From a state dict: torch has already matched its groups with ours, one for one."""
        for index, (old, new) in enumerate(zip(self.param_groups, groups, strict=True)):
            saved = new.setdefault("optimizer", old["optimizer"])
            if saved != old["optimizer"]:
                raise ValueError(
                    f"the saved parameter group {index} belongs to {saved}, here it is one of {old['optimizer']}"
                )
        for inner, name in zip(self._inner, self._names, strict=True):
            own = [group for group in groups if group["optimizer"] == name]
            inner.param_groups = own
            inner.__setstate__({"state": self._part(inner, state), "param_groups": own})
        super().__setstate__({"param_groups": groups, "state": state})


def _names(optimizers: Sequence[Optimizer]) -> tuple[str, ...]:
    names: list[str] = []
    for optimizer in optimizers:
        info = table.find(type(optimizer).__name__)
        name = info.name if info is not None else type(optimizer).__name__.lower()
        twins = sum(other == name or other.rpartition("_")[0] == name for other in names)
        names.append(f"{name}_{twins + 1}" if twins else name)
    return tuple(names)


def _unfit(inner: Optimizer, group: dict[str, Any], held: set[int]) -> str | None:
    """Why the inner optimizer cannot have this group."""
    info = table.find(type(inner).__name__)
    for index, param in enumerate(group["params"]):
        name = group["param_names"][index] if "param_names" in group else f"parameter {index}"
        if id(param) in held:
            return f"{name} is already in a parameter group"
        if info is not None and (wrong := table.refused(info, param.ndim)):
            return f"{name}: {wrong}"
    return None


def _bare_step(inner: Optimizer) -> None:
    """The inner step without the wrapper that fires step hooks: those fire once, on the outside."""
    step = type(inner).step
    if getattr(step, "hooked", False):
        step = step.__wrapped__  # type: ignore[attr-defined]
    step(inner)
