"""Layer-wise adaptive rate scaling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from layerlr_dsl.optim.common import Bucket, BucketOptimizer, Tensors, checked, subtract


class LARS(BucketOptimizer):
    r"""SGD with momentum whose every tensor has its own rate, the trust ratio times `lr`.

    You, Gitman and Ginsburg 2017, "Large Batch Training of Convolutional Networks", Algorithm 1:

        trust = trust_coefficient * |w| / (|g| + weight_decay * |w| + eps)
        u = trust * (g + weight_decay * w)
        b = momentum * b + (1 - dampening) u        (b = u on the first step)
        w = w - lr * b                              (lr * (u + momentum * b) with nesterov)

    with Euclidean norms over the whole tensor, also where it is sharded as a DTensor. Where a
    norm is zero the trust ratio is 1. The rate stands outside the momentum, as it does in
    torch.optim.SGD.

    trust_coefficient: the share of |w| that a step of lr 1 may change. adapt: False gives a
    group plain SGD steps, which is usual for biases and norm layers. The other options are SGD's.

    A parameter whose gradient is None is left alone, and no state is made for it; a step never
    waits for a device. Raises ValueError for options out of their domain, RuntimeError for
    complex parameters and sparse gradients.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        adapt: bool = True,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked("lars", locals()))

    def _step_bucket(self, group: dict[str, Any], bucket: Bucket) -> None:
        updates = _scaled(group, bucket)
        if group["momentum"] != 0:
            updates = self._with_momentum(group, bucket, updates)
        subtract(bucket.tensors, updates, group["lr"])

    def _with_momentum(self, group: dict[str, Any], bucket: Bucket, updates: Tensors) -> Tensors:
        momentum = group["momentum"]
        fresh = {i for i, p in enumerate(bucket.params) if "momentum_buffer" not in self.state[p]}
        (buffers,) = bucket.states(self.state, ("momentum_buffer",))
        older = [i for i in range(len(buffers)) if i not in fresh]
        if older:
            torch._foreach_mul_([buffers[i] for i in older], momentum)
            torch._foreach_add_(
                [buffers[i] for i in older], [updates[i] for i in older], alpha=1 - group["dampening"]
            )
        if fresh:
            torch._foreach_copy_([buffers[i] for i in fresh], [updates[i] for i in fresh])
        return torch._foreach_add(updates, buffers, alpha=momentum) if group["nesterov"] else buffers


def _scaled(group: dict[str, Any], bucket: Bucket) -> Tensors:
    """The gradients with weight decay, times their trust ratios; the gradients themselves are left as they are."""
    tensors, decay = bucket.tensors, group["weight_decay"]
    updates: Tensors = torch._foreach_neg(bucket.grads) if group["maximize"] else bucket.grads
    if decay != 0:
        updates = torch._foreach_add(updates, tensors, alpha=decay)
    if not group["adapt"]:
        return updates
    weights, gradients = bucket.norms(tensors), bucket.norms(bucket.grads)
    trust = group["trust_coefficient"] * weights / (gradients + decay * weights + group["eps"])
    trust = torch.where((weights > 0) & (gradients > 0), trust, torch.ones_like(trust))
    return torch._foreach_mul(updates, trust.unbind())
