"""What trains by the rules, runs, and gets no gradient is told of in the first steps; what may be meant is not."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint_sequential

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning

STEPS = 20
FROZEN = "** -> lr 0.01\nfreeze 0"


def net(layers=8):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))


def made(rules, model):
    plan = layerlr.parse(rules).resolve(model, epochs=4, steps_per_epoch=5)
    optimizer = plan.optimizer(model)
    return optimizer, plan.schedule(model, optimizer)


def train(model, loss, rules=FROZEN, steps=STEPS):
    """Train, and return what was said."""
    optimizer, schedule = made(rules, model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(steps):
            optimizer.zero_grad()
            loss(model, step).backward()
            optimizer.step()
            schedule.step()
    return [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


def watched(model):
    """The modules that a hook of the watch is left on."""
    return [
        name
        for name, module in model.named_modules()
        if any(
            type(hook).__module__.endswith("lost_gradients") for hook in module._forward_pre_hooks.values()
        )
    ]


def x():
    return torch.randn(3, 4)


def in_two(model, step):
    return checkpoint_sequential(model, 2, x(), use_reentrant=True).sum()


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (FROZEN, "1, 2, 3, which train"),
        ("** -> lr 0.01", "0, 1, 2, 3, which train"),
        ("** -> lr 0.01\nfreeze {0..3} until epoch 2", "0, 1, 2, 3, which train"),
    ],
    ids=["behind a frozen layer", "behind plain inputs", "after a thaw"],
)
def test_checkpointed_layers_that_learn_nothing_are_named_once(rules, named):
    """`checkpoint_sequential` never calls the model itself, and its first segment has no gradient to carry."""
    (told,) = train(net(), in_two, rules)
    assert named in told
    assert "use_reentrant=False" in told


def without_autograd(model, step):
    with torch.no_grad():
        hidden = model[1](model[0](x()))
    return model[2](hidden).sum()


def test_layers_that_run_without_autograd_are_named():
    """A backbone in `no_grad`, and a head behind it."""
    (told,) = train(net(3), without_autograd)
    assert "no gradient has reached 1 in the first 8 optimizer steps" in told
    assert "torch.no_grad()" in told


def test_most_of_a_model_behind_detach_is_named():
    """Features are detached by mistake: nothing but the head trains."""
    (told,) = train(net(), lambda model, step: model[7](model[:7](x()).detach()).sum())
    assert "no gradient has reached 1, 2, 3, 4, 5, 6 in" in told
    assert "detached" in told


class Branches(nn.Module):
    """A trunk, a layer that is not used, and experts of which one runs."""

    def __init__(self):
        super().__init__()
        self.trunk, self.aside = net(4), nn.Linear(4, 4)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(9))

    def forward(self, x, expert=0):
        hidden = self.trunk(x)
        self.aside(hidden)
        return self.experts[expert](hidden)


def closures(model, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = model(x()).square().sum()
        loss.backward()
        return loss

    return closure


def turns(model, step):
    """A critic learns five times, on what a generator gives out without autograd, and then the generator once."""
    if step % 6 < 5:
        with torch.no_grad():
            given = model[:4](x())
        return model[4:](given).sum()
    return model[4:](model[:4](x())).sum()


def played_before(model, step):
    """A policy plays without autograd, and learns from it."""
    with torch.no_grad():
        model(x())
    return model(x()).sum()


@pytest.mark.parametrize(
    ("model", "loss", "rules"),
    [
        (net, turns, FROZEN),
        (net, played_before, FROZEN),
        (Branches, lambda model, step: model(x()).sum(), "** -> lr 0.01\nfreeze trunk.0"),
        (Branches, lambda model, step: model(x(), step % 3).sum(), "** -> lr 0.01\nfreeze trunk.0"),
        (net, lambda model, step: checkpoint_sequential(model, 2, x(), use_reentrant=False).sum(), FROZEN),
        (net, lambda model, step: model(x()).sum(), "** -> lr 0.01\nunfreeze 7 then 6 then 5 every 3 steps"),
    ],
    ids=["turns", "played before", "unused", "experts", "without reentry", "turns of layers"],
)
def test_what_may_be_meant_is_no_fault(model, loss, rules):
    """Some of what trains has no gradient in a step, and all is well."""
    model = model()
    assert train(model, loss, rules) == []
    assert watched(model) == []


def test_an_optimizer_that_calls_a_closure_has_its_gradients_later():
    """LBFGS is looked at ahead of its step, and the closure runs in it."""
    model = net()
    plan = layerlr.parse(FROZEN).resolve(model, epochs=4, steps_per_epoch=5)
    optimizer = torch.optim.LBFGS([p for group in plan.param_groups(model) for p in group["params"]], lr=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for _ in range(STEPS):
            optimizer.step(closures(model, optimizer))


def test_gradients_that_are_gone_before_the_step_were_there():
    """A loop that moves them elsewhere, as DeepSpeed does, and gives them back for the step of a part."""
    model = net()
    optimizer, schedule = made(FROZEN, model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for _ in range(STEPS):
            model(x()).sum().backward()
            model.zero_grad()
            optimizer.step()
            schedule.step()


def test_a_watched_model_copies_and_is_let_go():
    """Copies go on by themselves, and `release` takes every hook off in the middle of the watch."""
    model = net(3)
    optimizer, schedule = made(FROZEN, model)
    without_autograd(model, 0).backward()
    optimizer.step()
    assert watched(model) == ["", "1"]
    copied = copy.deepcopy(model)
    copied(x()).sum().backward()
    assert copied[1].weight.grad is not None
    schedule.release()
    assert watched(model) == []
    assert not model[1].weight._backward_hooks
