"""LayerAdaptive against the published loop, and what it owes to torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from stepping import SHAPES, assert_close, behaves_as_torch_s_do, gradients, parameters, train
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode

from layerlr_dsl.optim import LayerAdaptive, pieces


class Published:
    """The method as a plain loop: one tensor at a time, each mean read back with `.item()`."""

    def __init__(
        self,
        params: Sequence[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.params, self.lr, self.betas, self.eps = params, lr, betas, eps
        self.weight_decay, self.maximize = weight_decay, maximize
        self.m = [torch.zeros_like(p) for p in params]
        self.v = [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self) -> None:
        beta1, beta2 = self.betas
        for p, m, v in zip(self.params, self.m, self.v, strict=True):
            if p.grad is None:
                continue
            g = -p.grad if self.maximize else p.grad
            m.mul_(beta1).add_(g, alpha=1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            rate = self.lr * (m.abs() / (v.sqrt() + self.eps)).mean().item()
            p.mul_(1 - self.lr * self.weight_decay)
            p.sub_(m, alpha=rate)


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"lr": 0.1, "betas": (0.5, 0.9)},
    {"lr": 0.1, "betas": (0.0, 0.0)},
    {"lr": 0.05, "weight_decay": 0.3},
    {"lr": 0.05, "maximize": True, "eps": 1e-2},
)


@pytest.mark.parametrize("foreach", [None, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_takes_the_published_steps(options: dict[str, Any], foreach: bool | None) -> None:
    """Within 5e-7 of the loop in single precision, and to the last digits in double."""
    for dtype, tolerance in ((torch.float32, 5e-7), (torch.float64, 1e-14)):
        ours, theirs = parameters(dtype=dtype), parameters(dtype=dtype)
        one = train(LayerAdaptive(ours, foreach=foreach, **options), ours)
        assert_close(one, train(Published(theirs, **options), theirs), tolerance)


@pytest.mark.parametrize("size", [1, 7, 13, 60, 1199, 1200])
def test_pieces_of_any_size_give_the_same_steps(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that do not fit the scratch space are taken in pieces, small ones together."""
    monkeypatch.setattr(pieces, "CPU_PIECE", size)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    ours, theirs = parameters((*SHAPES, (0, 3))), parameters((*SHAPES, (0, 3)))
    one = train(LayerAdaptive(ours, lr=0.1), ours)
    other = train(LayerAdaptive(theirs, lr=0.1, foreach=False), theirs)
    assert_close(one, other, 5e-7)


def test_the_mean_is_right_over_millions_of_elements() -> None:
    """A sum of absolute values in one running total would be off by 1e-5; the mean is not."""
    ours, theirs = parameters([(2_400_000,)]), parameters([(2_400_000,)])
    one = train(LayerAdaptive(ours, lr=1.0), ours, 1)
    assert_close(one, train(Published(theirs, lr=1.0), theirs, 1), 5e-7)


def test_channels_last_and_strange_strides_are_right() -> None:
    """The fused kernel knows no strides: what does not lie alike must not go through it."""
    start = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    plain = [Parameter(start.clone())]
    expected = train(LayerAdaptive(plain, lr=0.1), plain)
    last = [Parameter(start.clone().to(memory_format=torch.channels_last))]
    optimizer = LayerAdaptive(last, lr=0.1)
    for grads in gradients(last, 12):
        last[0].grad = grads[0].to(memory_format=torch.channels_last)
        optimizer.step()
    assert optimizer.state[last[0]]["exp_avg"].is_contiguous(memory_format=torch.channels_last)
    assert_close([last[0].detach()], expected, 5e-7)

    mixed = [Parameter(start.clone().to(memory_format=torch.channels_last))]
    assert_close(train(LayerAdaptive(mixed, lr=0.1), mixed), expected, 5e-7)
    turned = [Parameter(start.clone().permute(2, 0, 3, 1).contiguous().permute(1, 3, 0, 2))]
    assert not turned[0].is_contiguous()
    assert_close(train(LayerAdaptive(turned, lr=0.1), turned), expected, 5e-7)


