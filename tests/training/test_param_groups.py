"""Parameter groups and optimizers made from a plan."""

import pytest
import torch
from nets import Net, Stack, resolve, seeded
from torch import nn

from layerlr_dsl.training.errors import ModelMismatch

RULES = """
optimizer adamw(weight_decay=0.05)
** -> lr 1e-3
** where ndim <= 1 -> weight_decay 0
head -> lr 1e-2, betas (0.8, 0.9)
freeze stem
"""


def test_groups_are_ordinary_dicts_with_plain_values():
    """A group holds live parameters, their names, a unique name and plain numbers, and nothing else."""
    model = seeded()
    groups = resolve(RULES, model).param_groups(model)
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert set(group) <= {"params", "param_names", "name", "lr", "weight_decay", "betas"}
        assert all(type(value) in (int, float, bool, tuple, str, list) for value in group.values())
        named = dict(model.named_parameters())
        assert all(named[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))


def test_every_parameter_is_in_exactly_one_group_frozen_ones_too():
    """What is frozen now may train later, and a parameter added later breaks schedulers."""
    model = seeded()
    groups = resolve(RULES, model).param_groups(model)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_what_the_file_leaves_open_comes_from_the_users_optimizer():
    """Options that no rule gives are not written, so the user's own defaults stand."""
    model = seeded()
    groups = resolve("head -> lr 1e-2", model).param_groups(model)
    optimizer = torch.optim.SGD(groups, lr=0.5, momentum=0.7)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rates["head.weight"] == 1e-2
    assert rates["stem.0.weight"] == 0.5
    assert {group["momentum"] for group in optimizer.param_groups} == {0.7}


def test_frozen_for_ever_share_one_group():
    """Two freezes without an end make one group, whatever rates the rules give below."""
    model = seeded()
    groups = resolve("stem -> lr 1e-5\n** -> lr 1e-3\nfreeze stem\nfreeze mid", model).param_groups(model)
    assert [set(g["param_names"]) for g in groups if "stem.0.weight" in g["param_names"]] == [
        {name for name, _ in model.named_parameters() if name.startswith(("stem", "mid"))}
    ]


def test_several_optimizers_cannot_be_groups_alone():
    """Groups belong to one optimizer; the error names the call that serves several."""
    model = seeded(Stack)
    plan = resolve("** -> lr 1e-3\nlayers.0 -> optimizer muon(lr=0.02)", model)
    with pytest.raises(ValueError, match=r"muon.*plan\.optimizer"):
        plan.param_groups(model)


def test_plan_optimizer_is_what_the_file_says():
    """`optimizer NAME(...)` gives that class with those settings."""
    model = seeded()
    optimizer = resolve(
        "optimizer sgd(lr=0.1, momentum=0.9, nesterov=true)\nhead -> lr 0.5", model
    ).optimizer(model)
    assert type(optimizer) is torch.optim.SGD
    assert {(g["momentum"], g["nesterov"]) for g in optimizer.param_groups} == {(0.9, True)}
    assert sorted({g["lr"] for g in optimizer.param_groups}) == [0.1, 0.5]


def test_another_model_is_refused_by_name():
    """A model that lacks planned parameters, or has them in another shape, is named in the error."""
    plan = resolve("** -> lr 1e-3", seeded())
    other = seeded()
    other.head = nn.Linear(4, 7)
    del other.mid
    with pytest.raises(ModelMismatch) as caught:
        plan.param_groups(other)
    assert "mid.0.weight" in str(caught.value)
    assert "head.weight ((7, 4), planned (3, 4))" in str(caught.value)


def test_groups_of_a_wrapped_model_hold_the_live_parameters():
    """Names are the unwrapped ones; objects are those of the model that is handed in."""
    model = nn.DataParallel(seeded())
    groups = resolve(RULES, model).param_groups(model)
    assert "head.weight" in {name for group in groups for name in group["param_names"]}
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.parameters()}


def test_objects_are_bound_when_groups_are_made_not_when_rules_are_resolved():
    """A plan made on the meta device serves the model that is filled in later."""
    with torch.device("meta"):
        model = Net()
    plan = resolve("** -> lr 1e-3", model)
    model.to_empty(device="cpu")
    groups = plan.param_groups(model)
    assert all(p.device.type == "cpu" for group in groups for p in group["params"])


def test_quantised_weights_stay_out_of_the_optimizer():
    """An integer parameter cannot train, and a fused optimizer refuses to be built with one."""
    model = seeded(Stack)
    model.packed = nn.Parameter(torch.ones(4, dtype=torch.int8), requires_grad=False)
    groups = resolve("** -> lr 1e-3", model).param_groups(model)
    assert "packed" not in {name for group in groups for name in group["param_names"]}
    torch.optim.AdamW(groups, fused=True)
