"""Which mode a module is in: eval while it is frozen, and afterwards the one that its user wants."""

import copy

import pytest
import torch
from nets import images, resolve, seeded, snapshot
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import FrozenMoved


def made(rules, model=None, epochs=4, steps=2):
    model = model or seeded()
    plan = resolve(rules, model, epochs, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2)
    return model, optimizer, plan.schedule(model, optimizer)


def train(model, optimizer, schedule, steps=1, inputs=images):
    for seed in range(steps):
        model(inputs(seed)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def put_norms_in_eval(model):
    for norm in norms(model):
        norm.eval()


@pytest.mark.parametrize("frozen", ["stem, mid", "**.1", "stem.1.weight, stem.1.bias"])
@pytest.mark.parametrize("each_epoch", [False, True], ids=["once", "each epoch"])
def test_a_norm_that_the_loop_keeps_in_eval_is_in_eval_after_its_thaw(frozen, each_epoch):
    """The mode that comes back is the one that the user had set, whatever that of the root is."""
    model, optimizer, schedule = made(f"** -> lr 1e-3\nfreeze {frozen} until epoch 2")
    before = snapshot(model)
    for epoch in range(4):
        if each_epoch or not epoch:
            model.train()
            put_norms_in_eval(model)
        train(model, optimizer, schedule, 2)
    assert not schedule.frozen
    assert all(
        torch.equal(before[name], value) for name, value in model.state_dict().items() if "running" in name
    )
    assert model.stem[0].training
    assert model.stem[3].training


def test_a_norm_that_was_frozen_in_mid_run_comes_back_as_it_was():
    """Here in train and there in eval, side by side."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze stem, mid from epoch 1 until epoch 2")
    model.train()
    model.mid[1].eval()
    train(model, optimizer, schedule, 2)
    assert [norm.training for norm in norms(model)] == [False, False]
    train(model, optimizer, schedule, 2)
    assert [norm.training for norm in norms(model)] == [True, False]


class OwnMode(nn.Module):
    """Keeps its norms in eval by a `train` of its own, as detection backbones do."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)

    def train(self, mode=True):
        super().train(mode)
        self.body[1].eval()
        return self

    def forward(self, x):
        return self.head(self.body(x))


def rows(seed):
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


def test_a_net_whose_own_train_keeps_norms_in_eval_keeps_doing_so():
    """Its norms stay in eval through freeze and thaw; its dropout comes back."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze body until epoch 1", OwnMode())
    for _ in range(3):
        model.train()
        train(model, optimizer, schedule, 2, rows)
        model.eval()
    model.train()
    assert not schedule.frozen
    assert [module.training for module in model.body] == [True, False, True]
    assert int(model.body[1].num_batches_tracked) == 0


def restored_after(model, evaluate):
    """Run `evaluate` in eval and give every module back the mode it had, as Lightning does."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    evaluate()
    for module, mode in modes.items():
        module.training = mode


@pytest.mark.parametrize("whole", [True, False], ids=["the root is called", "only its parts are"])
def test_a_thaw_during_an_evaluation_takes_effect_for_training(whole):
    """A loop that restores the modes from before the evaluation would leave it in eval for good."""
    model, optimizer, schedule = made(
        "** -> lr 1e-3\nfreeze body until loss stops falling for 1 epochs", OwnMode()
    )
    nn.Module.train(model)

    def forward(seed):
        return model(rows(seed)) if whole else model.head(model.body(rows(seed)))

    for _ in range(3):
        for seed in range(2):
            forward(seed).sum().backward()
            optimizer.step()
            schedule.step()
        restored_after(model, lambda: (forward(9), schedule.report(loss=1.0)))
        if schedule.frozen:
            assert not any(module.training for module in model.body)
    assert not schedule.frozen
    forward(0)
    assert all(module.training for module in model.body)
    restored_after(model, lambda: forward(9))
    assert all(module.training for module in model.body)


def test_a_model_that_is_evaluated_after_a_thaw_stays_in_eval():
    """What thawed in eval waits for training and is not switched on by evaluations."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze stem until epoch 1")
    model.train()
    train(model, optimizer, schedule)
    model.eval()
    schedule.step()
    assert not schedule.frozen
    first = model(images())
    assert torch.equal(model(images()), first)
    assert not any(module.training for module in model.modules())
    model.train()
    assert model.stem[3].training


def test_a_layer_of_its_own_mode_is_not_held_by_what_happens_beside_it():
    """`train()` on a part says nothing of the modes that were set in other parts."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze stem, mid until epoch 2")
    model.train()
    train(model, optimizer, schedule, 2)
    model.mid.train()
    train(model, optimizer, schedule, 2)
    assert [norm.training for norm in norms(model)] == [True, True]


