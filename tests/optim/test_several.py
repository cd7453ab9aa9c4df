"""Several optimizers as one: everything that takes a torch.optim.Optimizer takes it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
from stepping import imported
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from layerlr_dsl.optim import LayerAdaptive, Several, build


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def named_group(model: nn.Module, name: str, ndim: int, **options: Any) -> dict[str, Any]:
    chosen = [(n, p) for n, p in model.named_parameters() if p.ndim == ndim]
    return {
        "params": [p for _, p in chosen],
        "param_names": [n for n, _ in chosen],
        "name": name,
        **options,
    }


def muon_and_adamw(model: nn.Module, **adamw: Any) -> Several:
    """Muon on the matrices, AdamW on the biases."""
    matrices = build("muon", [named_group(model, "matrices", 2)], {"lr": 0.02})
    biases = build("adamw", [named_group(model, "biases", 1)], {"lr": 0.01, "weight_decay": 0.1, **adamw})
    return Several([matrices, biases])


def backward(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    loss: Tensor = model(torch.randn(6, 4, generator=generator)).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def run(model: nn.Module, optimizer: Any, start: int, stop: int) -> list[Tensor]:
    for step in range(start, stop):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Apart:
    """The same optimizers, stepped one after the other by hand."""

    def __init__(self, optimizers: tuple[Optimizer, ...]) -> None:
        self.optimizers = optimizers

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()


# ---------------------------------------------------------------- stepping


def test_it_steps_as_its_parts_do_alone() -> None:
    """The same weights, to the last bit, as stepping each optimizer by hand."""
    one, other = network(), network()
    apart = Apart(
        (
            torch.optim.Muon([p for p in other.parameters() if p.ndim == 2], lr=0.02),
            torch.optim.AdamW([p for p in other.parameters() if p.ndim == 1], lr=0.01, weight_decay=0.1),
        )
    )
    assert equal(run(one, muon_and_adamw(one), 0, 8), run(other, apart, 0, 8))


def test_groups_are_the_inner_ones_and_state_is_shared() -> None:
    """Writing a group's lr reaches the optimizer that steps it, and each state is seen from both sides."""
    model = network()
    optimizer = muon_and_adamw(model)
    muon, adamw = optimizer.optimizers
    assert optimizer.param_groups == [*muon.param_groups, *adamw.param_groups]
    assert optimizer.param_groups[0] is muon.param_groups[0]
    assert [g["optimizer"] for g in optimizer.param_groups] == ["muon", "adamw"]
    assert optimizer.owner_of(optimizer.param_groups[1]) is adamw
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.param_groups[0]["lr"] = 0.0
    after = run(model, optimizer, 0, 1)
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [False, True, False, True]
    assert set(optimizer.state) == set(model.parameters())
    assert optimizer.state[model[0].weight] is muon.state[model[0].weight]
    assert "momentum_buffer" in optimizer.state[muon.param_groups[0]["params"][0]]


def test_order_puts_the_groups_as_the_plan_has_them() -> None:
    """`order` names groups; the result still steps, saves and loads each with its own optimizer."""
    model = network()
    muon = build("muon", [named_group(model, "matrices", 2)], {})
    biases = [
        {"params": [p], "param_names": [n], "name": n} for n, p in model.named_parameters() if p.ndim == 1
    ]
    optimizer = Several([muon, build("adamw", biases, {})], ["0.bias", "matrices", "2.bias"])
    assert [g["name"] for g in optimizer.param_groups] == ["0.bias", "matrices", "2.bias"]
    run(model, optimizer, 0, 2)
    again = copy.deepcopy(optimizer)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert [g["optimizer"] for g in again.param_groups] == ["adamw", "muon", "adamw"]
    assert len(again.optimizers[1].param_groups) == 2


def test_the_closure_is_evaluated_once() -> None:
    """One evaluation for all of them, with gradients on; its loss is returned."""
    model = network()
    optimizer = muon_and_adamw(model)
    calls: list[bool] = []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        return backward(model, 0)

    expected = network()
    loss = optimizer.step(closure)
    assert calls == [True]
    assert torch.equal(loss, backward(expected, 0))
    reference = muon_and_adamw(expected)
    reference.step()
    assert equal([p.detach() for p in model.parameters()], [p.detach() for p in expected.parameters()])


def test_zero_grad_reaches_every_parameter() -> None:
    """Both to None and to zero."""
    model = network()
    optimizer = muon_and_adamw(model)
    backward(model, 0)
    optimizer.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    """Frozen in one part or the other: no change, no state."""
    model = network()
    optimizer = muon_and_adamw(model)
    backward(model, 0)
    still = [model[0].weight, model[2].bias]
    before = [p.detach().clone() for p in still]
    for param in still:
        param.grad = None
    optimizer.step()
    assert equal([p.detach() for p in still], before)
    assert not any(optimizer.state.get(p) for p in still)


