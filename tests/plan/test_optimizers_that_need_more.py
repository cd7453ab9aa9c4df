"""Optimizers that parameter groups alone do not make are findings of `validate`, not failures of a run."""

import pytest
import torch
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.optim import build

zoo = pytest.importorskip("pytorch_optimizer")
ELSEWHERE = {
    "demo": "needs einops and a process group",
    "distributedmuon": "needs a process group",
    "spectralsphere": "takes matrices only, which its signature does not say",
}
"""What no table can know ahead of a run."""


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))


def codes(text):
    try:
        return [d.code for d in layerlr.parse(text).check(network(), epochs=2) if d.severity == "error"]
    except RuleError as fault:
        return [d.code for d in fault.diagnostics if d.severity == "error"]


@pytest.mark.parametrize("name", ["adammini", "adalomo", "lomo"])
def test_one_that_is_built_from_a_model_cannot_be_named(name):
    """Nowhere in a file, and not when building by name."""
    for text in (
        f"optimizer {name}\n** -> lr 1e-2",
        f"** -> lr 1e-2\n0 -> optimizer {name}",
        f"optimizer x = {name}",
    ):
        with pytest.raises(RuleError, match="is built from a model, and rules make parameter groups"):
            layerlr.parse(text)
    with pytest.raises(ValueError, match="is built from a model, not from parameter groups"):
        build(name, [{"params": list(network().parameters())}], {})


@pytest.mark.parametrize("name", ["normuon", "adamuon", "muonclip", "adago"])
def test_one_that_reads_a_mark_in_its_groups_must_be_given_it(name):
    """The first parameter without is named; with the mark in quotes for all, it is built and steps."""
    text = f'optimizer {name}\n** -> lr 1e-2\n** where ndim == 2 -> "use_muon" true\n'
    with pytest.raises(RuleError, match=r'needs "use_muon" for every parameter: `0\.bias` has none'):
        layerlr.parse(text).resolve(network(), epochs=2, steps_per_epoch=2)
    model = network()
    plan = layerlr.parse(text + '** where ndim != 2 -> "use_muon" false').resolve(
        model, epochs=2, steps_per_epoch=2
    )
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    before = model[0].weight.detach().clone()
    model(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    schedule.step()
    assert not torch.equal(before, model[0].weight)
    assert {g["use_muon"] for g in optimizer.param_groups} == {True, False}


@pytest.mark.parametrize(("name", "option"), [("bsam", "num_data"), ("ranger21", "num_iterations")])
def test_an_argument_without_a_default_must_be_given(name, option):
    """It is missed when the file is read; given, the optimizer is built."""
    with pytest.raises(RuleError, match=f"`{name}` needs `{option}`"):
        layerlr.parse(f"optimizer {name}\n** -> lr 1e-2")
    model = network()
    plan = layerlr.parse(f"optimizer {name}({option}=20)\n** -> lr 1e-2").resolve(model, epochs=2)
    assert type(plan.optimizer(model)).__name__.lower() == name


@pytest.mark.parametrize("name", zoo.get_supported_optimizers())
def test_what_is_found_valid_is_built(name):
    """Every optimizer of the package either has a finding or stands in the end."""
    option = "max_lr" if name == "alig" else "lr"
    text = f"optimizer {name}\n** -> {option} 1e-2"
    if name in ELSEWHERE or codes(text):
        pytest.skip(ELSEWHERE.get(name, "has a finding"))
    model = network()
    assert layerlr.parse(text).resolve(model, epochs=2).optimizer(model).param_groups


def test_a_named_optimizer_is_a_part_even_alone():
    """Whoever asks for `parts["critic"]` gets it, whether others share the parameters or not."""
    for rules, names in (
        ("0 -> optimizer critic", {"default", "critic"}),
        ("** -> optimizer critic", {"critic"}),
    ):
        model = network()
        plan = layerlr.parse(f"optimizer critic = adam(betas=(0.5, 0.9))\n** -> lr 1e-2\n{rules}").resolve(
            model, epochs=2
        )
        optimizer = plan.optimizer(model)
        assert set(optimizer.parts) == names
        assert type(optimizer.parts["critic"]) is torch.optim.Adam
        assert optimizer.parts["critic"].defaults["betas"] == (0.5, 0.9)


def test_two_named_optimizers_of_one_kind_with_equal_options_stay_two():
    """Their parameters never share an optimizer; each steps its own."""
    model = network()
    rules = "optimizer adam\noptimizer a = adam\noptimizer b = adam\n** -> lr 1e-2\n0 -> optimizer a\n2 -> optimizer b"
    optimizer = layerlr.parse(rules).resolve(model, epochs=2).optimizer(model)
    assert {name: len(part.param_groups[0]["params"]) for name, part in optimizer.parts.items()} == {
        "a": 2,
        "b": 2,
    }
    model(torch.ones(2, 6)).sum().backward()
    optimizer.parts["b"].step()
    assert set(optimizer.state) == set(model[2].parameters())
