"""An optimizer whose every tensor has one rate, set by the statistics of its gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from layerlr_dsl.optim.common import Bucket, BucketOptimizer, checked, scalar
from layerlr_dsl.optim.pieces import Pieces, fit


class LayerAdaptive(BucketOptimizer):
    r"""Momentum at a layer-wise rate: the mean ratio of update to scale, times `lr`.

    For each parameter tensor, with gradient g,

        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        rate = lr * mean(|m| / (sqrt(v) + eps))
        p = p - rate m

    The moments are those of Adam (Kingma and Ba 2015, Algorithm 1) without their bias
    correction; the mean is over the whole tensor, also where it is sharded as a DTensor. A tensor
    whose gradients keep their sign moves at nearly `lr`, one whose gradients cancel out at less.

    **It is not scale-invariant.** The ratio has no scale, but it multiplies m, which has the
    gradient's: gradients 1024 times as large make updates 1024 times as large. Adam's rates do not
    carry over; SGD's are the better start, and the loss's reduction and any gradient scaling matter.

    lr: a number or a one-element tensor. betas: decay of m and v for each step. eps: added to
    sqrt(v), in units of the gradient. weight_decay: decoupled, so that p shrinks by
    `lr * weight_decay` a step. maximize: climb instead of descend. foreach: False takes one
    tensor at a time with plain operations; otherwise many at a time.

    A parameter whose gradient is None is left alone, and no state is made for it. A step never
    waits for a device, so it can be captured in a CUDA graph (give `lr` as a tensor to change it
    there). Raises ValueError for options out of their domain, RuntimeError for complex parameters
    and sparse gradients.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked("layer_adaptive", locals()))
        self._pieces = Pieces()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pieces = Pieces()

    def _step_bucket(self, group: dict[str, Any], bucket: Bucket) -> None:
        tensors, grads = bucket.tensors, bucket.grads
        firsts, seconds = bucket.states(self.state, ("exp_avg", "exp_avg_sq"))
        some: Iterable[tuple[list[int], list[Tensor]]]
        if group["foreach"] is not False and fit(tensors, grads, firsts, seconds):
            some = self._pieces.sums(group, grads, firsts, seconds)
        else:
            triples = zip(grads, firsts, seconds, strict=True)
            some = [(list(range(len(grads))), [_plain_sum(group, g, m, v) for g, m, v in triples])]
        if bucket.mesh is not None:  # one collective for all, so none moves before all are summed
            whole = dict(pair for indices, sums in some for pair in zip(indices, sums, strict=True))
            ordered = torch.stack([whole[index] for index in range(len(grads))])
            some = [(list(range(len(grads))), list(bucket.summed(ordered).unbind()))]

        lr = group["lr"]
        scale = -lr
        if isinstance(lr, Tensor):
            lr = scalar(lr, tensors[0])
            scale = -1.0
        kept = 1.0 - lr * group["weight_decay"]
        for indices, sums in some:
            if isinstance(lr, Tensor):
                sums = [total * lr for total in sums]
            scales = [scale / (bucket.params[i].numel() or 1) for i in indices]
            _move([tensors[i] for i in indices], [firsts[i] for i in indices], sums, scales, kept)


def _plain_sum(group: dict[str, Any], g: Tensor, m: Tensor, v: Tensor) -> Tensor:
    """Bring the moments forward and sum |m| / (sqrt(v) + eps), in single precision at least.

    Operation by operation, which is what a compiler wants to see.
    """
    beta1, beta2 = group["betas"]
    g = -g if group["maximize"] else g
    m.lerp_(g, 1.0 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
    ratio = m.abs().div_(v.sqrt().add_(group["eps"]))
    return ratio.sum(dtype=torch.promote_types(m.dtype, torch.float32))


def _move(
    tensors: list[Tensor],
    firsts: list[Tensor],
    totals: list[Tensor],
    scales: list[float],
    kept: float | Tensor,
) -> None:
    """p = kept * p + scale * total * m for each tensor."""
    if isinstance(kept, Tensor) or kept != 1.0:
        torch._foreach_mul_(tensors, kept)
    exact = tensors[0].dtype in (torch.float32, torch.float64)
    if exact and not torch.compiler.is_compiling():
        torch._foreach_addcmul_(tensors, firsts, totals, scales)
        return
    for tensor, first, total, scale in zip(tensors, firsts, totals, scales, strict=True):
        if exact:
            tensor.addcmul_(first, total, value=scale)
        else:  # a rate rounded to half precision would be off by up to 0.4 %
            tensor.copy_(torch.addcmul(tensor.float(), first.float(), total, value=scale))
