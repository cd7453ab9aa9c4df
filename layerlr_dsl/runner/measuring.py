"""What a step costs in each phase of a plan, measured on one batch: for `layerlr plan --measure`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.costs import Cost, TimedStep, costs
from layerlr_dsl.runner.data import Request
from layerlr_dsl.runner.datasets import load
from layerlr_dsl.runner.devices import choose_device, describe
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.feed import called, mapped
from layerlr_dsl.runner.models import build_model, look_at, wanted_images
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.tasks import Task, first_tensor
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.training import chance
from layerlr_dsl.training.prefix import NoPrefix, cut, untouched

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from layerlr_dsl.plan.plan import Phase, Plan

SIDE, TOKENS = 224, 128
"""Of what is made up where the model does not tell: pixels of an image, words of a text."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: the model `spec` (named by the rule file in `root`, or by the user where that is None)
    on `count` samples of `data`, made up where that is None.
    """

    spec: str
    root: Path | None
    count: int
    image_size: int | None
    data: str | None
    device: str


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """A step of a phase; `remembered` are the seconds of one that goes by remembered features, None where there
    are none to remember, for which `reason` says why where something is frozen.
    """

    step: Cost
    remembered: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The cost of a step with all `thawed`, and in each of the plan's `phases`, in their order."""

    inputs: str
    device: str
    thawed: Cost
    phases: tuple[PhaseCost, ...]

    def share(self, plan: Plan) -> float | None:
        """The part of the time that the steps of the whole run take; None where its length is not known."""
        spans = [self._span(phase, plan) for phase in plan.phases]
        if plan.clock.total is None or any(phase.when is not None for phase in plan.phases):
            return None
        spent = sum(span * one.step.seconds for span, one in zip(spans, self.phases, strict=True))
        return spent / (sum(spans) * self.thawed.seconds)

    @staticmethod
    def _span(phase: Phase, plan: Plan) -> int:
        end = plan.clock.total if phase.end is None else phase.end
        return max(0, (end or 0) - phase.start)


def measure(plan: Plan, setting: Setting) -> Measured:
    """Run a batch through the model in every phase of the plan. Raises RunnerError."""
    device = choose_device(setting.device, Processes())
    chance.seed_everything(0, 0)
    model = build_model(setting.spec, from_file=setting.root is not None, root=setting.root)
    inputs, told = _inputs(model, setting)
    model.to(device)
    inputs = mapped(inputs, lambda tensor: tensor.to(device))
    with _said(setting, told), untouched(model):
        called(model, inputs)  # lazy layers get their shapes, and the device wakes up
        frozen = [phase.frozen for phase in plan.phases]
        seen = _costs(model, inputs, {key: _names(plan, key) for key in [(), *frozen]})
    return Measured(told, describe(device), seen[()].step, tuple(seen[key] for key in frozen))


@contextmanager
def _said(setting: Setting, told: str) -> Iterator[None]:
    try:
        yield
    except (RunnerError, MemoryError):
        raise
    except Exception as fault:
        raise RunnerError(
            f"{setting.spec} does not take {told}: {first_line(fault)}",
            "give data that it takes with --data" if setting.data is None else None,
        ) from None


def _names(plan: Plan, frozen: tuple[str, ...]) -> set[str]:
    return {name for group in plan.groups if group.name in frozen for name in group.parameters}


Frozen = tuple[str, ...]
"""The groups that are frozen at one time."""


def _costs(model: nn.Module, inputs: Any, frozen: Mapping[Frozen, set[str]]) -> dict[Frozen, PhaseCost]:
    """What a step costs with these parameters frozen, the first of them none; nothing where all are."""
    whole: dict[Frozen, TimedStep] = {}
    short: dict[Frozen, TimedStep] = {}
    reasons: dict[Frozen, str] = {}
    for key, names in frozen.items():
        arrange = partial(_freeze, model, names)
        arrange()
        if any(parameter.requires_grad for parameter in model.parameters()):
            whole[key] = TimedStep(arrange, lambda: _loss(called(model, inputs)))
            if not names:
                continue
            try:
                short[key] = TimedStep(arrange, _remembered(model, inputs))
            except NoPrefix as fault:
                reasons[key] = str(fault)
    found = costs(model, [*whole.values(), *short.values()])
    steps = dict(zip(whole, found[: len(whole)], strict=True))
    seconds = {key: cost.seconds for key, cost in zip(short, found[len(whole) :], strict=True)}
    return {
        key: PhaseCost(steps.get(key, Cost(0.0, 0)), seconds.get(key), reasons.get(key)) for key in frozen
    }


def _freeze(model: nn.Module, names: set[str]) -> None:
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in names and parameter.is_floating_point())
    for module in model.modules():
        held = list(module.parameters())
        if held and not any(parameter.requires_grad for parameter in held):
            module.eval()


def _remembered(model: nn.Module, inputs: Any) -> Callable[[], Tensor]:
    """A step that goes by what is remembered. Raises NoPrefix."""
    halves = cut(model, inputs, _first)
    rows = [row.clone() for row in halves.before(inputs)]
    return lambda: _loss(halves.after(*rows))


def _loss(returned: Any) -> Tensor:
    """Any number that hangs on all of the outputs: what the loss is does not matter for the time."""
    return _first(returned).float().square().mean()


def _first(returned: Any) -> Tensor:
    return first_tensor(Task().outputs(returned))


# ---------------------------------------------------------------- inputs


def _inputs(model: nn.Module, setting: Setting) -> tuple[Any, str]:
    """A batch, and what to call it."""
    wanted = wanted_images(model, setting.image_size)
    if setting.data is not None:
        data = load(Request(setting.data, wanted, stratified=False))
        inputs, _ = look_at(data, data.train, Task(), setting.count)
        return inputs, f"{plural(len(first_tensor(inputs)), 'sample')} of {data.name}"
    config: Any = getattr(model, "config", None)
    if getattr(model, "main_input_name", None) == "input_ids" and hasattr(config, "vocab_size"):
        return _words(config, setting.count)
    channels = _channels(model)
    side = wanted.size or _known_side(model) or SIDE
    return _images(
        setting.count, channels, side
    ), f"{plural(setting.count, 'image')} of {channels}x{side}x{side}"


def _images(count: int, channels: int, side: int) -> Tensor:
    import torch

    return torch.randn(count, channels, side, side)


def _words(config: Any, count: int) -> tuple[Mapping[str, torch.Tensor], str]:
    import torch

    length = min(TOKENS, int(getattr(config, "max_position_embeddings", TOKENS)))
    words = torch.randint(int(config.vocab_size), (count, length))
    return {
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
    }, f"{plural(count, 'text')} of {length} words"


def _channels(model: nn.Module) -> int:
    known: Any = getattr(model, "pretrained_cfg", None)
    config: Any = getattr(model, "config", None)
    if isinstance(known, dict) and known.get("input_size"):
        return int(known["input_size"][0])
    return int(getattr(config, "num_channels", 3))


def _known_side(model: nn.Module) -> int | None:
    known: Any = getattr(model, "pretrained_cfg", None)
    size = known.get("input_size") if isinstance(known, dict) else None
    return int(size[-1]) if size else None
