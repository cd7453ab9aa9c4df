"""Parameters with gradients to step, and the other packages' optimizers to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from layerlr_dsl.model.torchvision_compat import with_torchvision

SHAPES: tuple[tuple[int, ...], ...] = ((5, 3), (7,), (2, 3, 2, 2), (), (40, 30))


def parameters(
    shapes: Sequence[tuple[int, ...]] = SHAPES, dtype: torch.dtype = torch.float32
) -> list[Parameter]:
    generator = torch.Generator().manual_seed(7)
    return [Parameter(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype)) for s in shapes]


def gradients(params: Sequence[Tensor], steps: int, scale: float = 1.0) -> Iterator[list[Tensor]]:
    """Fresh gradients for each step, the same ones at every call."""
    generator = torch.Generator().manual_seed(11)
    for _ in range(steps):
        yield [
            (torch.randn(p.shape, generator=generator, dtype=torch.float64) * scale + 0.1 * scale).to(p.dtype)
            for p in params
        ]


def train(optimizer: Any, params: Sequence[Tensor], steps: int = 12, scale: float = 1.0) -> list[Tensor]:
    """Step through the gradients above; the parameters as they end."""
    for grads in gradients(params, steps, scale):
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad.to(param.device)
        optimizer.step()
    return [param.detach().clone() for param in params]


def assert_close(ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        if one.numel():
            assert (one - other).abs().max().item() <= tolerance


def imported(name: str) -> Any:
    """A package that looks for torchvision, or a skip where it is not installed."""
    pytest.importorskip(name.partition(".")[0], exc_type=ImportError) if name.startswith("pytorch") else None
    try:
        return with_torchvision(lambda: import_module(name))
    except ModuleNotFoundError:
        pytest.skip(f"{name} is not installed")


Build = Callable[[Any], Optimizer]


def behaves_as_torch_s_do(build: Build) -> None:
    """What every optimizer of ours owes: None gradients, closures, saving, copying, clear refusals."""
    untouched_without_a_gradient(build)
    closure_runs_once(build)
    survives_saving_and_copying(build)
    refuses_what_it_cannot_do(build)
    never_reads_a_tensor(build)


def untouched_without_a_gradient(build: Build) -> None:
    params = parameters()
    before = [p.detach().clone() for p in params]
    optimizer = build(
        [{"params": params[:2], "weight_decay": 0.1}, {"params": params[2:], "weight_decay": 0.1}]
    )
    params[0].grad = torch.ones_like(params[0])
    optimizer.step()
    assert not torch.equal(params[0], before[0])
    assert all(torch.equal(p, b) for p, b in zip(params[1:], before[1:], strict=True))
    assert not any(optimizer.state.get(p) for p in params[1:])
    params[0].grad = None
    moved = params[0].detach().clone()
    optimizer.step()
    assert torch.equal(params[0], moved)


def closure_runs_once(build: Build) -> None:
    (param,) = parameters([(4,)])
    optimizer = build([param])
    calls = []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    expected = (param.detach() ** 2).sum()
    assert torch.equal(optimizer.step(closure), expected)  # type: ignore[arg-type, call-overload]
    assert calls == [True]


def survives_saving_and_copying(build: Build) -> None:
    import copy
    import pickle

    params = parameters()
    optimizer = build(params)
    train(optimizer, params, 4)

    other = parameters()
    for mine, theirs in zip(other, params, strict=True):
        mine.data.copy_(theirs.data)
    loaded = build(other)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    copied = copy.deepcopy(optimizer)
    pickled = pickle.loads(pickle.dumps(optimizer))
    expected = train(optimizer, params, 3)
    for again in (loaded, copied, pickled):
        own = [p for group in again.param_groups for p in group["params"]]
        assert all(torch.equal(a, b) for a, b in zip(train(again, own, 3), expected, strict=True))


def refuses_what_it_cannot_do(build: Build) -> None:
    param = Parameter(torch.ones(4, 2))
    optimizer = build([("embed.weight", param)])
    param.grad = torch.ones(4, 2).to_sparse()
    with pytest.raises(RuntimeError, match=r"does not support sparse gradients: embed\.weight"):
        optimizer.step()
    complex_param = Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = build([complex_param])
    complex_param.grad = torch.ones_like(complex_param)
    with pytest.raises(RuntimeError, match="does not support complex parameters: parameter 0"):
        optimizer.step()


def never_reads_a_tensor(build: Build) -> None:
    """On the meta device there is nothing to read: whatever needed a value on the host would raise."""
    params = [Parameter(torch.empty(s, device="meta")) for s in SHAPES]
    optimizer = build(params)
    for _ in range(3):
        for param in params:
            param.grad = torch.empty_like(param)
        optimizer.step()
    assert all(p.is_meta for p in params)
