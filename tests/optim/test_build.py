"""Optimizers by name: the right class, its settings, and refusals that say what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from stepping import imported
from torch.nn import Parameter

from layerlr_dsl.optim import LAMB, LARS, LayerAdaptive, build
from layerlr_dsl.optim.table import classes


def groups(*shapes: tuple[int, ...], **options: Any) -> list[dict[str, Any]]:
    params = [Parameter(torch.ones(shape)) for shape in shapes or ((3, 2),)]
    names = [f"layer{i}.weight" for i in range(len(params))]
    return [{"params": params, "param_names": names, "name": "layers", **options}]


@pytest.mark.parametrize("name", classes())
def test_every_name_builds_its_class(name: str) -> None:
    """All of torch.optim and ours, with the group's own rate kept and names carried along."""
    optimizer = build(name, groups(lr=0.5), {})
    assert type(optimizer) is classes()[name]
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["param_names"] == ["layer0.weight"]


def test_ours_are_found_by_both_spellings() -> None:
    """`layer_adaptive` and `LayerAdaptive`."""
    assert type(build("LayerAdaptive", groups(), {})) is LayerAdaptive
    assert type(build("lars", groups(), {})) is LARS
    assert type(build("LAMB", groups(), {})) is LAMB


def test_settings_reach_the_constructor() -> None:
    """Settings are the defaults of what the groups leave open."""
    optimizer = build("sgd", groups(lr=0.5), {"lr": 0.1, "momentum": 0.9, "nesterov": True})
    assert optimizer.defaults["momentum"] == 0.9
    assert optimizer.param_groups[0]["nesterov"] is True
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert build("adamw", groups(), {"fused": True})._step_supports_amp_scaling  # type: ignore[attr-defined]


def test_whole_numbers_in_betas_are_taken() -> None:
    """A file may write betas (0, 0.99), which torch's Adam refuses for the type alone."""
    with pytest.raises(ValueError, match="both floats or both Tensors"):
        torch.optim.AdamW(groups(), betas=(0, 0.99))
    optimizer = build("adamw", groups(betas=(0, 0.9)), {"betas": (0, 0.99)})
    assert optimizer.defaults["betas"] == (0.0, 0.99)
    assert optimizer.param_groups[0]["betas"] == (0.0, 0.9)


@pytest.mark.parametrize(
    ("name", "given", "settings", "message"),
    [
        ("adamm", groups(), {}, "there is no optimizer called adamm, did you mean adam"),
        ("adamw", groups(), {"momentun": 0.9}, "adamw has no option called momentun"),
        ("sgd", groups(), {"momentun": 0.9}, "sgd has no option called momentun, did you mean momentum?"),
        ("adamw", groups(lr=-1.0), {}, "adamw: lr must be >= 0, not -1.0"),
        ("adamw", groups(weight_decy=0.1), {}, "did you mean weight_decay?"),
        ("adamw", groups(), {"betas": (0.9, 1.0)}, r"betas must be a pair of numbers in \[0, 1\)"),
        ("sgd", groups(), {"nesterov": True}, "sgd: nesterov needs momentum > 0 and dampening 0"),
        ("muon", groups((3, 2), (3,)), {}, r"layer1\.weight: muon takes only 2-D parameters, .* is 1-D"),
        ("muon", groups((3, 2, 1, 1)), {}, r"layer0\.weight: .* is 4-D"),
        ("lbfgs", groups() + groups(), {}, "takes one parameter group only, and there are 2: layers, layers"),
        ("adamw", groups(), {"fused": True, "foreach": True}, "adamw: .*fused.*foreach"),
    ],
)
def test_refusals_say_what_is_wrong(
    name: str, given: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    """Unknown names and options, values out of their domain, parameters that are not taken: each a ValueError."""
    with pytest.raises(ValueError, match=message):
        build(name, given, settings)


def test_an_optimizer_that_this_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Muon came with torch 2.9: an older one is told from a misspelled name."""
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ValueError, match=r"muon is not in torch 2\."):
        build("muon", groups(), {})


def test_a_rate_as_a_tensor_is_taken() -> None:
    """capturable runs give lr as a tensor."""
    optimizer = build("adam", groups(lr=torch.tensor(0.1)), {"lr": torch.tensor(0.2)})
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.1)


def test_pytorch_optimizer_s_names_build() -> None:
    """Lion is in neither torch nor ours."""
    package = imported("pytorch_optimizer")
    optimizer = build("lion", groups(lr=1e-4), {"weight_decay": 0.1})
    assert isinstance(optimizer, package.Lion)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(3, 2)
    optimizer.step()
    assert optimizer.param_groups[0]["params"][0][0, 0] < 1.0


def test_entry_points_build(registers: Callable[[str, str], None]) -> None:
    """A package's own optimizer, registered under `layerlr.optimizers`."""
    registers("plain_descent", "torch.optim.sgd:SGD")
    assert type(build("plain_descent", groups(), {"momentum": 0.5})) is torch.optim.SGD