# ---------------------------------------------------------------- hooks


def test_step_hooks_fire_once() -> None:
    """Its own hooks and torch's global ones fire once a step, not once an inner optimizer."""
    model = network()
    optimizer = muon_and_adamw(model)
    seen: list[tuple[str, Any]] = []
    handles = [
        register_optimizer_step_pre_hook(lambda o, a, k: seen.append(("global pre", o))),
        register_optimizer_step_post_hook(lambda o, a, k: seen.append(("global post", o))),
        optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("pre", o))),
        optimizer.register_step_post_hook(lambda o, a, k: seen.append(("post", o))),
    ]
    try:
        run(model, optimizer, 0, 1)
    finally:
        for handle in handles:
            handle.remove()
    assert [what for what, _ in seen] == ["global pre", "pre", "post", "global post"]
    assert all(who is optimizer for _, who in seen)


def test_state_dict_hooks_fire_once() -> None:
    """Hooks around saving and loading see the whole of it."""
    model = network()
    optimizer = muon_and_adamw(model)
    run(model, optimizer, 0, 1)
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving"))
    optimizer.register_state_dict_post_hook(lambda o, s: seen.append(f"saved {len(s['param_groups'])}"))
    optimizer.register_load_state_dict_pre_hook(lambda o, s: seen.append(f"loading {len(s['state'])}"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["saving", "saved 2", "loading 4", "loaded"]


def test_the_profiler_sees_one_step() -> None:
    """torch's profiler records the step under the class's name."""
    model = network()
    optimizer = muon_and_adamw(model)
    backward(model, 0)
    with torch.profiler.profile() as profile:
        optimizer.step()
    steps = [e.key for e in profile.key_averages() if e.key.startswith("Optimizer.step#")]
    assert steps == ["Optimizer.step#Several.step"]


# ---------------------------------------------------------------- groups


def test_a_group_can_be_added_to_the_optimizer_it_names() -> None:
    """The new group gets that optimizer's defaults, steps with it, and is saved with the rest."""
    model, extra = network(), nn.Linear(3, 3)
    optimizer = muon_and_adamw(model)
    optimizer.add_param_group(
        {
            "params": [extra.bias],
            "param_names": ["extra.bias"],
            "name": "extra",
            "optimizer": "adamw",
            "lr": 0.5,
        }
    )
    group = optimizer.param_groups[-1]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.5, 0.1, (0.9, 0.999))
    assert optimizer.optimizers[1].param_groups[-1] is group
    before = extra.bias.detach().clone()
    extra.bias.grad = torch.ones(3)
    optimizer.step()
    assert not torch.equal(before, extra.bias)
    assert len(optimizer.state_dict()["param_groups"]) == 3


@pytest.mark.parametrize(
    ("key", "message"),
    [(None, 'names no optimizer: give it the key \'optimizer\', "muon" or "adamw"'), ("sgd", "names 'sgd'")],
)
def test_a_group_that_names_no_optimizer_is_refused(key: str | None, message: str) -> None:
    """There is no telling which optimizer shall step it, and the message says how to say so."""
    optimizer = muon_and_adamw(network())
    group = {"params": [nn.Parameter(torch.ones(2, 2))], "param_names": ["x"]}
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group(group if key is None else {**group, "optimizer": key})
    assert len(optimizer.param_groups) == 2


def test_a_group_that_its_optimizer_cannot_have_is_refused() -> None:
    """What Muon refuses, and what another optimizer holds, is named; nothing is left half added."""
    model = network()
    optimizer = muon_and_adamw(model)
    vector = {"params": [nn.Parameter(torch.ones(2))], "param_names": ["x.bias"], "optimizer": "muon"}
    with pytest.raises(ValueError, match=r"x\.bias: muon takes only 2-D parameters, and this one is 1-D"):
        optimizer.add_param_group(vector)
    held = {"params": [model[0].weight], "param_names": ["0.weight"], "optimizer": "adamw"}
    with pytest.raises(ValueError, match=r"0\.weight is already in a parameter group"):
        optimizer.add_param_group(held)
    assert [len(o.param_groups) for o in optimizer.optimizers] == [1, 1]
    assert len(optimizer.param_groups) == 2


def test_two_of_a_kind_have_different_names() -> None:
    """A second AdamW is adamw_2, so that groups can be told apart."""
    params = [nn.Parameter(torch.ones(2)) for _ in range(3)]
    optimizer = Several(
        [torch.optim.AdamW([params[0]]), torch.optim.AdamW([params[1]]), LayerAdaptive([params[2]])]
    )
    assert [g["optimizer"] for g in optimizer.param_groups] == ["adamw", "adamw_2", "layer_adaptive"]


def test_what_cannot_be_joined_is_refused() -> None:
    """Nothing at all, one parameter in two optimizers, and LBFGS with its many evaluations."""
    param = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match="need at least one"):
        Several([])
    with pytest.raises(ValueError, match="more than one parameter group"):
        Several([torch.optim.SGD([param]), torch.optim.AdamW([param])])
    with pytest.raises(ValueError, match="LBFGS evaluates the closure many times"):
        Several([torch.optim.LBFGS([param])])