def test_a_copy_gives_modes_back_as_its_model_does():
    """What the user wants of a module is copied along."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze stem, mid until epoch 2")
    model.train()
    model.mid[1].eval()
    train(model, optimizer, schedule, 2)
    model, optimizer, schedule = copy.deepcopy((model, optimizer, schedule))
    train(model, optimizer, schedule, 2)
    assert not schedule.frozen
    assert [norm.training for norm in norms(model)] == [True, False]


def test_what_a_compiled_model_thaws_trains():
    """Its hooks are traced and note nothing; the mode is that of the root."""
    model, optimizer, schedule = made("** -> lr 1e-3\nfreeze stem until epoch 1")
    model.eval()
    compiled = torch.compile(model, backend="eager")
    compiled.train()
    before = snapshot(model)
    train(compiled, optimizer, schedule, 2)
    assert torch.equal(model.stem[1].running_mean, before["stem.1.running_mean"])
    train(compiled, optimizer, schedule, 2)
    assert model.stem[1].training
    assert not torch.equal(model.stem[1].running_mean, before["stem.1.running_mean"])


def test_statistics_alone_stand_still_while_weights_train():
    """`freeze statistics of` holds the norms it covers in eval, and gives them back at its end."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze statistics of stem until epoch 1")
    model.train()
    before = snapshot(model)
    train(model, optimizer, schedule, 2)
    now = model.state_dict()
    assert torch.equal(now["stem.1.running_mean"], before["stem.1.running_mean"])
    assert not torch.equal(now["stem.1.weight"], before["stem.1.weight"])
    assert not torch.equal(now["mid.1.running_mean"], before["mid.1.running_mean"])
    assert model.stem[3].training
    train(model, optimizer, schedule, 1)
    assert model.stem[1].training
    assert not torch.equal(model.stem[1].running_mean, before["stem.1.running_mean"])


def test_several_modules_under_one_plan_have_modes_and_weights_of_their_own():
    """They are called one by one; what is loaded into one of them is what stands still from then on."""
    parts = {"body": OwnMode().body, "head": nn.Linear(4, 2)}
    plan = layerlr.parse("** -> lr 1e-2\nfreeze body until epoch 2").resolve(
        parts, epochs=4, steps_per_epoch=2
    )
    optimizer = plan.optimizer(parts)
    schedule = plan.schedule(parts, optimizer)
    for epoch in range(3):
        for part in parts.values():
            part.train()
        for seed in range(2):
            parts["head"](parts["body"](rows(seed))).sum().backward()
            optimizer.step()
            schedule.step()
        for part in parts.values():
            part.eval()
        if epoch == 0:
            parts["body"].load_state_dict({k: v + 1 for k, v in parts["body"].state_dict().items()})
            assert schedule.verify() >= 4
    parts["body"].train()
    parts["body"](rows(0))
    assert all(module.training for module in parts["body"])
    schedule.release()
    assert not any(module._forward_pre_hooks for part in parts.values() for module in part.modules())


# ---------------------------------------------------------------- modules without parameters


class Bare(nn.Module):
    """A norm without weights, dropout beside it, and a head."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.body(x))))


def bare(freezes):
    model, optimizer, schedule = made(f"** -> lr 1e-2\n{freezes}", Bare())
    seen = []
    for step in range(8):
        if step % 2 == 0:
            model.train()
        before = model.norm.running_mean.clone()
        train(model, optimizer, schedule, 1, rows)
        seen.append((torch.equal(before, model.norm.running_mean), model.drop.training))
    return model, schedule, seen[::2]


@pytest.mark.parametrize("freezes", ["freeze body, norm", "freeze norm", "freeze body; freeze norm, drop"])
def test_a_norm_without_weights_stands_still_with_what_freezes_it(freezes):
    """It has no parameter to be known by, and its statistics would drift all the same."""
    model, schedule, seen = bare(freezes)
    assert [still for still, _ in seen] == [True] * 4
    assert model.drop.training == ("drop" not in freezes)
    assert schedule.verify() >= 3
    model.norm.running_mean.add_(1.0)
    with pytest.raises(FrozenMoved, match=r"norm\.running_mean"):
        schedule.verify()


def test_modules_without_parameters_thaw_when_the_rules_say():
    """Each at its own time, though no parameter changes there."""
    _, _, seen = bare("freeze norm until epoch 2\nfreeze drop from epoch 1 until epoch 3")
    assert seen == [(True, True), (True, False), (False, False), (False, True)]


def test_everything_but_the_head_takes_dropout_along():
    """`freeze ** except head` leaves nothing of the body that is not the same every time."""
    model, _, _ = bare("freeze ** except head")
    model.train()
    assert torch.equal(model(rows(0)), model(rows(0)))


def test_updating_statistics_goes_for_norms_without_weights_too():
    """What the rule lets go on goes on, and dropout is off all the same."""
    _, _, seen = bare("freeze norm, drop updating statistics")
    assert seen[1:] == [(False, False)] * 3


def test_statistics_of_a_norm_without_weights_stand_still_by_themselves():
    """`freeze statistics of` has nothing else to freeze there."""
    model, _, seen = bare("freeze statistics of body, norm until epoch 1")
    assert [still for still, _ in seen] == [True, False, False, False]
    assert model.body.weight.requires_grad


def test_a_condition_thaws_modules_without_parameters():
    """At the report that makes it come true."""
    model, _, schedule = made("** -> lr 1e-2\nfreeze norm until loss stops falling for 1 epochs", Bare())
    model.train()
    for _ in range(2):
        model(rows(0))
        assert not model.norm.training
        schedule.step()
        schedule.step()
        schedule.report(loss=1.0)
    model(rows(0))
    assert model.norm.training
