"""Adam's update scaled, tensor by tensor, to the size of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from layerlr_dsl.optim.common import Bucket, BucketOptimizer, checked, subtract


class LAMB(BucketOptimizer):
    r"""Layer-wise adaptive moments for large batches.

    You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
    Algorithm 2, with phi the identity:

        r = m / (sqrt(v) + eps) + weight_decay * w      (m, v: Adam's moments, bias-corrected)
        w = w - lr * |w| / |r| * r

    with Euclidean norms over the whole tensor, also where it is sharded as a DTensor. Where a
    norm is zero the trust ratio |w| / |r| is 1.

    bias_correction: False leaves the moments as they are. adapt: False gives a group AdamW-like
    steps without a trust ratio, which is usual for biases and norm layers. capturable: keep the
    step counts on the device, so that a CUDA graph can be captured.

    A parameter whose gradient is None is left alone, and no state is made for it; a step never
    waits for a device. Raises ValueError for options out of their domain, RuntimeError for
    complex parameters and sparse gradients.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        bias_correction: bool = True,
        adapt: bool = True,
        *,
        maximize: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, checked("lamb", locals()))

    def _step_bucket(self, group: dict[str, Any], bucket: Bucket) -> None:
        beta1, beta2 = group["betas"]
        firsts, seconds, steps = self._state_of(group, bucket)
        grads = list(torch._foreach_neg(bucket.grads)) if group["maximize"] else bucket.grads
        torch._foreach_lerp_(firsts, grads, 1.0 - beta1)
        torch._foreach_mul_(seconds, beta2)
        torch._foreach_addcmul_(seconds, grads, grads, 1.0 - beta2)

        updates = torch._foreach_sqrt(seconds)
        if group["bias_correction"]:
            torch._foreach_add_(steps, 1)
            ratios, epsilons = _corrections(steps, beta1, beta2, group)
            torch._foreach_mul_(updates, ratios)
            torch._foreach_add_(updates, epsilons)
        else:
            torch._foreach_add_(updates, group["eps"])
        torch._foreach_reciprocal_(updates)
        torch._foreach_mul_(updates, firsts)
        if group["weight_decay"] != 0:
            torch._foreach_add_(updates, bucket.tensors, alpha=group["weight_decay"])
        if group["adapt"]:
            weights, lengths = bucket.norms(bucket.tensors), bucket.norms(updates)
            trust = torch.where((weights > 0) & (lengths > 0), weights / lengths, torch.ones_like(weights))
            torch._foreach_mul_(updates, trust.unbind())
        subtract(bucket.tensors, updates, group["lr"])

    def _state_of(
        self, group: dict[str, Any], bucket: Bucket
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        for param in bucket.params:
            state = self.state[param]
            if not state:
                device = param.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), dtype=torch.float32, device=device)
        firsts, seconds = bucket.states(self.state, ("exp_avg", "exp_avg_sq"))
        return firsts, seconds, [self.state[p]["step"] for p in bucket.params]


def _corrections(steps: list[Tensor], beta1: float, beta2: float, group: dict[str, Any]) -> tuple[Any, Any]:
    """What turns sqrt(v) into the divisor of m with both bias corrections in it: times the first, plus the second.

    One of each for every parameter: numbers, or tensors on the device if the group is capturable.
    """
    # In single precision 1 - 0.999 would be off by 1e-5.
    counts = torch.stack(steps).double()
    first, second = 1.0 - beta1**counts, (1.0 - beta2**counts).sqrt()
    ratios, epsilons = first / second, first * group["eps"]
    if group["capturable"]:
        return ratios.float().unbind(), epsilons.float().unbind()
    return ratios.tolist(), epsilons.tolist()
