"""Frozen means that the bytes do not change, whatever the loop does."""

import copy
import gc
import warnings

import pytest
import torch
from nets import Net, Stack, images, moved, resolve, seeded, snapshot
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from layerlr_dsl.training.errors import FrozenMoved, ScheduleWarning, TrainingError

STEM_AND_MID = "** -> lr 1e-2\nfreeze stem\nfreeze mid until epoch 2"


def made(rules, model=None, make=torch.optim.AdamW, epochs=4, steps=2, **settings):
    model = model or seeded()
    plan = resolve(rules, model, epochs, steps)
    optimizer = make(plan.param_groups(model), **{"lr": 1e-2, **settings})
    return model, optimizer, plan.schedule(model, optimizer)


def backward(model, seed=0):
    model(images(seed)).square().sum().backward()


def test_gradients_are_gone_at_the_boundary():
    """The flag alone is no freeze: a gradient that is still there would move the weight and the clipping norm."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from epoch 1")
    for _ in range(2):
        backward(model)
        optimizer.step()
        schedule.step()
    assert all(p.grad is None for p in model.mid.parameters())
    assert all(p.grad is not None for p in model.head.parameters())


def test_gradients_that_someone_puts_back_are_dropped_before_the_step():
    """A loop that fills in gradients by hand, or sets all flags, moves nothing that is frozen."""
    model, optimizer, _ = made(STEM_AND_MID)
    model.requires_grad_(True)
    before = snapshot(model)
    backward(model)
    model.stem[0].weight.grad = torch.full_like(model.stem[0].weight, float("nan"))
    optimizer.step()
    assert moved(before, model) == {n for n in before if n.startswith(("attention", "head"))}


def test_a_closure_that_refills_gradients_moves_nothing_frozen():
    """Hooks run before the closure, and the closure runs backward: its gradients are dropped as well."""
    model, optimizer, _ = made(STEM_AND_MID)
    before = snapshot(model)

    def closure():
        optimizer.zero_grad()
        model.requires_grad_(True)
        loss = model(images()).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) > 0
    assert moved(before, model) == {n for n in before if n.startswith(("attention", "head"))}
    assert optimizer.step(closure=closure) > 0
    assert not {n for n in moved(before, model) if n.startswith(("stem", "mid"))}


def test_the_clipping_norm_is_that_of_live_gradients():
    """A stale gradient of a thousand in a frozen layer would scale every live one to nothing."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from epoch 1")
    for _ in range(2):
        backward(model)
        for p in model.mid.parameters():
            p.grad.fill_(1000.0)
        optimizer.step()
        schedule.step()
    optimizer.zero_grad(set_to_none=False)
    backward(model)
    live = torch.stack([p.grad.norm() for p in model.parameters() if p.requires_grad]).norm()
    assert torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) == pytest.approx(float(live))


def test_what_thaws_for_the_first_time_has_fresh_state():
    """Adam's moments and step of a late starter begin at its own first step."""
    model, optimizer, schedule = made(STEM_AND_MID)
    for _ in range(5):
        backward(model)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    weight = model.mid[0].weight
    assert float(optimizer.state[weight]["step"]) == 1
    assert float(optimizer.state[model.head.weight]["step"]) == 5
    assert model.stem[0].weight not in optimizer.state


def test_what_trained_before_goes_on_with_the_state_it_had():
    """A frozen stretch leaves moments and step exactly where they were."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from epoch 1 until epoch 2")
    weight = model.mid[0].weight
    for tick in range(5):
        if tick == 2:
            kept = copy.deepcopy(dict(optimizer.state[weight]))
        if tick == 4:
            assert all(torch.equal(optimizer.state[weight][k], v) for k, v in kept.items())
        backward(model)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert float(optimizer.state[weight]["step"]) == 3


def test_unplanned_parameters_keep_the_flag_they_came_with():
    """A freeze owns only what it names; what the user froze stays so, what trains stays so."""
    model = seeded()
    model.attention.requires_grad_(False)
    model, _, schedule = made("** -> lr 1e-2\nfreeze mid until epoch 1", model)
    for _ in range(4):
        schedule.step()
    assert not any(p.requires_grad for p in model.attention.parameters())
    assert all(p.requires_grad for p in model.mid.parameters())


def test_an_unfreeze_thaws_what_the_model_came_frozen_with():
    """Naming a layer in unfreeze makes its flag the plan's, whatever it was before."""
    model = seeded()
    model.mid.requires_grad_(False)
    model, _, schedule = made("** -> lr 1e-2\nunfreeze mid at epoch 1", model)
    schedule.step()
    assert not model.mid[0].weight.requires_grad
    schedule.step()
    assert model.mid[0].weight.requires_grad


