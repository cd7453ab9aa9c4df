"""The torch-free table of optimizers says what torch itself does."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping

import pytest
import torch

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.optimizers import find, names, problem, refused, windowed
from layerlr_dsl.optim import table

CLASSES = table.classes()

NUMBERS: tuple[object, ...] = (-1.0, -0.5, -1e-12, 0, 0.0, 1e-8, 0.5, 0.999, 1, 1.0, 1.5, 2.0)
TUPLES: tuple[object, ...] = (
    *((a, b) for a in (-0.1, 0.0, 0.9, 1.0, 1.2) for b in (-0.1, 0.0, 0.999, 1.0, 1.2, 50.0)),
)
NOTHING_FIRST: tuple[object, ...] = ((None, 0.1), (None, -0.1))
WRONG_KINDS: Mapping[str, tuple[object, ...]] = {
    "number": ("fast", (0.1, 0.2)),
    "pair": (0.9,),
    "triple": (),
    "boolean": (),
    "optional": (),
    "string": (),
}
VALUES: Mapping[str, tuple[object, ...]] = {
    "number": NUMBERS,
    "pair": TUPLES,
    "triple": ((3.0, -4.0, 2.0),),
    "boolean": (True, False),
    "optional": (True, False, None),
    "string": ("original", "match_rms_adamw", "strong_wolfe", "nonsense"),
}


def refuses(cls: type[torch.optim.Optimizer], option: str, value: object) -> bool:
    """Whether the constructor, or the first step after it, refuses the value."""
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    settings: dict[str, object] = {option: value}
    if option in ("nesterov", "dampening") and cls is not torch.optim.Muon:
        settings["momentum"] = 0.9
    if isinstance(value, tuple):
        # torch's Adam refuses whole numbers in a pair of betas for their type alone
        settings[option] = tuple(float(v) if isinstance(v, int) else v for v in value)

    def closure() -> float:
        parameter.grad = parameter.detach() ** 3
        if cls is torch.optim.SparseAdam:
            parameter.grad = parameter.grad.to_sparse()
        return float((parameter.detach() ** 4).sum() / 4)

    try:
        optimizer = cls([parameter], **settings)  # type: ignore[call-arg]
        for _ in range(3):
            closure()
            optimizer.step(closure)
    except (ValueError, TypeError, IndexError):
        return True
    except RuntimeError as error:
        return "strong_wolfe" in str(error)
    except (AssertionError, NotImplementedError):
        # capturable on a CPU: the value is fine, the device is not
        return False
    return False


@pytest.mark.parametrize("name", CLASSES)
def test_a_value_is_a_problem_exactly_where_the_constructor_refuses_it(name: str) -> None:
    """Every option, driven with good and bad values: the table and torch agree on each."""
    info, cls = find(name), CLASSES[name]
    assert info is not None
    for option in info.options.values():
        nothing_first = NOTHING_FIRST if option.default == (None, 1e-3) else ()
        for value in (*VALUES[option.kind], *WRONG_KINDS[option.kind], *nothing_first):
            if option.integer and isinstance(value, float):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = refuses(cls, option.name, value)
            assert (problem(info, option.name, value) is not None) == expected, (option.name, value)


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_never_a_problem(name: str) -> None:
    """What the constructor takes unasked passes the check."""
    info = find(name)
    assert info is not None
    assert [o.name for o in info.options.values() if problem(info, o.name, o.default)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_lists_the_real_signature(name: str) -> None:
    """Names, order and defaults are those of the constructor."""
    info = find(name)
    assert info is not None
    signature = list(inspect.signature(CLASSES[name]).parameters.values())[1:]
    assert list(info.options) == [p.name for p in signature]
    assert {o.name: o.default for o in info.options.values()} == {p.name: p.default for p in signature}


def test_the_shipped_table_is_the_generated_one() -> None:
    """`python -m layerlr_dsl.optim.table` would write the file that is there."""
    assert optimizers.TABLE.read_text(encoding="utf-8") == table.text()


def test_every_optimizer_of_torch_is_there() -> None:
    """Nothing that torch.optim exports is missing."""
    exported = {
        n.lower()
        for n in torch.optim.__all__
        if inspect.isclass(getattr(torch.optim, n)) and n != "Optimizer"
    }
    assert exported <= set(names())


@pytest.mark.parametrize("name", CLASSES)
def test_options_marked_per_group_reach_the_group(name: str) -> None:
    """An option that the table lets a rule set is a key of the parameter group."""
    info, cls = find(name), CLASSES[name]
    assert info is not None
    optimizer = cls([torch.nn.Parameter(torch.ones(2, 2))])  # type: ignore[call-arg]
    marked = {o.name for o in info.options.values() if o.group}
    assert marked <= optimizer.param_groups[0].keys()


def test_adagrad_reads_its_accumulator_from_the_constructor_alone() -> None:
    """A group's own initial_accumulator_value does nothing in torch, so a rule may not set it."""
    parameter = torch.nn.Parameter(torch.ones(2))
    group = {"params": [parameter], "initial_accumulator_value": 5.0}
    optimizer = torch.optim.Adagrad([group])
    assert optimizer.state[parameter]["sum"].tolist() == [0.0, 0.0]
    info = find("adagrad")
    assert info is not None
    assert not info.options["initial_accumulator_value"].group


