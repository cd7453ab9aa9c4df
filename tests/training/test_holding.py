"""What passes for a part of a model, and what is an error: rules are resolved for the whole, one process has some of it."""

import warnings

import pytest
import torch
from nets import resolve
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.training.errors import ModelMismatch, ScheduleWarning

RULES = """
optimizer adamw
layers.2 -> optimizer sgd(lr=0.1)
schedule cosine
** -> lr 1e-2
layers.<i> -> lr *= 0.5 ^ (last(i) - i)
freeze layers.0 until epoch 1
"""


class Tower(nn.Module):
    """Four layers, a norm and a head."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 4, bias=False)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def of_inventory(rules=RULES, epochs=4, steps_per_epoch=2):
    return layerlr.parse(rules).resolve(Inventory.of(Tower()), epochs=epochs, steps_per_epoch=steps_per_epoch)


def part_of(model, *places):
    return {name: p for name, p in model.named_parameters() if name.startswith(places)}


def names(optimizer):
    return [name for group in optimizer.param_groups for name in group["param_names"]]


def rates(optimizer):
    return {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}


def test_a_mapping_is_a_part_in_one_process_and_of_a_live_model_too():
    """Whoever names what he hands over has forgotten nothing; rates count from the last layer of the whole."""
    model = Tower()
    plan = resolve(RULES, model)
    held = part_of(model, "layers.1", "layers.2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = plan.optimizer(held)
        plan.schedule(held, optimizer)
    assert sorted(names(optimizer)) == sorted(held)
    assert rates(optimizer)["layers.1.bias"] == pytest.approx(1e-2 * 0.5**2)
    assert list(optimizer.parts) == ["default", "sgd"]


def test_a_layer_that_the_live_model_has_lost_is_an_error():
    """The rules were resolved on this very model, so it was not meant as a part; the error says how it would be."""
    model = Tower()
    plan = resolve(RULES, model)
    model.norm = None
    with pytest.raises(ModelMismatch, match=r"lacks norm\.weight, norm\.bias.*dict\(part\.named_parameters"):
        plan.optimizer(model)


def test_a_module_that_lacks_something_of_an_inventory_is_a_part_with_a_word():
    """In the only process, nobody else can have the rest: right for a trial, and said."""
    plan, part = of_inventory(), Tower()
    part.norm = None
    optimizer = plan.optimizer(part)
    with pytest.warns(ScheduleWarning, match=r"holds 9 of the 11 parameters"):
        plan.schedule(part, optimizer)


def test_modules_stand_at_their_places():
    """A mapping may hold modules under dotted names; their norms are frozen with them."""
    model = Tower()
    plan = of_inventory("** -> lr 1e-2\nfreeze norm")
    held = {"norm": model.norm, "layers.3": model.layers[3]}
    optimizer = plan.optimizer(held)
    plan.schedule(held, optimizer)
    model.train()
    before = model.norm.running_mean.clone()
    model.norm(model.layers[3](torch.randn(8, 4))).sum().backward()
    optimizer.step()
    assert set(names(optimizer)) == {"layers.3.weight", "layers.3.bias", "norm.weight", "norm.bias"}
    assert torch.equal(model.norm.running_mean, before)


def test_a_list_of_stages_is_one_part():
    """Stages of an interleaved pipeline have containers of the same name."""
    first, last = Tower(), Tower()
    first.norm = first.head = last.head = None
    first.layers, last.layers = nn.ModuleDict({"0": nn.Linear(4, 4)}), nn.ModuleDict({"2": nn.Linear(4, 4)})
    optimizer = of_inventory().optimizer([first, last])
    kept = [
        "layers.0.bias",
        "layers.0.weight",
        "layers.2.bias",
        "layers.2.weight",
        "norm.bias",
        "norm.weight",
    ]
    assert sorted(names(optimizer)) == kept


def test_what_is_tied_may_be_held_under_its_other_name():
    """The last stage has the head alone, the rules know it as the first layer."""
    whole = Tower()
    whole.head.weight = whole.layers[0].weight
    plan = layerlr.parse("** -> lr 1e-2").resolve(Inventory.of(whole))
    optimizer = plan.optimizer({"head.weight": nn.Parameter(torch.zeros(4, 4))})
    assert names(optimizer) == ["layers.0.weight"]


@pytest.mark.parametrize("rules", [RULES, "optimizer adamw\n** -> lr 1e-2\nfreeze layers until epoch 1"])
def test_a_process_that_holds_nothing_has_an_optimizer_that_steps(rules):
    """A stage without parameters takes part in every step, and saves and loads."""
    plan = of_inventory(rules)
    optimizer = plan.optimizer({})
    schedule = plan.schedule({}, optimizer)
    for _ in range(4):
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
    assert names(optimizer) == []
    assert schedule.frozen == frozenset()


def test_user_built_optimizers_of_a_part_follow_the_plan():
    """One optimizer for every parameter, as stepping in the backward pass has it, over a part."""
    model = Tower()
    plan = of_inventory("** -> lr 1e-2\nfreeze layers.1 until epoch 1\nschedule cosine")
    held = part_of(model, "layers.1", "layers.2")
    each = [torch.optim.SGD([p], lr=1.0, momentum=0.9) for p in held.values()]
    schedule = plan.schedule(held, each)
    before = {name: p.detach().clone() for name, p in held.items()}
    for _ in range(3):
        for parameter, optimizer in zip(held.values(), each, strict=True):
            parameter.grad = torch.ones_like(parameter)
            optimizer.step()
            optimizer.zero_grad()
        if schedule.last_epoch == 0:
            assert {name for name, p in held.items() if torch.equal(p, before[name])} == {
                "layers.1.weight",
                "layers.1.bias",
            }
        schedule.step()
    assert not any(torch.equal(p, before[name]) for name, p in held.items())


def test_another_length_of_the_run_holds_for_the_part():
    """`relength` resolves for the whole again, and goes on with what is held."""
    plan, held = of_inventory(), part_of(Tower(), "layers.0", "norm")
    schedule = plan.schedule(held, plan.optimizer(held))
    schedule.relength(steps_per_epoch=1)
    assert schedule.frozen == {"layers.0.weight", "layers.0.bias"}
    schedule.optimizer.step()
    schedule.step()
    assert schedule.frozen == frozenset()


def test_state_goes_by_name_from_one_part_to_another():
    """What two parts have saved is found by name in a third that is cut otherwise."""
    plan, model = of_inventory("** -> lr 1e-2\noptimizer adamw"), Tower()
    held = part_of(model, "layers.1", "layers.2")
    optimizer = plan.optimizer(held)
    plan.schedule(held, optimizer)
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    other = part_of(model, "layers.2")
    again = plan.optimizer(other)
    with pytest.warns(UserWarning, match=r"not carried over, no such parameter here: layers\.1\.weight"):
        again.load_state_dict(optimizer.state_dict())
    kept = other["layers.2.weight"]
    assert torch.equal(again.state[kept]["exp_avg"], optimizer.state[kept]["exp_avg"])


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ({"layer.1.weight": torch.zeros(4, 4)}, r"knows no layer\.1\.weight \(is it layers\.1\.weight\?\)"),
        ({"layers.1.weight": torch.zeros(4, 5)}, r"layers\.1\.weight \(\(4, 5\), planned \(4, 4\)\)"),
    ],
)
def test_names_and_shapes_that_the_plan_does_not_have_are_said(held, text):
    """With the name that was probably meant."""
    parameters = {name: nn.Parameter(value) for name, value in held.items()}
    with pytest.raises(ModelMismatch, match=text):
        of_inventory().optimizer(parameters)


@pytest.mark.parametrize("held", [{"layers.1.weight": 3}, [3]])
def test_what_is_no_model_is_said(held):
    """A number is neither a module nor a parameter."""
    with pytest.raises(ModelError, match="int"):
        of_inventory().optimizer(held)


def test_weights_that_were_tied_after_the_rules_were_resolved_are_an_error():
    """`tie_weights` behind `resolve`: the rules freeze one name and train the other, and there is one tensor."""
    model = Tower()
    plan = resolve("** -> lr 1e-2\nfreeze layers.0 until epoch 1", model, epochs=2)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    model.head.weight = model.layers[0].weight
    with pytest.raises(
        ModelMismatch, match=r"head\.weight and layers\.0\.weight: one tensor now, and two when"
    ):
        plan.schedule(model, plan.optimizer(model))
    model(torch.randn(8, 4)).sum().backward()
    with pytest.raises(ModelMismatch, match="one tensor now"):
        optimizer.step()
    assert schedule.frozen == {"layers.0.weight", "layers.0.bias"}


@pytest.mark.parametrize("training", [False, True])
def test_a_tie_that_came_apart_is_an_error(training):
    """`load_state_dict(assign=True)` makes two tensors of one; the second would train by no rule, and stand still."""
    model = Tower()
    model.head.weight = model.layers[0].weight
    plan = resolve("** -> lr 1e-2", model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    model.head.weight = nn.Parameter(model.head.weight.detach().clone())
    model(torch.randn(8, 4)).sum().backward()
    with pytest.raises(
        ModelMismatch, match=r"head\.weight and layers\.0\.weight: two tensors now, and one when"
    ):
        optimizer.step() if training else plan.optimizer(model)
    assert not schedule.frozen
