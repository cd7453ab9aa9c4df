"""Where the weights of a run come from, and why frozen layers that were never trained are refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.errors import Unfit
from layerlr_dsl.runner.phases import listed
from layerlr_dsl.runner.weight_files import IN_FOLDERS, INDEXES
from layerlr_dsl.runner.weights import Loaded

if TYPE_CHECKING:
    from torch import Tensor, nn

    from layerlr_dsl.plan.plan import Plan

ENOUGH = 64
"""Elements from which on a spread tells something."""
NEAR = 4.0
"""In how many standard errors two spreads must agree to be called the same."""
TAILS = 0.25


@dataclass(frozen=True, slots=True)
class Origin:
    """What to say of the weights of the model `spec`, and the parameters that are random; `known` is False
    where the user's own code made them, and only a look at them can tell.
    """

    spec: str
    text: str
    random: frozenset[str]
    known: bool = True


def of(spec: str, model: nn.Module, loaded: Loaded | None) -> Origin:
    """The origin of a fresh model's weights."""
    names = frozenset(name for name, _ in model.named_parameters())
    if loaded is not None:
        return Origin(spec, f"weights: {loaded.text()}", frozenset(loaded.fresh))
    if spec.startswith(own_code.PREFIX):
        return Origin(spec, f"weights: as {spec} makes them", names, known=False)
    return Origin(spec, "weights: random, nothing was loaded", names)


def check_frozen(origin: Origin, model: nn.Module, plan: Plan, config: TrainConfig) -> None:
    """Refuse a run that begins with frozen layers of random weights, unless it is to be so. Raises Unfit."""
    frozen = [group for group in plan.groups if group.name in plan.phases[0].frozen]
    held = origin.random.intersection(name for group in frozen for name in group.parameters)
    if not held or config.from_scratch or not (origin.known or looks_untrained(model, held)):
        return
    parts = listed(_modules_of(held, model))
    seems = "are" if origin.known else "seem to be"
    raise Unfit(
        f"the rules freeze {parts}, whose weights {seems} random: frozen layers learn nothing",
        f"{_remedy(origin.spec, config)}, or say --from-scratch if that is meant",
    )


def _modules_of(held: frozenset[str], model: nn.Module, prefix: str = "") -> Iterator[str]:
    """The names that say the parameters `held` shortest: modules held as a whole, else single parameters."""
    for name, _ in model.named_parameters(recurse=False):
        if prefix + name in held:
            yield prefix + name
    for child, module in model.named_children():
        own = {f"{prefix}{child}.{name}" for name, _ in module.named_parameters()}
        if own and own <= held:
            yield prefix + child
        elif own & held:
            yield from _modules_of(held, module, f"{prefix}{child}.")


def _remedy(spec: str, config: TrainConfig) -> str:
    kind, _, folder = spec.partition(":")
    if config.weights is not None:
        return "let them train"
    if kind == "hf" and any((Path(folder) / name).is_file() for name in (*IN_FOLDERS, *INDEXES)):
        return f"give trained weights: --weights {folder}"
    return "give trained weights with --weights PATH|NAME"


def looks_untrained(model: nn.Module, names: Iterable[str]) -> bool:
    """Whether the layers that hold the parameters `names` are as their own `reset_parameters` leaves them.

    Norms tell it exactly: trained ones are never all ones and zeros. Where there are none, the spread of
    the other layers' weights decides.
    """
    owners = {name.rpartition(".")[0] for name in names}
    exact: list[bool] = []
    spread: list[bool] = []
    for owner in owners:
        layer = model.get_submodule(owner)
        if callable(getattr(layer, "reset_parameters", None)):
            _compare(layer, _reset(layer), exact, spread)
    votes = exact or spread
    return bool(votes) and all(votes)


def _reset(layer: nn.Module) -> nn.Module:
    """A copy of a layer as it would begin; no random generator moves."""
    import torch

    fresh = copy.deepcopy(layer)
    with torch.random.fork_rng(devices=[]):
        fresh.reset_parameters()  # type: ignore[operator]
    return fresh


def _compare(layer: nn.Module, fresh: nn.Module, exact: list[bool], spread: list[bool]) -> None:
    """A vote for each tensor of a layer: of constants whether they are untouched, else of their spread."""
    import torch

    others = dict(fresh.named_parameters(recurse=False))
    for name, own in layer.named_parameters(recurse=False):
        other = others[name]
        if float(other.detach().float().std(unbiased=False)) == 0:
            if other.ndim == 1 and name == "weight":
                exact.append(torch.equal(own, other))
        elif own.numel() >= ENOUGH:
            spread.append(_same_spread(own, other))


def _same_spread(own: Tensor, other: Tensor) -> bool:
    """Whether two tensors are drawn alike: as wide, and with tails as long, which training makes longer."""
    (one, reach), (two, usual) = (_spread(tensor.detach().float()) for tensor in (own, other))
    return abs(one / two - 1) < NEAR / math.sqrt(own.numel()) and abs(reach / usual - 1) < TAILS


def _spread(values: Tensor) -> tuple[float, float]:
    """The standard deviation, and how many of it the largest value is."""
    wide = float(values.std())
    return wide, float(values.abs().max()) / max(wide, 1e-30)