def test_an_inf_in_a_frozen_gradient_does_not_skip_the_scaled_step():
    """GradScaler looks at every gradient there is; a frozen one must not be among them."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from epoch 1")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for _ in range(2):
        scaler.scale(model(images()).square().sum()).backward()
        model.mid[0].weight.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    before = snapshot(model)
    scaler.scale(model(images()).square().sum()).backward()
    for p in model.parameters():
        if p.grad is not None:
            p.grad.nan_to_num_(0.0, 0.0, 0.0)
    scaler.step(optimizer)
    assert "head.weight" in moved(before, model)
    assert not {n for n in moved(before, model) if n.startswith("mid")}


def test_statistics_stand_still_though_the_loop_calls_train():
    """model.train() each epoch sets BatchNorm going again; frozen it must not drift, thawed it must."""
    model, optimizer, schedule = made(STEM_AND_MID)
    for epoch in range(4):
        model.train()
        before = snapshot(model)
        for seed in range(2):
            backward(model, seed)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        gone = moved(before, model)
        assert not {n for n in gone if n.startswith("stem")}
        assert ("mid.1.running_mean" in gone) == (epoch >= 2)


def test_statistics_go_on_where_the_rules_say_so():
    """`updating statistics` freezes the weights of a normalisation layer and not its averages."""
    model, optimizer, _ = made("** -> lr 1e-2\nfreeze stem updating statistics\nfreeze mid")
    model.train()
    before = snapshot(model)
    backward(model)
    optimizer.step()
    gone = moved(before, model)
    assert {n for n in gone if n.startswith("stem")} == {
        f"stem.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert not {n for n in gone if n.startswith("mid")}
    assert not model.stem[3].training


def test_functional_dropout_in_frozen_attention_is_off():
    """MultiheadAttention drops by its own flag and not by a Dropout module below it."""
    model, _, _ = made("** -> lr 1e-2\nfreeze stem\nfreeze mid\nfreeze attention")
    model.train()
    with torch.no_grad():
        assert torch.equal(model(images()), model(images()))


def test_only_wholly_frozen_subtrees_are_in_eval():
    """One training parameter below a module keeps it, and what stands beside it, in train mode."""
    model, _, _ = made("** -> lr 1e-2\nfreeze stem.0\nfreeze mid")
    model.train()
    model(images())
    assert [m.training for m in model.stem] == [False, True, True, True]
    assert model.stem.training
    assert not any(m.training for m in model.mid.modules())


def test_thawed_modules_train_again_only_if_the_root_does():
    """A thaw during evaluation must not switch dropout on in a model that is in eval."""
    model, _, schedule = made("** -> lr 1e-2\nfreeze mid until epoch 1")
    model.eval()
    schedule.step()
    schedule.step()
    assert not model.mid.training
    model.train()
    other, _, schedule = made("** -> lr 1e-2\nfreeze mid until epoch 1")
    other.train()
    other(images())
    schedule.step()
    schedule.step()
    assert other.mid.training
    assert other.mid[1].training


def test_norm_layers_that_were_converted_after_binding_stand_still_too():
    """convert_sync_batchnorm puts other modules around the same parameters and statistics."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze stem, mid until epoch 1")
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    before = snapshot(model, ["stem", "mid"])
    for _ in range(2):
        model.train()
        backward(model)
        optimizer.step()
        schedule.verify()
        schedule.step()
    assert moved(before, model) == set()
    assert not schedule.frozen


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_the_memory_of_lbfgs_does_not_move_what_freezes(search):
    """Its direction spans all parameters and is made of past steps, in which the frozen ones still trained."""
    model = seeded(Stack)
    plan = resolve("freeze layers.1 from epoch 1 until epoch 2", model, 3)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3, line_search_fn=search)
    schedule = plan.schedule(model, optimizer)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - x.flip(1)).square().sum()
        loss.backward()
        return loss

    losses = []
    for _ in range(6):
        before = snapshot(model)
        losses.append(optimizer.step(closure).item())
        assert ("layers.1.weight" in moved(before, model)) == (not schedule.frozen)
        schedule.step()
    assert losses == sorted(losses, reverse=True)


