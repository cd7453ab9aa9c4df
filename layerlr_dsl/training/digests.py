"""Digests of tensors, to prove that frozen bytes have not moved. Computed where the tensor lives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

COLUMNS = 1021
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def digest(tensor: Tensor) -> Tensor:
    """Two int64 numbers that change with any bit of `tensor`, on its device and without a host sync.

    A plain sum of the bit patterns, and sums of 1,021 columns with odd weights, so that values that
    change places are seen too. A distributed tensor is digested by its local shard; one that is made of others, as
    torchao's quantised ones are, by those.
    """
    first, *more = [_digest(part) for part in _parts(_local(tensor))]
    for place, part in enumerate(more, 1):
        first = first + part * (2 * place + 1)
    return first


def _digest(tensor: Tensor) -> Tensor:
    bits = _bits(tensor)
    whole = bits.sum(dtype=torch.int64)
    rows = bits.numel() // COLUMNS
    columns = bits[: rows * COLUMNS].view(rows, COLUMNS).sum(0, dtype=torch.int64)
    tail = bits[rows * COLUMNS :].to(torch.int64)
    weights = torch.arange(1, 2 * COLUMNS, 2, device=bits.device, dtype=torch.int64)
    placed = (columns * weights).sum() + (tail * weights[: tail.numel()]).sum() * 3
    return torch.stack((whole, placed))


def form(tensor: Tensor) -> tuple[torch.dtype, int]:
    """What must be the same for two digests of a tensor to be of one thing: its dtype, and how much of it is here."""
    return tensor.dtype, _local(tensor).numel()


def _local(tensor: Tensor) -> Tensor:
    tensor = getattr(tensor, "ds_tensor", tensor).detach()  # the part that DeepSpeed's ZeRO 3 keeps here
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _parts(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that hold the bytes of one."""
    if not is_traceable_wrapper_subclass(tensor):
        return [tensor]
    return [part for name in tensor.__tensor_flatten__()[0] for part in _parts(getattr(tensor, name))]


def _bits(tensor: Tensor) -> Tensor:
    tensor = tensor.contiguous()
    if tensor.dtype is torch.bool:
        tensor = tensor.view(torch.uint8)
    elif tensor.is_complex():
        tensor = torch.view_as_real(tensor).contiguous()
    return tensor.view(-1).view(_INTEGERS[tensor.element_size()])


def readable(tensor: Tensor) -> bool:
    """Whether a tensor has bytes: not on the meta device, not lazy."""
    from torch.nn.parameter import is_lazy

    return not is_lazy(tensor) and not tensor.is_meta