@pytest.mark.parametrize("spelling", ["AdamW", "adamw", "ADAMW"])
def test_case_does_not_matter(spelling: str) -> None:
    """torch's own spelling and the lower-case one name the same optimizer."""
    info = find(spelling)
    assert info is not None
    assert (info.name, info.target) == ("adamw", "torch.optim:AdamW")


def test_class_names_of_ours_are_found() -> None:
    """`LayerAdaptive` is `layer_adaptive`."""
    assert find("LayerAdaptive") is find("layer_adaptive")
    assert find("SparseAdam") is find("sparse_adam")


def test_an_unknown_name_is_none() -> None:
    """Nothing is made up for a name nobody has."""
    assert find("adamwx") is None
    assert find("") is None


def test_pytorch_optimizer_is_known_where_installed() -> None:
    """Its optimizers are found by its names, with options and a domain for the rate; torch's come first."""
    lion = find("lion")
    assert lion is not None
    assert lion.target.startswith("pytorch_optimizer.")
    assert lion.options["betas"].kind == "pair"
    assert problem(lion, "lr", -1.0) == "must be >= 0"
    assert windowed(lion, "lr") is None
    adamw = find("adamw")
    assert adamw is not None
    assert adamw.target == "torch.optim:AdamW"
    assert "lion" in names()


def test_entry_points_are_found(registers: Callable[[str, str], None]) -> None:
    """A package registers an optimizer under the group `layerlr.optimizers`."""
    registers("my_sgd", "torch.optim.sgd:SGD")
    info = find("my_sgd")
    assert info is not None
    assert info.target == "torch.optim.sgd:SGD"
    assert "my_sgd" in names()
    assert windowed(info, "momentum") is not None


def test_no_look_up_needs_torch() -> None:
    """Looking up, listing, checking, another package's optimizer and a misspelled name leave it unimported."""
    code = (
        "import sys; from layerlr_dsl.catalogue.optimizers import find, names, problem\n"
        "info = find('adamw'); problem(info, 'lr', 1.0); names(); find('adamwx'); assert find('lion') and not find('sam')\n"
        "sys.exit('torch' in sys.modules or 'pytorch_optimizer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("lr", -1.0, "must be >= 0"),
        ("lr", float("nan"), "must be finite"),
        ("lr", float("inf"), "must be finite"),
        ("lr", True, "must be a number"),
        ("lr", "fast", "must be a number"),
        ("betas", 0.9, "must be a pair of numbers in [0, 1)"),
        ("betas", (0.9, 1.0), "must be a pair of numbers in [0, 1)"),
        ("betas", (0.9,), "must be a pair of numbers in [0, 1)"),
        ("betas", (0.9, float("nan")), "must be a pair of numbers in [0, 1)"),
        ("betas", (0, 0.999), None),
        ("amsgrad", 1, "must be true or false"),
        ("foreach", None, None),
        ("eps", 0, None),
    ],
)
def test_problems_read_as_the_end_of_a_sentence(option: str, value: object, message: str | None) -> None:
    """`lr` + the message is what a user reads."""
    info = find("adamw")
    assert info is not None
    assert problem(info, option, value) == message


def test_other_domains_are_named() -> None:
    """Choices, whole numbers and pairs with two domains say what they take."""
    muon, rprop, lbfgs = find("muon"), find("rprop"), find("lbfgs")
    assert muon is not None
    assert rprop is not None
    assert lbfgs is not None
    assert problem(muon, "adjust_lr_fn", "x") == 'must be "original" or "match_rms_adamw"'
    assert problem(muon, "ns_steps", 2.5) == "must be a whole number in [0, 100)"
    assert problem(muon, "ns_coefficients", (1.0, 2.0)) == "must be a triple of numbers"
    assert problem(rprop, "etas", (1.2, 0.5)) == (
        "must be a pair of numbers: the first in (0, 1), the second > 1"
    )
    assert problem(lbfgs, "history_size", 0) == "must be >= 1"