def test_looking_up_a_frozen_embedding_does_not_shorten_its_rows():
    """`max_norm` writes into the weight at every look-up, in eval too; after the thaw it goes on."""
    model = nn.Sequential(nn.Embedding(5, 4, max_norm=0.5), nn.Linear(4, 2))
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze 0 until epoch 1", model)
    before = snapshot(model, ["0."])
    for _ in range(2):
        model(torch.arange(5)).sum().backward()
        optimizer.step()
        assert moved(before, model) == set()
        schedule.step()
    copied = copy.deepcopy(model)
    for thawed in (model, copied):
        thawed(torch.arange(5))
        assert thawed[0].weight.norm(dim=1).max() <= 0.5 + 1e-4


def test_a_part_called_without_its_root_is_in_eval_too():
    """Loops that call model.stem(x) never run a hook on the root."""
    model, _, _ = made(STEM_AND_MID)
    model.train()
    before = snapshot(model, ["stem"])
    model.stem(images())
    assert moved(before, model) == set()


def test_children_of_a_frozen_module_list_are_in_eval():
    """A ModuleList is never called, so a hook on it never fires; its children carry it."""
    holder = nn.Module()
    holder.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(2)])
    holder.head = nn.Linear(4, 2)
    made("** -> lr 1e-2\nfreeze blocks", holder)
    holder.train()
    before = snapshot(holder)
    for block in holder.blocks:
        block(torch.randn(8, 4))
    assert moved(before, holder) == set()


def train_averaging(model, optimizer, schedule, average):
    for seed in range(3):
        backward(model, seed)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.update_parameters(model)


def test_an_average_of_the_model_keeps_frozen_statistics_through_update_bn():
    """update_bn clears all statistics of the averaged copy; frozen ones are put back, live ones measured."""
    started = seeded()
    started.stem[1].running_mean.fill_(3.0)
    model, optimizer, schedule = made(STEM_AND_MID, started)
    average = AveragedModel(model)
    train_averaging(model, optimizer, schedule, average)
    before = snapshot(model)
    update_bn([images(s) for s in range(4)], average)
    assert moved(before, model) == set()
    assert torch.equal(average.module.stem[1].running_mean, model.stem[1].running_mean)
    assert average.module.stem[1].momentum == model.stem[1].momentum
    schedule.verify()


def test_an_average_that_was_copied_during_a_freeze_thaws_with_its_model():
    """It is made in the first step, and measures its own statistics at the end, those of thawed layers too."""
    started = seeded()
    started.stem[1].running_mean.fill_(3.0)
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze stem until epoch 1\nfreeze mid", started)
    average = AveragedModel(model)
    copied = copy.deepcopy(copy.deepcopy(model))
    gc.collect()  # the copy between is gone
    train_averaging(model, optimizer, schedule, average)
    update_bn([images(s) for s in range(4)], average)
    measured = AveragedModel(model).module
    measured.load_state_dict(average.module.state_dict())
    update_bn([images(s) for s in range(4)], measured)
    assert torch.allclose(average.module.stem[1].running_mean, measured.stem[1].running_mean)
    assert not torch.allclose(average.module.stem[1].running_mean, torch.full((), 3.0))
    for other in (average.module, copied):
        other.train()
        other(images())
        assert other.stem[1].training
        assert not any(module.training for module in other.mid.modules())


def test_a_copy_outlives_the_model_it_was_copied_from():
    """Then nothing thaws in it any more, and nothing fails."""
    model, optimizer, schedule = made(STEM_AND_MID)
    copied = copy.deepcopy(model)
    del model, optimizer, schedule
    gc.collect()
    copied.train()
    copied(images())
    assert not any(module.training for module in copied.stem.modules())


def test_a_copied_model_with_a_schedule_of_its_own_follows_that():
    """And not the model it was copied from, whose layers stay frozen."""
    model, _, _ = made("** -> lr 1e-2\nfreeze stem")
    copied = copy.deepcopy(model)
    for parameter in copied.parameters():
        parameter.requires_grad = True
    copied, _, _ = made("** -> lr 1e-2\nfreeze mid", copied)
    copied.train()
    copied(images())
    assert copied.stem[1].training
    assert not any(module.training for module in copied.mid.modules())
    model.train()
    model(images())
    assert not model.stem[1].training


def test_checkpointing_without_reentry_trains_behind_a_frozen_layer():
    """The non-reentrant kind needs no gradient at its input."""
    model = _Checkpointed(reentrant=False)
    model, optimizer, _ = made("** -> lr 1e-2\nfreeze first", model)
    before = snapshot(model)
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    assert moved(before, model) == {"block.0.weight", "block.0.bias", "last.weight", "last.bias"}


