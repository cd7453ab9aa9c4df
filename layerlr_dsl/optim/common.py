"""What our optimizers share: checked options, which tensors to step, and sums over shards."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.optimizer import Optimizer

from layerlr_dsl.catalogue import optimizers

Tensors: TypeAlias = list[Tensor] | tuple[Tensor, ...]


def checked(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a constructor's arguments that are options of the optimizer `name`, in the constructor's order.

    Raises ValueError for the first that the optimizer does not take.
    """
    info = optimizers.known(name)
    settings = {option: value for option, value in arguments.items() if option in info.options}
    for option, value in settings.items():
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ValueError(f"{option} as a tensor must have one element, not {value.numel()}")
        elif wrong := optimizers.problem(info, option, value):
            raise ValueError(f"{option} {wrong}, not {value!r}")
    if clash := optimizers.conflict(info, settings):
        raise ValueError(" ".join(clash))
    return settings


@dataclass(slots=True)
class Bucket:
    """Parameters of one group that have a gradient and live alike: one device, one dtype, one way of sharding.

    params: as the optimizer holds them, the keys of its state. tensors, grads: what this process
    holds of them, as ordinary tensors. mesh, placements: how DTensors are spread, else None.
    """

    mesh: Any = None
    placements: Any = None
    params: list[Tensor] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)

    def states(
        self, state: Mapping[Tensor, dict[str, Any]], names: tuple[str, ...]
    ) -> tuple[list[Tensor], ...]:
        """What this process holds of the states `names` of each parameter, zeros where it steps for the first time."""
        found: tuple[list[Tensor], ...] = tuple([] for _ in names)
        for param in self.params:
            own = state[param]
            for name, tensors in zip(names, found, strict=True):
                tensor = own.get(name)
                if tensor is None:
                    tensor = own[name] = torch.zeros_like(param, memory_format=torch.preserve_format)
                tensors.append(tensor if self.mesh is None else _local(tensor, self.placements))
        return found

    def summed(self, values: Tensor) -> Tensor:
        """Sums over this process's part of each parameter, made into sums over whole parameters.

        values: one number a parameter. One collective for all of them, none without DTensors.
        """
        if self.mesh is None:
            return values
        from torch.distributed.tensor import DTensor, Partial, Replicate

        spread = [Replicate() if placement.is_replicate() else Partial() for placement in self.placements]
        whole = DTensor.from_local(values, self.mesh, spread, run_check=False)
        return whole.full_tensor()

    def norms(self, tensors: Tensors) -> Tensor:
        """The Euclidean norm of each whole parameter (or of what is spread as it is), in one tensor.

        In single precision at least: squares of half-precision numbers soon exceed its largest.
        """
        precise = torch.promote_types(tensors[0].dtype, torch.float32)
        if self.mesh is None:
            return torch.stack(torch._foreach_norm(tensors, 2, dtype=precise))
        return self.summed(torch.stack(torch._foreach_norm(tensors, 2, dtype=precise)) ** 2).sqrt()


def buckets(group: Mapping[str, Any], optimizer: str) -> Iterator[Bucket]:
    """The parameters of `group` that have a gradient, sorted into buckets.

    Raises RuntimeError naming the first parameter that is complex or has a sparse gradient.
    """
    found: dict[Any, Bucket] = {}
    for index, param in enumerate(group["params"]):
        grad = param.grad
        if grad is None:
            continue
        if grad.is_sparse or param.is_complex():
            what = "sparse gradients" if grad.is_sparse else "complex parameters"
            raise RuntimeError(f"{optimizer} does not support {what}: {_called(group, index)}")
        if type(param) is Parameter or (mesh := getattr(param, "device_mesh", None)) is None:
            bucket = _bucket(found, (param.device, param.dtype), None, None)
            bucket.tensors.append(param)
            bucket.grads.append(grad)
        else:
            placements = param.placements
            bucket = _bucket(found, (param.device, param.dtype, mesh, placements), mesh, placements)
            bucket.tensors.append(_local(param, placements))
            bucket.grads.append(_local(grad, placements))
        bucket.params.append(param)
    yield from found.values()


class BucketOptimizer(Optimizer):
    """An optimizer that steps its groups bucket by bucket."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A state or a pickle of an older release may lack an option.
        known = optimizers.find(type(self).__name__)
        options = {} if known is None else {name: option.default for name, option in known.options.items()}
        own = {**options, **self.defaults}
        own.pop("differentiable", None)  # torch has just put it there, for optimizers that know it
        for group in self.param_groups:
            for option, value in own.items():
                group.setdefault(option, value)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure`, if given, is called once with gradients on, and its value returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for bucket in buckets(group, type(self).__name__):
                self._step_bucket(group, bucket)
        return loss

    @abstractmethod
    def _step_bucket(self, group: dict[str, Any], bucket: Bucket) -> None:
        """Move the parameters of one bucket by their gradients."""


def _bucket(found: dict[Any, Bucket], key: Any, mesh: Any, placements: Any) -> Bucket:
    bucket = found.get(key)
    if bucket is None:
        bucket = found[key] = Bucket(mesh, placements)
    return bucket


def _local(tensor: Any, placements: Any) -> Tensor:
    if tensor.placements != placements:
        tensor = tensor.redistribute(placements=placements)
    return tensor.to_local()  # type: ignore[no-any-return]


def _called(group: Mapping[str, Any], index: int) -> str:
    names = group.get("param_names")
    return str(names[index]) if names else f"parameter {index} of its group"


def scalar(lr: Tensor, beside: Tensor) -> Tensor:
    """A one-element tensor without dimensions, on the device of `beside`."""
    return lr.reshape(()).to(beside.device)


def subtract(tensors: list[Tensor], updates: Tensors, lr: float | Tensor) -> None:
    """tensor -= lr * update for each, `updates` left as they are."""
    if isinstance(lr, Tensor):
        torch._foreach_sub_(tensors, torch._foreach_mul(updates, scalar(lr, tensors[0])))
    else:
        torch._foreach_add_(tensors, updates, alpha=-lr)
