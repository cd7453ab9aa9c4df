"""Several optimizers that the rest of the world sees as one."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch.optim import LBFGS, Optimizer

from layerlr_dsl.catalogue import optimizers as table
from layerlr_dsl.optim.joint_state import JointState, loose

Group = dict[str, Any]
_SAVING = ("state_dict", "load_state_dict")


class Several(Optimizer):
    """A real `torch.optim.Optimizer` made of others, each with its own parameters and rules.

    `param_groups` holds the very dictionaries of the inner optimizers, one after the other, so
    whatever writes `group["lr"]` (torch's schedulers, ours) reaches them; each carries
    `optimizer`, the name of its inner optimizer (`muon`, `adamw`, a second AdamW `adamw_2`).
    `state` shows the states of all of them. `step` steps them all; each of `parts` is an optimizer
    that can also be stepped, zeroed, saved and loaded by itself. Saving, loading, copying and
    pickling keep torch's formats. `defaults` is empty, since the inner ones have none in common.

    order: names of groups, in the order that `param_groups` shall have; by default the inner
    optimizers' groups follow each other, and so do groups that `order` does not name.
    names: what the inner optimizers are called, where their kinds shall not name them.

    Raises ValueError for no optimizers, for parameters that two of them hold, for names that are not
    one for each, and for LBFGS, which must call the closure as often as it likes.
    """

    _built = False

    def __init__(
        self, optimizers: Sequence[Optimizer], order: Sequence[str] = (), names: Sequence[str] | None = None
    ) -> None:
        _require_joinable(optimizers, names)
        self._inner = tuple(optimizers)
        self._names = _kinds(self._inner) if names is None else tuple(names)
        for name, inner in self.parts.items():
            for group in inner.param_groups:
                group["optimizer"] = name
        places: dict[Any, int] = {name: place for place, name in enumerate(order)}
        groups = [group for inner in self._inner for group in inner.param_groups]
        super().__init__(sorted(groups, key=lambda group: places.get(group.get("name"), len(places))), {})
        self._begin(self._joined)

    def _begin(self, groups: Sequence[Group]) -> None:
        """Note where each group stands, so that it is found again after an inner optimizer has replaced its own."""
        where = {
            id(group): (part, place)
            for part, inner in enumerate(self._inner)
            for place, group in enumerate(inner.param_groups)
        }
        self._where = [where[id(group)] for group in groups]
        self._joined: list[Group] = []
        self._seen: list[tuple[list[Group], int]] = []
        self._built = True

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The inner optimizers, in the order of their groups."""
        return self._inner

    @property
    def parts(self) -> Mapping[str, Optimizer]:
        """The inner optimizers by name. Stepping one moves its own parameters and nothing else."""
        return MappingProxyType(dict(zip(self._names, self._inner, strict=True)))

    def owner_of(self, group: Group) -> Optimizer:
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
            bare_step(inner)
        return loss

    def train(self) -> None:
        """Put the parts that have modes of their own, as schedule-free ones do, in that for training."""
        self._switch("train")

    def eval(self) -> None:
        """Put the parts that have modes of their own in that for evaluation."""
        self._switch("eval")

    def _switch(self, mode: str) -> None:
        for inner in self._inner:
            if callable(switch := getattr(inner, mode, None)):
                switch()

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

    # ------------------------------------------------------------ groups

    @property
    def param_groups(self) -> list[Group]:
        """The groups of all inner optimizers, whatever those have loaded or added by themselves since."""
        if self._built and not self._up_to_date():
            self._gather()
        return self._joined

    @param_groups.setter
    def param_groups(self, groups: list[Group]) -> None:
        if self._built:
            raise AttributeError("the groups of several optimizers are those of its parts; set theirs")
        self._joined = groups

    def _up_to_date(self) -> bool:
        return len(self._seen) == len(self._inner) and all(
            inner.param_groups is groups and len(groups) == length
            for inner, (groups, length) in zip(self._inner, self._seen, strict=True)
        )

    def _gather(self) -> None:
        known = Counter(part for part, _ in self._where)
        for part, inner in enumerate(self._inner):
            self._where += [(part, place) for place in range(known[part], len(inner.param_groups))]
        for name, inner in self.parts.items():
            for group in inner.param_groups:
                group.setdefault("optimizer", name)
        self._joined = [self._inner[part].param_groups[place] for part, place in self._where]
        self._seen = [(inner.param_groups, len(inner.param_groups)) for inner in self._inner]

    def add_param_group(self, param_group: Group) -> None:
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
        inner = self.parts[name]
        before = len(inner.param_groups)
        held = {id(p) for group in self.param_groups for p in group["params"]}
        inner.add_param_group(param_group)
        if wrong := _unfit(inner, inner.param_groups[before], held):
            del inner.param_groups[before:]
            raise ValueError(wrong)

    # ------------------------------------------------------------ state

    @property  # type: ignore[override]
    def state(self) -> JointState:
        """What the inner optimizers keep, by parameter; what hangs on no parameter under `NAME.KEY`."""
        return JointState(self._names, self._inner)

    @state.setter
    def state(self, state: object) -> None:
        pass  # torch's constructor sets an empty one

    def state_dict(self) -> dict[str, Any]:
        """All inner optimizers' own state dicts as one: groups and ids counted through.

        What else they save stands in `parts`, by name.
        """
        for saving in self._optimizer_state_dict_pre_hooks.values():
            saving(self)
        state_dict = self._packed()
        for saved in self._optimizer_state_dict_post_hooks.values():
            state_dict = saved(self, state_dict) or state_dict
        return state_dict

    def _packed(self) -> dict[str, Any]:
        own = []
        for inner in self._inner:
            with _bare(inner):
                own.append(inner.state_dict())
        groups, states, new_keys = [], {}, [dict[Any, int]() for _ in own]
        for part, place in self._places():
            group = own[part]["param_groups"][place]
            for key in group["params"]:
                new_keys[part].setdefault(key, sum(map(len, new_keys)))
            groups.append({**group, "params": [new_keys[part][key] for key in group["params"]]})
        more = {}
        for name, saved, keys in zip(self._names, own, new_keys, strict=True):
            states.update({keys[key]: value for key, value in saved["state"].items() if key in keys})
            if rest := _beyond_parameters(saved, keys):
                more[name] = rest
        packed = {"state": states, "param_groups": groups}
        return {**packed, "parts": more} if more else packed

    def _places(self) -> list[tuple[int, int]]:
        """The inner optimizer of each group, and the group's place there."""
        _ = self.param_groups  # takes up what was added
        return self._where

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each inner optimizer its part of what `state_dict` returned.

        Raises ValueError where the groups are not those of this optimizer; nothing is taken then.
        """
        state_dict = dict(state_dict)
        for loading in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = loading(self, state_dict) or state_dict
        self._require_own(state_dict["param_groups"])
        for inner, part in zip(self._inner, self._unpacked(state_dict), strict=True):
            with _bare(inner):
                type(inner).load_state_dict(inner, part)
        for loaded in self._optimizer_load_state_dict_post_hooks.values():
            loaded(self)

    def _require_own(self, saved: Sequence[Mapping[str, Any]]) -> None:
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for index, (old, new) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(old["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
            owner = new.get("optimizer", old["optimizer"])
            if owner != old["optimizer"]:
                raise ValueError(
                    f"the saved parameter group {index} belongs to {owner}, here it is one of {old['optimizer']}"
                )

    def _unpacked(self, state_dict: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Each inner optimizer's part, in its own order of groups."""
        rest = {k: v for k, v in state_dict.items() if k not in ("state", "param_groups", "parts")}
        saved = dict(zip(self._places(), state_dict["param_groups"], strict=True))
        for part, (name, inner) in enumerate(self.parts.items()):
            groups = [{**saved[part, place], "optimizer": name} for place in range(len(inner.param_groups))]
            more = state_dict.get("parts", {}).get(name, {})
            states = {**state_dict["state"], **more.get("state", {})}
            keys = [key for group in groups for key in group["params"]]
            own = {key: states[key] for key in (*keys, *more.get("state", ())) if key in states}
            yield {**rest, **more, "state": {**loose(inner, states), **own}, "param_groups": groups}

    # ------------------------------------------------------------ copies

    def __getstate__(self) -> dict[str, Any]:
        parts = [(type(inner), inner.__getstate__()) for inner in self._inner]
        return {"inner": parts, "names": self._names, "param_groups": list(self.param_groups)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        inner = []
        for kind, part in state["inner"]:
            optimizer = kind.__new__(kind)
            optimizer.__setstate__(part)
            inner.append(optimizer)
        self._inner, self._names = tuple(inner), state["names"]
        super().__setstate__({"defaults": {}})
        self._begin(state["param_groups"])


def _beyond_parameters(saved: Mapping[str, Any], keys: Mapping[Any, int]) -> dict[str, Any]:
    """What an optimizer saves beside its groups and the state of their parameters."""
    rest = {key: value for key, value in saved.items() if key not in ("state", "param_groups")}
    free = {key: value for key, value in saved["state"].items() if key not in keys}
    return {**rest, "state": free} if free else rest


def parts_of(optimizer: Optimizer) -> tuple[Optimizer, ...]:
    """The optimizers that `optimizer` is made of; none where it is a plain one."""
    return optimizer.optimizers if isinstance(optimizer, Several) else ()


def _require_joinable(optimizers: Sequence[Optimizer], names: Sequence[str] | None) -> None:
    if not optimizers:
        raise ValueError("several optimizers need at least one")
    if any(isinstance(inner, LBFGS) for inner in optimizers):
        raise ValueError("LBFGS evaluates the closure many times and cannot step beside others")
    if names is not None and (len(names) != len(optimizers) or len(set(names)) != len(names)):
        raise ValueError(
            f"{len(optimizers)} optimizers need as many different names, not {', '.join(names) or 'none'}"
        )


def _kinds(optimizers: Sequence[Optimizer]) -> tuple[str, ...]:
    infos = {type(optimizer): table.find(type(optimizer).__name__) for optimizer in optimizers}
    kinds = [
        info.name if (info := infos[type(optimizer)]) is not None else type(optimizer).__name__.lower()
        for optimizer in optimizers
    ]
    return told_apart(kinds)


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a second `adamw` called `adamw_2`."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(out)


def _unfit(inner: Optimizer, group: Group, held: set[int]) -> str | None:
    """Why the inner optimizer cannot have this group."""
    info = table.find(type(inner).__name__)
    for index, param in enumerate(group["params"]):
        name = group["param_names"][index] if "param_names" in group else f"parameter {index}"
        if id(param) in held:
            return f"{name} is already in a parameter group"
        if info is not None and (wrong := table.refused(info, param.ndim)):
            return f"{name}: {wrong}"
    return None


@contextmanager
def _bare(inner: Optimizer) -> Iterator[None]:
    """The inner optimizer without hooks around saving and loading: those fire once, on the outside."""
    names = [f"_optimizer_{what}_{when}_hooks" for what in _SAVING for when in ("pre", "post")]
    kept = {name: getattr(inner, name) for name in names}
    inner.__dict__.update({name: OrderedDict() for name in names})
    try:
        yield
    finally:
        inner.__dict__.update(kept)


def bare_step(inner: Optimizer) -> None:
    """The inner step without the wrapper that fires step hooks: those fire once, on the outside."""
    step = type(inner).step
    if getattr(step, "hooked", False):
        step = step.__wrapped__  # type: ignore[attr-defined]
    step(inner)