def test_reentrant_checkpointing_behind_a_frozen_layer_is_an_error():
    """It gives the block no gradient and only a warning; the error names the block and the way out."""
    model = _Checkpointed(reentrant=True)
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze first", model)

    def step():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer.zero_grad()
            model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()

    step()
    with pytest.raises(TrainingError, match=r"block\.0.*use_reentrant=False"):
        step()


def test_parameters_unused_in_a_step_are_no_error():
    """An expert that no sample chose has no gradient either, and that is fine."""
    model = _Checkpointed(reentrant=False)
    model.spare = nn.Linear(4, 4)
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze first", model)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()
    optimizer.step()
    assert not model.spare._forward_pre_hooks


class _Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.last = nn.Linear(4, 2)
        self.reentrant = reentrant

    def forward(self, x):
        hidden = torch.utils.checkpoint.checkpoint(self.block, self.first(x), use_reentrant=self.reentrant)
        return self.last(hidden)


def test_freezing_between_backward_and_the_step_is_reported():
    """The gradients of that step are lost to what freezes; the warning gives the right order."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from step 2")
    backward(model)
    schedule.step()
    optimizer.step()
    optimizer.zero_grad()
    backward(model)
    with pytest.warns(ScheduleWarning, match=r"optimizer\.step\(\) first"):
        schedule.step()


@pytest.mark.parametrize("zero", ["before", "after", "to zero", "never"])
def test_the_right_order_is_not_reported(zero):
    """Gradients that the optimizer has used may lie about when the schedule steps."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from step 2")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for _ in range(4):
            if zero == "before":
                optimizer.zero_grad()
            backward(model)
            optimizer.step()
            if zero == "to zero":
                optimizer.zero_grad(set_to_none=False)
            schedule.step()
            if zero == "after":
                optimizer.zero_grad()


def test_a_step_that_the_scaler_skipped_is_not_reported():
    """With inf in the gradients the optimizer did not step, and nothing is lost."""
    model, optimizer, schedule = made("** -> lr 1e-2\nfreeze mid from step 2")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        for _ in range(2):
            optimizer.zero_grad()
            backward(model)
            model.head.weight.grad.fill_(float("inf"))
            schedule.step()


# ---------------------------------------------------------------- proof


def test_verify_counts_what_it_looked_at():
    """Frozen parameters and frozen statistics are digested, nothing else."""
    _, _, schedule = made(STEM_AND_MID)
    assert schedule.verify() == 8 + 6


@pytest.mark.parametrize(
    "tamper",
    [
        lambda m: m.stem[0].weight.data.view(-1)[3:4].add_(1e-7),
        lambda m: m.stem[0].weight.data.neg_(),
        lambda m: m.stem[0].weight.data.copy_(m.stem[0].weight.data.flip(-1)),
        lambda m: m.stem[0].weight.data.mul_(float("nan")),
    ],
    ids=["one element", "signs", "order", "nan"],
)
def test_verify_names_a_tensor_that_moved(tamper):
    """Any change of any bit is seen, and the tensor named."""
    model, _, schedule = made(STEM_AND_MID)
    tamper(model)
    with pytest.raises(FrozenMoved, match=r"stem\.0\.weight") as caught:
        schedule.verify()
    assert caught.value.names == ("stem.0.weight",)


def test_verify_sees_frozen_statistics_move():
    """A drifting running mean is named by its buffer."""
    model, _, schedule = made(STEM_AND_MID)
    model.mid[1].running_mean.add_(1.0)
    with pytest.raises(FrozenMoved, match=r"mid\.1\.running_mean"):
        schedule.verify()


def test_loading_weights_into_the_model_is_no_violation():
    """What load_state_dict brings is what stands still from then on."""
    model, _, schedule = made(STEM_AND_MID)
    model.load_state_dict({name: value + 1 for name, value in seeded(seed=5).state_dict().items()})
    assert schedule.verify() == 14
    model.stem[0].weight.data.add_(1)
    with pytest.raises(FrozenMoved):
        schedule.verify()


