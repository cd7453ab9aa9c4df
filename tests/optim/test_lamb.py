"""LAMB against timm's and pytorch_optimizer's, where their definitions agree with the paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from stepping import assert_close, behaves_as_torch_s_do, imported, parameters, train

from layerlr_dsl.optim import LAMB


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.3},
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"bias_correction": False, "weight_decay": 0.0},
    ],
)
def test_it_is_timm_s_lamb(options: dict[str, Any]) -> None:
    """timm's Lamb that adapts always and clips nothing is the same method."""
    timm = imported("timm.optim")
    ours, theirs = parameters(), parameters()
    one = train(LAMB(ours, lr=0.1, **options), ours)
    other = timm.Lamb(theirs, lr=0.1, always_adapt=True, max_grad_norm=None, **options)
    assert_close(one, train(other, theirs), 2e-6)


def test_it_is_pytorch_optimizer_s_lamb() -> None:
    """With weight decay in the update, no bias correction, and weights too small to be clamped."""
    package = imported("pytorch_optimizer")
    ours, theirs = parameters([(3, 3), (4,)]), parameters([(3, 3), (4,)])
    options = {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-8}
    one = train(LAMB(ours, bias_correction=False, **options), ours)
    other = package.Lamb(theirs, weight_decouple=False, adam_debias=True, **options)
    assert_close(one, train(other, theirs), 2e-6)


def test_without_adapting_it_is_adamw() -> None:
    """adapt=False leaves AdamW's step: decay by lr * weight_decay beside the moments' update."""
    ours, theirs = parameters(), parameters()
    options = {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-8}
    one = train(LAMB(ours, adapt=False, **options), ours)
    assert_close(one, train(torch.optim.AdamW(theirs, **options), theirs), 2e-6)


def test_late_starters_are_corrected_for_their_own_age() -> None:
    """A parameter that thaws later has its own step count, as in torch's Adam."""
    ours, theirs = parameters(), parameters()
    one = LAMB(ours, lr=0.01, adapt=False, weight_decay=0.0, eps=1e-8)
    other = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.0)
    for step in range(6):
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            awake = step >= index
            a.grad = torch.full_like(a, step + 1.0) if awake else None
            b.grad = torch.full_like(b, step + 1.0) if awake else None
        one.step()
        other.step()
    assert_close([p.detach() for p in ours], [p.detach() for p in theirs], 2e-6)


@pytest.mark.parametrize("capturable", [False, True])
def test_it_does_what_torch_s_optimizers_do(capturable: bool) -> None:
    """No gradient no change, closure once, exact resume, copies that go on alike, clear refusals, no reads."""
    behaves_as_torch_s_do(lambda params: LAMB(params, lr=0.01, capturable=capturable))


def test_capturable_takes_the_same_steps() -> None:
    """Counts kept on the device give what counts kept on the host give."""
    ours, theirs = parameters(), parameters()
    one = train(LAMB(ours, lr=torch.full((1,), 0.1), capturable=True), ours)
    assert_close(one, train(LAMB(theirs, lr=0.1), theirs), 1e-6)


def test_a_zero_norm_leaves_the_update_as_it_is() -> None:
    """A tensor of zeros moves by lr in its first step; its trust ratio is 1 and not 0."""
    params = [torch.nn.Parameter(torch.zeros(3))]
    params[0].grad = torch.ones(3)
    LAMB(params, lr=0.5, eps=0.0).step()
    assert params[0].tolist() == pytest.approx([-0.5] * 3)


def test_gradients_are_left_alone() -> None:
    """A step changes no gradient."""
    params = parameters()
    optimizer = LAMB(params, maximize=True)
    train(optimizer, params, 2)
    grads = [p.grad.clone() for p in params if p.grad is not None]
    optimizer.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(params, grads, strict=True))  # type: ignore[arg-type]
