"""LARS against timm's and pytorch_optimizer's, where their definitions agree with the paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from stepping import assert_close, behaves_as_torch_s_do, imported, parameters, train

from layerlr_dsl.optim import LAMB, LARS


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.3},
    ],
)
def test_it_is_timm_s_lars(options: dict[str, Any]) -> None:
    """timm's Lars with always_adapt is the same method, trust coefficient and eps included."""
    timm = imported("timm.optim")
    ours, theirs = parameters(), parameters()
    shared = {"momentum": 0.0, **options}
    one = train(LARS(ours, lr=5.0, trust_coefficient=0.02, **shared), ours)
    other = timm.Lars(theirs, lr=5.0, trust_coeff=0.02, always_adapt=True, **shared)
    assert_close(one, train(other, theirs), 2e-6)


def test_it_is_pytorch_optimizer_s_lars_on_matrices() -> None:
    """There biases and norms are never adapted: `adapt=False` for their group gives the same."""
    package = imported("pytorch_optimizer")
    ours, theirs = parameters(), parameters()
    flat = [p for p in ours if p.ndim <= 1]
    matrices = [p for p in ours if p.ndim > 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": flat, "adapt": False}]
    one = train(LARS(groups, lr=1.0, momentum=0.0, eps=0.0), ours)
    other = package.LARS(theirs, lr=1.0, momentum=0.0, weight_decay=0.1)
    assert_close(one, train(other, theirs), 2e-6)


def test_without_adapting_it_is_sgd() -> None:
    """adapt=False is torch's SGD to the last bit, momentum and Nesterov included."""
    ours, theirs = parameters(), parameters()
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    one = train(LARS(ours, adapt=False, **options), ours)
    assert_close(one, train(torch.optim.SGD(theirs, **options), theirs), 2e-7)


def test_a_zero_norm_leaves_the_gradient_as_it_is() -> None:
    """A tensor of zeros would never leave zero if its trust ratio were zero."""
    params = [torch.nn.Parameter(torch.zeros(3))]
    params[0].grad = torch.ones(3)
    LARS(params, lr=0.5, momentum=0.0).step()
    assert params[0].tolist() == [-0.5] * 3


def test_maximize_climbs() -> None:
    """maximize turns the gradient, and not the weight decay."""
    up, down = parameters(), parameters()
    LARS(up, lr=0.1, weight_decay=0.1, maximize=True)
    optimizer = LARS(up, lr=0.1, weight_decay=0.1, maximize=True)
    for param, other in zip(up, down, strict=True):
        param.grad, other.grad = torch.ones_like(param), -torch.ones_like(other)
    optimizer.step()
    LARS(down, lr=0.1, weight_decay=0.1).step()
    assert_close([p.detach() for p in up], [p.detach() for p in down], 0.0)


def test_momentum_may_start_in_mid_run() -> None:
    """A window may raise momentum from 0: the buffers are made then, as torch's SGD makes them."""
    ours, theirs = parameters(), parameters()
    one, other = LARS(ours, lr=0.1, momentum=0.0, adapt=False), torch.optim.SGD(theirs, lr=0.1)
    train(one, ours, 2)
    train(other, theirs, 2)
    for optimizer in (one, other):
        optimizer.param_groups[0]["momentum"] = 0.9
    assert_close(train(one, ours, 4), train(other, theirs, 4), 2e-7)


def test_it_does_what_torch_s_optimizers_do() -> None:
    """No gradient no change, closure once, exact resume, copies that go on alike, clear refusals, no reads."""
    behaves_as_torch_s_do(lambda params: LARS(params, lr=1.0, weight_decay=0.01))
    behaves_as_torch_s_do(lambda params: LARS(params, lr=torch.tensor(1.0), momentum=0.0))


def test_gradients_are_left_alone() -> None:
    """A step changes no gradient: clipping and logging after it see what backward gave."""
    params = parameters()
    optimizer = LARS(params, lr=1.0, weight_decay=0.1, nesterov=True, maximize=True)
    train(optimizer, params, 2)
    grads = [p.grad.clone() for p in params if p.grad is not None]
    optimizer.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(params, grads, strict=True))  # type: ignore[arg-type]


def test_nesterov_needs_momentum() -> None:
    """The combination that torch's SGD refuses is refused."""
    with pytest.raises(ValueError, match="nesterov needs momentum > 0 and dampening 0"):
        LARS(parameters(), nesterov=True, momentum=0.0)


@pytest.mark.parametrize(("kind", "weight", "gradient", "lr"), [(LARS, 1, 5000, 100), (LAMB, 5000, 1, 0.1)])
def test_norms_beyond_half_precision_still_give_a_rate(
    kind: type[torch.optim.Optimizer], weight: float, gradient: float, lr: float
) -> None:
    """The norm of a thousand of these exceeds 65504, the largest number of half precision."""
    moved = []
    for dtype in (torch.float16, torch.float32):
        param = torch.nn.Parameter(torch.full((1000,), float(weight), dtype=dtype))
        param.grad = torch.full_like(param, gradient)
        kind([param], lr=lr).step()
        moved.append(weight - param.detach().float())
    assert moved[1].min() > 0
    assert torch.allclose(moved[0], moved[1], rtol=0.02)