def test_state_of_another_layout_can_be_loaded() -> None:
    """A checkpoint of a contiguous model goes on rightly in a channels-last one."""
    plain = parameters([(4, 6, 5, 5)])
    optimizer = LayerAdaptive(plain, lr=0.1)
    train(optimizer, plain, 3)
    last = [Parameter(plain[0].detach().clone().to(memory_format=torch.channels_last))]
    resumed = LayerAdaptive(last, lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for grads in gradients(last, 3):
        last[0].grad = grads[0].to(memory_format=torch.channels_last)
        resumed.step()
    assert_close([last[0].detach()], train(optimizer, plain, 3), 5e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_single(dtype: torch.dtype) -> None:
    """The rate is not rounded to half precision, only what is stored is."""
    halves, singles = parameters(dtype=dtype), parameters()
    train(LayerAdaptive(halves, lr=0.1, eps=1e-3), halves, 6)
    train(LayerAdaptive(singles, lr=0.1, eps=1e-3), singles, 6)
    for half, single in zip(halves, singles, strict=True):
        assert half.dtype == dtype
        assert torch.allclose(half.float(), single, atol=0.03, rtol=0.02)


def test_one_group_may_mix_precisions() -> None:
    """Tensors of several types in one group each take their own steps."""
    mixed = [*parameters([(3, 3)], torch.float32), *parameters([(3, 3)], torch.float64)]
    optimizer = LayerAdaptive(mixed, lr=0.1)
    train(optimizer, mixed, 3)
    for param in mixed:
        alone = parameters([(3, 3)], param.dtype)
        theirs = Published(alone, lr=0.1)
        generator = list(gradients(mixed, 3))
        index = next(i for i, p in enumerate(mixed) if p is param)
        for grads in generator:
            alone[0].grad = grads[index]
            theirs.step()
        assert_close([param.detach()], [alone[0].detach()], 5e-7)


def test_it_is_not_scale_invariant() -> None:
    """Gradients 1024 times as large make updates 1024 times as large; AdamW's hardly change."""

    def update(build: Any, scale: float) -> Tensor:
        params = parameters([(30,)], torch.float64)
        before = params[0].detach().clone()
        return train(build(params), params, 5, scale)[0] - before

    ratio = update(LayerAdaptive, 1024.0) / update(LayerAdaptive, 1.0)
    assert torch.allclose(ratio, torch.full_like(ratio, 1024.0), rtol=1e-4)

    def adamw(params: Any) -> torch.optim.AdamW:
        return torch.optim.AdamW(params, weight_decay=0.0)

    ratio = update(adamw, 1024.0) / update(adamw, 1.0)
    assert torch.allclose(ratio, torch.ones_like(ratio), rtol=1e-4)


def test_it_does_what_torch_s_optimizers_do() -> None:
    """No gradient no change, closure once, exact resume, copies that go on alike, clear refusals, no reads."""
    behaves_as_torch_s_do(lambda params: LayerAdaptive(params, lr=0.1))


def test_the_fast_path_reads_nothing_back_either() -> None:
    """No operation of a step turns a tensor into a number, on the path that a CPU and a GPU take."""

    class NoReads(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert "_local_scalar_dense" not in str(func), "a value was read back"
            assert "_to_copy" not in str(func), "a tensor was copied to another place"
            return func(*args, **(kwargs or {}))

    params = parameters()
    optimizer = LayerAdaptive(params, lr=0.1, weight_decay=0.1)
    train(optimizer, params, 1)
    with NoReads():
        optimizer.step()
    loop = Published(params)
    with pytest.raises(AssertionError, match="read back"), NoReads():
        loop.step()


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_rate_as_a_tensor_and_a_rate_changed_in_place_take_effect(shape: tuple[int, ...]) -> None:
    """lr may be a one-element tensor, which a CUDA graph can follow, and is read at every step."""
    ours, theirs = parameters(), parameters()
    rate = torch.full(shape, 0.1)
    one, other = LayerAdaptive(ours, lr=rate, weight_decay=0.1), Published(theirs, lr=0.1, weight_decay=0.1)
    train(one, ours, 2)
    train(other, theirs, 2)
    rate.fill_(0.02)
    other.lr = 0.02
    assert_close(train(one, ours, 2), train(other, theirs, 2), 5e-7)


def test_groups_have_their_own_options() -> None:
    """Each group steps by its own lr, betas and weight decay."""
    ours, theirs = parameters(), parameters()
    options = ({"lr": 0.1}, {"lr": 0.01, "betas": (0.5, 0.5), "weight_decay": 0.2})
    optimizer = LayerAdaptive([{"params": ours[:2], **options[0]}, {"params": ours[2:], **options[1]}])
    one = train(optimizer, ours)

    class Both:
        parts = (Published(theirs[:2], **options[0]), Published(theirs[2:], **options[1]))

        def step(self) -> None:
            for part in self.parts:
                part.step()

    assert_close(one, train(Both(), theirs), 5e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must be >= 0, not -1.0"),
        ({"lr": float("nan")}, "lr must be finite"),
        ({"betas": (0.9, 1.0)}, "betas must be a pair of numbers"),
        ({"eps": -1e-8}, "eps must be >= 0"),
        ({"lr": torch.ones(2)}, "lr as a tensor must have one element, not 2"),
    ],
)
def test_options_out_of_their_domain_are_refused(options: dict[str, Any], message: str) -> None:
    """The constructor names the option, what it takes and what it got."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        LayerAdaptive(parameters(), **options)


def test_a_changing_set_of_parameters_keeps_no_stale_scratch() -> None:
    """Parameters that freeze and thaw, and models that change size, step rightly from kept layouts."""
    ours, theirs = parameters(), parameters()
    one, other = LayerAdaptive(ours, lr=0.1), Published(theirs, lr=0.1)
    for step, (mine, yours) in enumerate(zip(gradients(ours, 12), gradients(theirs, 12), strict=True)):
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            frozen = (step + index) % 3 == 0
            a.grad, b.grad = (None, None) if frozen else (mine[index], yours[index])
        one.step()
        other.step()
    assert_close([p.detach() for p in ours], [p.detach() for p in theirs], 5e-7)


def test_the_step_can_be_traced_whole() -> None:
    """torch.compile takes the plain path, with the same result."""
    ours, theirs = parameters(SHAPES[:3]), parameters(SHAPES[:3])
    optimizer = LayerAdaptive(ours, lr=0.1)
    train(optimizer, ours, 1)
    other = LayerAdaptive(theirs, lr=0.1)
    train(other, theirs, 1)
    optimizer.step = torch.compile(optimizer.step, backend="aot_eager")  # type: ignore[method-assign]
    assert_close(train(optimizer, ours, 3), train(other, theirs, 3), 5e-7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_takes_the_published_steps_without_waiting() -> None:
    """The same steps as the loop, with torch told to raise at any host sync; captured in a graph too."""
    ours = [Parameter(p.detach().cuda()) for p in parameters()]
    theirs = [Parameter(p.detach().cuda()) for p in parameters()]
    optimizer = LayerAdaptive(ours, lr=torch.tensor(0.1, device="cuda"))
    expected = train(Published(theirs, lr=0.1), theirs, 5)
    train(optimizer, ours, 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    ours = [Parameter(p.detach().cuda()) for p in parameters()]
    optimizer = LayerAdaptive(ours, lr=torch.tensor(0.1, device="cuda"))
    assert_close(train(optimizer, ours, 5), expected, 5e-6)
    graph = torch.cuda.CUDAGraph()
    before = ours[0].detach().clone()
    with torch.cuda.graph(graph):
        optimizer.step()
    graph.replay()
    assert not torch.equal(before, ours[0])