def test_nesterov_without_momentum_is_a_conflict() -> None:
    """SGD's constructor refuses the combination, and so does the table."""
    sgd, muon = find("sgd"), find("muon")
    assert sgd is not None
    assert muon is not None
    with pytest.raises(ValueError, match="Nesterov"):
        torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], nesterov=True)
    assert optimizers.conflict(sgd, {"nesterov": True}) == (
        "nesterov",
        "needs momentum > 0 and dampening 0",
    )
    assert optimizers.conflict(sgd, {"nesterov": True, "momentum": 0.9}) is None
    assert optimizers.conflict(sgd, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}) is not None
    assert optimizers.conflict(muon, {"nesterov": True, "momentum": 0}) is None


def test_muon_refuses_what_is_not_a_matrix() -> None:
    """The helper refuses exactly the dimensions that torch's Muon refuses."""
    muon, adamw = find("muon"), find("adamw")
    assert muon is not None
    assert adamw is not None
    for ndim in range(5):
        parameter = torch.nn.Parameter(torch.ones([2] * ndim))
        try:
            torch.optim.Muon([parameter])
            raised = False
        except ValueError:
            raised = True
        assert (refused(muon, ndim) is not None) == raised
        assert refused(adamw, ndim) is None


def test_lbfgs_takes_one_group_only() -> None:
    """Its entry says so, as its constructor does."""
    info = find("lbfgs")
    assert info is not None
    assert info.refuses == "several parameter groups"
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(2)]
    with pytest.raises(ValueError, match="per-parameter options"):
        torch.optim.LBFGS(groups)


# ---------------------------------------------------------------- options that change in mid-run

CHANGES: Mapping[str, tuple[tuple[object, object], ...]] = {
    "lr": ((0.01, 0.1), (0.1, 0.0), (1e-3, 0.1)),
    "weight_decay": ((0.0, 0.1), (0.1, 0.0)),
    "betas": (((0.9, 0.99), (0.5, 0.9)), ((0.0, 0.99), (0.9, 0.999)), ((0.9, 0.999), (0.0, 0.0))),
    "momentum": ((0.0, 0.9), (0.9, 0.0), (0.9, 0.5)),
    "eps": ((1e-8, 1.0), (1.0, 1e-8)),
}


def trained(
    cls: type[torch.optim.Optimizer], option: str, first: object, then: object, flags: dict[str, bool]
) -> torch.Tensor:
    """The parameter after three steps with one value and three with the other."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(4, 3) * 0.1)
    optimizer = cls([parameter], **{option: first}, **flags)  # type: ignore[call-arg]

    def closure() -> torch.Tensor:
        parameter.grad = None
        loss = ((parameter - 0.3) ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        if cls is torch.optim.SparseAdam:
            assert parameter.grad is not None
            parameter.grad = parameter.grad.to_sparse()
        return loss

    for step in range(6):
        if step == 3:
            optimizer.param_groups[0][option] = then
        closure()
        optimizer.step(closure if cls is torch.optim.LBFGS else None)  # type: ignore[arg-type]
    assert torch.isfinite(parameter).all()
    return parameter.detach()


@pytest.mark.parametrize("name", CLASSES)
def test_an_option_may_have_a_window_only_where_changing_it_works(name: str) -> None:
    """Each of the five options is changed in mid-run, both ways: it takes effect, or the table says why not."""
    info, cls = find(name), CLASSES[name]
    assert info is not None
    for option in optimizers.WINDOWED:
        if option not in info.options:
            continue
        flags = [{}, *({flag: True} for flag in ("foreach", "fused") if flag in info.options)]
        works = True
        for flag in flags:
            for first, then in CHANGES[option]:
                if (name, option) == ("adafactor", "eps"):
                    first, then = (None, first), (None, then)
                try:
                    changed = trained(cls, option, first, then, flag)
                except KeyError:
                    works = False
                    continue
                works &= not torch.equal(changed, trained(cls, option, first, first, flag))
        assert (windowed(info, option) is None) == works, option


def test_other_options_have_no_window() -> None:
    """`amsgrad` and its like may never change in mid-run."""
    info = find("adamw")
    assert info is not None
    assert windowed(info, "amsgrad") == (
        "only lr, weight_decay, betas, momentum and eps can change during training"
    )


def test_aliases_lead_to_real_options() -> None:
    """Each near miss leads to an option that some optimizer has."""
    real = {option for name in CLASSES for option in find(name).options}  # type: ignore[union-attr]
    assert set(optimizers.ALIASES.values()) <= real
    assert not set(optimizers.ALIASES) & real