def test_moving_the_model_to_another_precision_is_no_violation():
    """Frozen bytes that change with a dtype change start a new proof."""
    model, _, schedule = made(STEM_AND_MID)
    model.double()
    schedule.verify()
    model.stem[0].weight.data.add_(1e-12)
    with pytest.raises(FrozenMoved):
        schedule.verify()


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64]
)
def test_every_dtype_is_digested_by_its_bits(dtype):
    """Negative zero differs from zero; empty and long tensors work; order counts."""
    from layerlr_dsl.training.digests import digest

    values = torch.zeros(5000, dtype=dtype)
    changed = values.clone()
    changed[4321] = (
        -changed[4321] if not dtype.is_complex else torch.complex(torch.tensor(-0.0), torch.tensor(0.0))
    )
    assert not torch.equal(digest(values), digest(changed))
    assert torch.equal(digest(values), digest(values.clone()))
    assert digest(values[:0]).tolist() == [0, 0]
    ones = values.clone()
    ones[0], twos = 1, values.clone()
    twos[1] = 1
    assert not torch.equal(digest(ones), digest(twos))


def test_what_cannot_have_a_gradient_freezes_and_thaws_with_the_rest():
    """A quantised layer under a freeze: some of it are integers."""
    model = seeded(Stack)
    model.layers[0].packed = nn.Parameter(torch.ones(4, dtype=torch.int8), requires_grad=False)
    plan = resolve("** -> lr 1e-2\nfreeze layers.0 until epoch 1", model, epochs=2)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    assert schedule.frozen == {"layers.0.packed", "layers.0.weight"}
    schedule.step(schedule.plan.tick(epoch=1))
    assert schedule.frozen == {"layers.0.packed"}  # it came without a flag
    assert not model.layers[0].packed.requires_grad


def test_a_tied_parameter_is_frozen_under_all_its_names():
    """One tensor under two names is one parameter; both places end in eval."""
    model = nn.Module()
    model.embed = nn.Embedding(5, 4)
    model.out = nn.Linear(4, 5, bias=False)
    model.out.weight = model.embed.weight
    model.body = nn.Linear(4, 4)
    model, _, schedule = made("** -> lr 1e-2\nfreeze embed, out", model)
    assert not model.out.weight.requires_grad
    model.out(model.embed(torch.arange(5)))
    assert not model.embed.training
    assert not model.out.training
    assert schedule.frozen == {"embed.weight"}


def test_thawed_lends_flags_to_all_that_ever_trains_and_takes_them_back():
    """Tools that skip what does not require a gradient see it inside, and not after."""
    model, _, schedule = made("** -> lr 1e-2\nfreeze stem until epoch 1\nfreeze mid")
    with schedule.thawed():
        assert all(p.requires_grad != name.startswith("mid") for name, p in model.named_parameters())
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == schedule.frozen


def test_a_whole_model_pickle_keeps_its_frozen_modules_in_eval():
    """torch.save(model) and back: the hook comes along, and refers to the new modules."""
    import io

    model, _, _ = made(STEM_AND_MID)
    model(images())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    loaded.train()
    before = snapshot(loaded)
    loaded(images())
    assert moved(before, loaded) == set()
    assert model.stem.training is False
    assert isinstance(loaded, Net)


def test_a_second_schedule_on_the_same_model_takes_over():
    """Making the schedule again leaves one hook of each kind and not two."""
    model, _, _ = made(STEM_AND_MID, seeded(Net))
    plan = resolve("** -> lr 1e-2\nfreeze mid", model)
    plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
    model.train()
    model(images())
    assert model.stem[1].training
    assert not model.mid[1].training
    assert len(model._forward_pre_hooks) == 1
    assert sum(len(m._forward_pre_hooks) for m in model.modules()) == 2


def test_stacked_layers_thaw_one_by_one():
    """A chain of unfreezes thaws each layer at its own step and never freezes one again."""
    model = seeded(Stack)
    model, _, schedule = made(
        "** -> lr 1e-2\nfreeze layers\nunfreeze layers.2 then layers.1 then layers.0 every 1 epochs", model
    )
    seen = []
    for _ in range(6):
        seen.append([layer.weight.requires_grad for layer in model.layers])
        schedule.step()
    assert seen[::2] == seen[1::2] == [[False, False, True], [False, True, True], [True, True, True]]


def test_a_frozen_model_exports_with_its_hooks_and_scripts_without_them():
    """torch.export traces through the hook; release() leaves model and optimizer as if there had been none."""
    model, optimizer, schedule = made(STEM_AND_MID)
    torch.export.export(model.eval(), (images(),))
    schedule.release()
    assert not any(m._forward_pre_hooks or m._load_state_dict_post_hooks for m in model.modules())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_load_state_dict_pre_hooks
    assert not optimizer._optimizer_load_state_dict_post_hooks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model.head)