# ---------------------------------------------------------------- saving, copying


def resumed(optimizer: Several, way: str) -> tuple[nn.Module, Several]:
    if way == "deepcopy":
        model, other = copy.deepcopy((optimizer_model[optimizer], optimizer))
        return model, other
    if way == "pickle":
        model, other = pickle.loads(pickle.dumps((optimizer_model[optimizer], optimizer)))
        return model, other
    model = copy.deepcopy(optimizer_model[optimizer])
    other = muon_and_adamw(model)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return model, other


optimizer_model: weakref.WeakKeyDictionary[Several, nn.Module] = weakref.WeakKeyDictionary()


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "load_state_dict"])
def test_training_goes_on_exactly(way: str) -> None:
    """After a copy, a pickle or a load the next steps are those of an uninterrupted run, to the last bit."""
    model = network()
    optimizer = muon_and_adamw(model)
    optimizer_model[optimizer] = model
    run(model, optimizer, 0, 4)
    other_model, other = resumed(optimizer, way)
    assert other.param_groups[0] is other.optimizers[0].param_groups[0]
    held = other.optimizers[1].param_groups[0]["params"][0]
    assert other.state[held] is other.optimizers[1].state[held]
    assert other.param_groups[0]["params"][0] is not optimizer.param_groups[0]["params"][0]
    assert equal(run(other_model, other, 4, 8), run(model, optimizer, 4, 8))


def test_the_state_dict_has_torch_s_format() -> None:
    """Groups hold ids counted through, names and options beside them; state hangs on the ids."""
    model = network()
    optimizer = muon_and_adamw(model)
    run(model, optimizer, 0, 1)
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert [g["params"] for g in saved["param_groups"]] == [[0, 1], [2, 3]]
    assert [g["param_names"] for g in saved["param_groups"]] == [
        ["0.weight", "2.weight"],
        ["0.bias", "2.bias"],
    ]
    assert set(saved["state"][0]) == {"momentum_buffer"}
    assert set(saved["state"][2]) == {"step", "exp_avg", "exp_avg_sq"}


def test_a_state_of_other_optimizers_is_refused() -> None:
    """Saved from AdamW and Muon the other way round: the group is named, and nothing is taken."""
    model, other = network(), network()
    optimizer = muon_and_adamw(model)
    run(model, optimizer, 0, 1)
    swapped = Several(
        [
            torch.optim.AdamW([named_group(other, "matrices", 2)]),
            build("sgd", [named_group(other, "biases", 1)], {"lr": 0.1}),
        ]
    )
    with pytest.raises(ValueError, match="parameter group 0 belongs to muon, here it is one of adamw"):
        swapped.load_state_dict(optimizer.state_dict())
    assert not swapped.state


def test_optimizers_that_look_at_all_their_state_can_be_joined() -> None:
    """Adagrad expects a step count of every state it is given back, which Muon's has not."""
    model = network()
    muon = build("muon", [named_group(model, "matrices", 2)], {})
    optimizer = Several([muon, torch.optim.Adagrad([named_group(model, "biases", 1)], lr=0.1)])
    run(model, optimizer, 0, 2)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    model2, other = copy.deepcopy((model, optimizer))
    assert equal(run(model2, other, 2, 4), run(model, optimizer, 2, 4))


def test_it_is_not_kept_alive() -> None:
    """No cycle holds parameters and state after the last reference is gone."""
    model = network()
    optimizer = muon_and_adamw(model)
    run(model, optimizer, 0, 1)
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert gone() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- torch's tools


