"""Tensors in pieces that fit a cache: one pass over memory where separate operations make eight.

torch's fused Adam kernel computes m, v and m / (sqrt(v) + eps) in one go. Given zeros for the
parameter, a rate of 1 and an infinite step count (which makes its bias corrections exactly 1), it
leaves -m / (sqrt(v) + eps) in that scratch space, whose absolute values are then summed while they
are still at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor

FUSED_DEVICES = ("cpu", "cuda")
FUSED_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

CPU_PIECE = 1 << 19
"""Elements a thread takes at once: few enough for the caches, and enough to outweigh three calls for each piece."""
GPU_PIECE = 1 << 24
MOST_LAYOUTS = 64

Tensors = Sequence[Tensor]


class Batch(NamedTuple):
    """Tensors that are summed together, by index, or a large one alone, and the scratch space they use."""

    indices: list[int]
    whole: Tensor
    views: list[Tensor]


class Pieces:
    """Scratch space, and how lists of tensors lie in it, kept from step to step."""

    def __init__(self) -> None:
        self._scratch: dict[Any, Tensor] = {}
        self._layouts: dict[Any, list[Batch]] = {}
        self._forever: dict[torch.device, Tensor] = {}

    def sums(
        self, group: dict[str, Any], grads: Tensors, firsts: Tensors, seconds: Tensors
    ) -> Iterator[tuple[list[int], list[Tensor]]]:
        """Bring the moments (m, v) forward and sum |m| / (sqrt(v) + eps) over each tensor.

        Gives indices of tensors with their sums, some at a time, while their moments are still at hand.
        The tensors must be such as `fit` approves of.
        """
        for batch in self._layout(firsts):
            indices = batch.indices
            some = [[items[i] for i in indices] for items in (grads, firsts, seconds)]
            if some[0][0].numel() > batch.whole.numel():
                yield indices, [self._sum_in_pieces(group, batch, [_flat(one) for (one,) in some])]
            else:
                yield indices, self._sums(group, batch, some)

    def _sum_in_pieces(self, group: dict[str, Any], batch: Batch, flat: list[Tensor]) -> Tensor:
        size = batch.whole.numel()
        parts = []
        for pieces in zip(*(torch.split(tensor, size) for tensor in flat), strict=True):
            length = pieces[0].numel()
            if length < size:
                part = batch.whole[:length]
                batch = Batch(batch.indices, part, [part])
            parts += self._sums(group, batch, [[piece] for piece in pieces])
        return torch.stack(parts).sum()

    def _sums(self, group: dict[str, Any], batch: Batch, some: list[list[Tensor]]) -> list[Tensor]:
        whole, views = batch.whole, batch.views
        whole.zero_()
        grads, firsts, seconds = some
        beta1, beta2 = group["betas"]
        torch._fused_adam_(
            views,
            grads,
            firsts,
            seconds,
            [],
            [self._forever[whole.device]] * len(views),
            lr=1.0,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )
        precise = torch.promote_types(whole.dtype, torch.float32)
        if whole.is_cuda:
            return list(torch._foreach_norm(views, 1, dtype=precise))
        whole.abs_()
        return [view.sum(dtype=precise) for view in views]

    def _layout(self, tensors: Tensors) -> list[Batch]:
        """The batches for tensors of these shapes, all on one device and of one dtype."""
        device, dtype = tensors[0].device, tensors[0].dtype
        key = (device, dtype, *[tensor.shape for tensor in tensors])
        batches = self._layouts.get(key)
        if batches is None:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            batches = self._layouts[key] = self._laid_out(tensors, device, dtype)
        return batches

    def _laid_out(self, tensors: Tensors, device: torch.device, dtype: torch.dtype) -> list[Batch]:
        size = GPU_PIECE if device.type == "cuda" else CPU_PIECE * torch.get_num_threads()
        wanted = min(size, sum(tensor.numel() for tensor in tensors))
        scratch = self._scratch.get((device, dtype))
        if scratch is None or scratch.numel() < wanted:
            scratch = self._scratch[device, dtype] = torch.empty(wanted, device=device, dtype=dtype)
            self._forever[device] = torch.full((), inf, device=device, dtype=torch.float32)
        batches = []
        for indices in _together([tensor.numel() for tensor in tensors], wanted):
            lengths = [tensors[i].numel() for i in indices]
            whole = scratch[: min(sum(lengths), wanted)]
            if lengths[0] > wanted:
                views = [whole]
            else:
                parts = torch.split(whole, lengths)
                views = [part.view(tensors[i].shape) for part, i in zip(parts, indices, strict=True)]
            batches.append(Batch(indices, whole, views))
        return batches


def fit(params: Tensors, grads: Tensors, firsts: Tensors, seconds: Tensors) -> bool:
    """Whether the fused kernel can take these parameters, gradients and moments (m, v).

    It knows nothing of strides and mixed types: the four tensors of a parameter must be dense and
    lie alike.
    """
    first = params[0]
    if torch.compiler.is_compiling() or first.device.type not in FUSED_DEVICES:
        return False
    lists = (params, grads, firsts, seconds)
    if first.dtype not in FUSED_DTYPES or {t.dtype for tensors in lists for t in tensors} != {first.dtype}:
        return False
    if all(all(map(Tensor.is_contiguous, tensors)) for tensors in lists):
        return True
    return all(_alike(*four) for four in zip(*lists, strict=True))


def _alike(p: Tensor, g: Tensor, m: Tensor, v: Tensor) -> bool:
    if p.is_contiguous():
        return g.is_contiguous() and m.is_contiguous() and v.is_contiguous()
    channels_last = p.ndim == 4 and p.is_contiguous(memory_format=torch.channels_last)
    return channels_last and p.stride() == g.stride() == m.stride() == v.stride()


def _flat(tensor: Tensor) -> Tensor:
    """The elements in the order of memory."""
    return tensor.view(-1) if tensor.is_contiguous() else tensor.as_strided((tensor.numel(),), (1,))


def _together(lengths: list[int], size: int) -> Iterator[list[int]]:
    """Indices that go together: many small ones up to `size` elements in all, or a large one alone."""
    batch: list[int] = []
    total = 0
    for index, length in enumerate(lengths):
        if batch and total + length > size:
            yield batch
            batch, total = [], 0
        batch.append(index)
        total += length
    if batch:
        yield batch