SCHEDULERS: dict[str, Any] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.9**t),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, [0.02, 0.01], total_steps=6, cycle_momentum=False),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1), lr_scheduler.ExponentialLR(o, 0.5)], [3]
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_torch_s_schedulers_drive_every_group(name: str) -> None:
    """Each scheduler gives both groups the rates that it gives a plain optimizer with the same groups."""
    model = network()
    optimizer = muon_and_adamw(model)
    plain = torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.02, 0.01)])
    ours, theirs = SCHEDULERS[name](optimizer), SCHEDULERS[name](plain)
    for step in range(5):
        run(model, optimizer, step, step + 1)
        plain.step()
        ours.step()
        theirs.step()
        assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in plain.param_groups]


def test_a_plateau_of_torch_s_lowers_every_group() -> None:
    """ReduceLROnPlateau on both groups."""
    optimizer = muon_and_adamw(network())
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for _ in range(2):
        scheduler.step(1.0)
    assert [g["lr"] for g in optimizer.param_groups] == [0.01, 0.005]


@pytest.mark.parametrize("fused", [False, True])
def test_grad_scaler_unscales_steps_and_skips(fused: bool) -> None:
    """Scaled training gives the unscaled weights; a step with an inf changes nothing in either part."""
    one, other = network(), network()
    optimizer, reference = muon_and_adamw(one, fused=fused), muon_and_adamw(other, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)
    for step in range(4):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        loss = one(torch.randn(6, 4, generator=generator)).square().mean()
        scaler.scale(loss).backward()
        if step % 2:
            scaler.unscale_(optimizer)
        if step == 2:
            before = [p.detach().clone() for p in one.parameters()]
            assert one[2].bias.grad is not None
            one[2].bias.grad[0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        if step == 2:
            assert equal([p.detach() for p in one.parameters()], before)
        else:
            run(other, reference, step, step + 1)
    assert scaler.get_scale() == 512.0
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_grad_scaler_leaves_scaling_to_optimizers_that_all_can() -> None:
    """Two fused ones get scale and inf flag handed down, and lose them after the step."""
    one, other = network(), network()

    def fused(model: nn.Module) -> Several:
        sgd = torch.optim.SGD([named_group(model, "matrices", 2)], lr=0.1, fused=True)
        return Several([sgd, torch.optim.AdamW([named_group(model, "biases", 1)], fused=True)])

    optimizer = fused(one)
    assert optimizer._step_supports_amp_scaling
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(backward_loss(one)).backward()
    scaler.step(optimizer)
    scaler.update()
    run(other, fused(other), 0, 1)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
    backward(one, 1)
    optimizer.step()
    assert not any(hasattr(inner, "grad_scale") for inner in optimizer.optimizers)
    assert not muon_and_adamw(network(), fused=True)._step_supports_amp_scaling


def backward_loss(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return model(torch.randn(6, 4, generator=generator)).square().mean()  # type: ignore[no-any-return]


def test_distributed_checkpoints_take_its_state_by_name() -> None:
    """get_optimizer_state_dict and set_optimizer_state_dict carry both parts' state, fresh or not."""
    from torch.distributed.checkpoint import state_dict as dcp

    model, other = network(), network()
    optimizer, fresh = muon_and_adamw(model), muon_and_adamw(other)
    run(model, optimizer, 0, 3)
    saved = dcp.get_optimizer_state_dict(model, optimizer)
    assert set(saved["state"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert set(dcp.get_optimizer_state_dict(other, fresh)["state"]) == set(saved["state"])
    dcp.set_optimizer_state_dict(other, fresh, copy.deepcopy(saved))
    assert equal(run(other, fresh, 3, 6), run(model, optimizer, 3, 6))


def test_its_step_can_be_compiled() -> None:
    """torch.compile goes through the parts, with the same result."""
    one, other = network(), network()
    optimizer, reference = muon_and_adamw(one), muon_and_adamw(other)
    run(one, optimizer, 0, 1)
    run(other, reference, 0, 1)
    optimizer.step = torch.compile(optimizer.step, backend="eager")  # type: ignore[method-assign]
    for mine, theirs in zip(run(one, optimizer, 1, 3), run(other, reference, 1, 3), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_accelerate_prepares_it() -> None:
    """accelerate wraps it, moves its state and steps it."""
    accelerate = imported("accelerate")
    one, other = network(), network()
    optimizer = muon_and_adamw(one)
    accelerator = accelerate.Accelerator(cpu=True)
    model, prepared = accelerator.prepare(one, optimizer)
    for step in range(3):
        prepared.zero_grad()
        generator = torch.Generator().manual_seed(step)
        accelerator.backward(model(torch.randn(6, 4, generator=generator)).square().mean())
        prepared.step()
    expected = run(other, muon_and_adamw(other), 0, 3)
    assert equal([p.detach() for p in one.parameters()], expected)
