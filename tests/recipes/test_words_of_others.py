"""The table of schedules in other code's words: each line gives the rates of the code that it names.

torch's, transformers' and timm's own schedulers are stepped; of code that is not at hand the published formula
is restated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from importlib import import_module
from math import cos, pi, sqrt
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as lrs

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
STEPS, PER_EPOCH = 100, 10
PEAKS = (1e-3, 5e-4)

Options: TypeAlias = dict[str, Any]
Reference: TypeAlias = Callable[[], list[tuple[Options, ...]]]
"""What the other code gives: per step, the options of the group at each of PEAKS."""
REFERENCES: dict[str, Reference] = {}


def lines() -> list[tuple[str, str]]:
    """What the page says: the code, and the rules."""
    section = PAGE.read_text(encoding="utf-8").split("## In the words of others")[1].split("\n## ")[0]
    return re.findall(r"^\| (.+?) \| `(.+)` \|$", section, re.M)


def of_formula(code: str) -> Callable[[Callable[[float, int], float | Options]], None]:
    """A formula of peak and step that gives the rate, or several options."""

    def note(formula: Callable[[float, int], float | Options]) -> None:
        def reference() -> list[tuple[Options, ...]]:
            return [tuple(_options(formula(peak, k)) for peak in PEAKS) for k in range(STEPS)]

        REFERENCES[code] = reference

    return note


def of_scheduler(
    code: str, make: Callable[[torch.optim.Optimizer], Any], every: int = 1, **defaults: Any
) -> None:
    """A scheduler that is stepped `every` so many steps."""

    def reference() -> list[tuple[Options, ...]]:
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": peak} for peak in PEAKS]
        optimizer = torch.optim.SGD(groups, lr=PEAKS[0], **defaults)
        scheduler = make(optimizer)
        found = []
        for k in range(STEPS):
            found.append(tuple(dict(group) for group in optimizer.param_groups))
            optimizer.step()
            if (k + 1) % every == 0:
                _step(scheduler, k + 1)
        return found

    REFERENCES[code] = reference


def _step(scheduler: Any, k: int) -> None:
    scheduler.step_update(k) if hasattr(scheduler, "step_update") else scheduler.step()


def _options(value: float | Options) -> Options:
    return value if isinstance(value, dict) else {"lr": value}


# ---------------------------------------------------------------- torch

of_scheduler(
    "torch: `CosineAnnealingLR(T_max=100, eta_min=1e-5)`",
    lambda o: lrs.CosineAnnealingLR(o, T_max=100, eta_min=1e-5),
)
of_scheduler("torch: `CosineAnnealingLR(T_max=99)`", lambda o: lrs.CosineAnnealingLR(o, T_max=99))
of_scheduler(
    "torch: `CosineAnnealingWarmRestarts(10, T_mult=2)`",
    lambda o: lrs.CosineAnnealingWarmRestarts(o, 10, T_mult=2),
)
of_scheduler(
    "torch: `SequentialLR` of `LinearLR(0.01, total_iters=5)` and `CosineAnnealingLR(95)`",
    lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.01, total_iters=5), lrs.CosineAnnealingLR(o, 95)], milestones=[5]
    ),
)
of_scheduler(
    "torch: `SequentialLR` of `ConstantLR(0.01, total_iters=5)` and `StepLR(30)`",
    lambda o: lrs.SequentialLR(
        o, [lrs.ConstantLR(o, 0.01, total_iters=5), lrs.StepLR(o, 30)], milestones=[5]
    ),
)
of_scheduler(
    "torch: `OneCycleLR(total_steps=100, three_phase=True)`",
    lambda o: lrs.OneCycleLR(o, list(PEAKS), total_steps=STEPS, three_phase=True, cycle_momentum=False),
)
of_scheduler(
    "torch: `PolynomialLR(total_iters=100, power=0.9)`",
    lambda o: lrs.PolynomialLR(o, total_iters=100, power=0.9),
)
of_scheduler(
    "torch: `ExponentialLR(0.9)`, once an epoch", lambda o: lrs.ExponentialLR(o, 0.9), every=PER_EPOCH
)
of_scheduler(
    "torch: `OneCycleLR(total_steps=100)` with its momentum",
    lambda o: lrs.OneCycleLR(o, PEAKS, total_steps=100),
    momentum=0.9,
)
of_scheduler(
    'torch: `CyclicLR(1e-4, step_size_up=20, mode="triangular2")`',
    lambda o: lrs.CyclicLR(
        o,
        [peak / 10 for peak in PEAKS],
        list(PEAKS),
        step_size_up=20,
        mode="triangular2",
        cycle_momentum=False,
    ),
)

# ---------------------------------------------------------------- transformers


def _transformers(name: str, *arguments: Any, **named: Any) -> Callable[[torch.optim.Optimizer], Any]:
    def make(optimizer: torch.optim.Optimizer) -> Any:
        module = with_torchvision(lambda: import_module("transformers.optimization"))
        return getattr(module, name)(optimizer, *arguments, **named)

    return make


of_scheduler(
    "transformers: `get_wsd_schedule(10, 30, min_lr_ratio=0.1)`",
    _transformers("get_wsd_schedule", 10, 30, num_training_steps=100, min_lr_ratio=0.1),
)
of_scheduler(
    "transformers: `get_cosine_with_min_lr_schedule_with_warmup(10, min_lr_rate=0.1)`",
    _transformers("get_cosine_with_min_lr_schedule_with_warmup", 10, 100, min_lr_rate=0.1),
)
of_scheduler(
    "transformers: `get_polynomial_decay_schedule_with_warmup(10, lr_end=1e-7, power=2)`",
    _transformers("get_polynomial_decay_schedule_with_warmup", 10, 100, lr_end=1e-7, power=2.0),
)
of_scheduler(
    "transformers: `get_cosine_with_hard_restarts_schedule_with_warmup(10, num_cycles=3)`",
    _transformers("get_cosine_with_hard_restarts_schedule_with_warmup", 10, 100, 3),
)
of_scheduler("transformers: `get_inverse_sqrt_schedule(10)`", _transformers("get_inverse_sqrt_schedule", 10))

of_scheduler(
    "transformers: `get_cosine_with_min_lr_schedule_with_warmup_lr_rate(10, min_lr_rate=0.1)`, from 0.02",
    _transformers(
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate", 10, 100, min_lr_rate=0.1, warmup_lr_rate=0.02
    ),
)

# ---------------------------------------------------------------- timm


def _timm(name: str, **arguments: Any) -> Callable[[torch.optim.Optimizer], Any]:
    """timm holds one rate for all groups, and what each has of it as `lr_scale`."""

    def make(optimizer: torch.optim.Optimizer) -> Any:
        module = with_torchvision(lambda: import_module("timm.scheduler"))
        for group in optimizer.param_groups:
            group["lr_scale"] = group["lr"] / PEAKS[0]
            group["lr"] = PEAKS[0]
        scheduler = getattr(module, name)(optimizer, t_in_epochs=False, **arguments)
        scheduler.step_update(0)
        return scheduler

    return make


of_scheduler(
    "timm: `CosineLRScheduler(warmup_t=5, warmup_lr_init=1e-6, lr_min=1e-5)`, no `warmup_prefix`",
    _timm("CosineLRScheduler", t_initial=100, warmup_t=5, warmup_lr_init=1e-6, lr_min=1e-5),
)
of_scheduler(
    "timm: the same with `warmup_prefix` and 10 steps of cool-down",
    _timm(
        "CosineLRScheduler",
        t_initial=90,
        warmup_t=5,
        warmup_lr_init=1e-6,
        lr_min=1e-5,
        warmup_prefix=True,
    ),
)
of_scheduler(
    "timm: `CosineLRScheduler(cycle_limit=4, cycle_decay=0.5)`",
    _timm("CosineLRScheduler", t_initial=25, cycle_limit=4, cycle_decay=0.5),
)
of_scheduler("timm: `CosineLRScheduler(k_decay=1.5)`", _timm("CosineLRScheduler", t_initial=100, k_decay=1.5))
of_scheduler(
    "timm: `StepLRScheduler(decay_t=24, decay_rate=0.97)`",
    _timm("StepLRScheduler", decay_t=24, decay_rate=0.97),
)

of_scheduler(
    "timm: `StepLRScheduler(decay_t=24)`, warm-up in front, which it does not count",
    _timm("StepLRScheduler", decay_t=24, decay_rate=0.1, warmup_t=10, warmup_lr_init=1e-5),
)
of_scheduler(
    "timm: `MultiStepLRScheduler(decay_t=[30, 60])`, a step early",
    _timm("MultiStepLRScheduler", decay_t=[30, 60], decay_rate=0.1),
)
of_scheduler(
    "timm: `TanhLRScheduler(lb=-7, ub=3, lr_min=1e-5)`",
    _timm("TanhLRScheduler", t_initial=100, lb=-7.0, ub=3.0, lr_min=1e-5),
)
of_scheduler(
    "timm: `PolyLRScheduler(power=0.5, lr_min=1e-5)`, warm-up instead of the first 5 steps",
    _timm("PolyLRScheduler", t_initial=100, power=0.5, lr_min=1e-5, warmup_t=5, warmup_lr_init=1e-5),
)

# ---------------------------------------------------------------- formulas


def _half(p: float) -> float:
    return 0.5 * (1 + cos(pi * p))


def _mmengine_linear(k: int) -> float:
    """`LinearParamScheduler`, which is at its end at the last step before `end`."""
    return 0.001 + 0.999 * min(k, 9) / 9


@of_formula("mmengine: `LinearLR(0.001, end=10)`, `MultiStepLR([80, 90])`")
def _(peak: float, k: int) -> float:
    return peak * _mmengine_linear(k) * 0.1 ** ((k >= 80) + (k >= 90))


@of_formula("mmengine: `LinearLR(0.001, end=10)`, then `CosineAnnealingLR(begin=50)`")
def _(peak: float, k: int) -> float:
    return peak * (_mmengine_linear(k) if k < 50 else _half((k - 50) / 50))


@of_formula("nanoGPT: `get_lr`, warm-up (k + 1) / (w + 1)")
def _(peak: float, k: int) -> float:
    return peak * (k + 1) / 11 if k < 10 else 1e-4 + _half((k - 10) / 90) * (peak - 1e-4)


@of_formula("OpenCLIP: `cosine_lr`, warm-up (k + 1) / w")
def _(peak: float, k: int) -> float:
    return peak * (k + 1) / 10 if k < 10 else _half((k - 10) / 90) * peak


@of_formula("OpenCLIP: `const_lr_cooldown`, power 2")
def _(peak: float, k: int) -> float:
    if k < 10:
        return peak * (k + 1) / 10
    return peak if k < 70 else (1 - (k - 70) / 30) ** 2 * peak


@of_formula("DINO, BEiT, SwAV: `np.linspace` for 10 steps, then a cosine")
def _(peak: float, k: int) -> float:
    return float(np.linspace(0, peak, 10)[k]) if k < 10 else 1e-6 + (peak - 1e-6) * _half((k - 10) / 90)


@of_formula("MAE, MoCo v3: a warm-up from 0, then half a cosine")
def _(peak: float, k: int) -> float:
    return peak * k / 10 if k < 10 else peak * _half((k - 10) / 90)


@of_formula("SimSiam, MoCo v2: a cosine, once an epoch")
def _(peak: float, k: int) -> float:
    return peak * _half(k // PER_EPOCH / (STEPS / PER_EPOCH))


@of_formula("torchtitan: `linear_warmup_stable_decay(10, 50, 40)`")
def _(peak: float, k: int) -> float:
    if k < 10:
        return peak * (k + 1) / 10
    return peak if k < 61 else peak * (1 - (k + 1 - 61) / 40)


@of_formula("Megatron-LM: cosine, `lr_decay_iters` 80")
def _(peak: float, k: int) -> float:
    low = peak / 10
    if k <= 10:
        return peak * k / 10
    return low if k > 80 else low + _half((k - 10) / 70) * (peak - low)


@of_formula("Megatron-LM: WSD, exponential style")
def _(peak: float, k: int) -> float:
    low = peak / 10
    if k <= 10:
        return peak * k / 10
    return peak if k <= 70 else low + (2 * 0.5 ** ((k - 70) / 30) - 1) * (peak - low)


@of_formula("big_vision: `rsqrt`, cool-down")
def _(peak: float, k: int) -> float:
    rate = peak / sqrt((k + 20 - 10) / 20) if k >= 10 else peak
    return rate * min(1, k / 10) * min(1, (STEPS - k) / 30)


@of_formula("fairseq: `tri_stage`, 10 %, 40 %, 50 %")
def _(peak: float, k: int) -> float:
    if k < 10:
        return 0.01 * peak + (peak - 0.01 * peak) / 10 * k
    return peak if k < 50 else peak * math.exp(math.log(0.05) / 50 * (k - 50))


@of_formula("fairseq: `inverse_sqrt`, `warmup_init_lr` 1e-7")
def _(peak: float, k: int) -> float:
    return 1e-7 + k * (peak - 1e-7) / 10 if k < 10 else peak * sqrt(10) * k**-0.5


@of_formula("detectron2: `WarmupCosineLR`")
def _(peak: float, k: int) -> float:
    """`WarmupParamScheduler`: a line from a thousandth of the first value to the value at its end."""
    return peak * (0.001 + (_half(0.1) - 0.001) * k / 10 if k < 10 else _half(k / STEPS))


@of_formula("ELECTRA, Mask2Former: a warm-up times a fall over the whole run")
def _(peak: float, k: int) -> float:
    return peak * (1 - k / STEPS) ** 0.9 * min(1, k / 10)


@of_formula("Noam (tensor2tensor, ESPnet)")
def _(peak: float, k: int) -> float:
    return float(peak * 512**-0.5 * min((k + 1) ** -0.5, (k + 1) * 10**-1.5))


@of_formula("NeMo: `NoamAnnealing(d_model=512, warmup_steps=10)`")
def _(peak: float, k: int) -> float:
    """The first two steps are one and the same: `step = max(1, last_epoch)`."""
    step = max(1, k)
    return float(peak * 512**-0.5 * min(step**-0.5, step * 10**-1.5))


@of_formula("NeMo: `NoamHoldAnnealing(warmup_steps=10, hold_steps=20)`")
def _(peak: float, k: int) -> float:
    if k <= 10:
        return peak * (k + 1) / 11
    return peak if k < 30 else float(peak * 10**0.5 / (k - 20) ** 0.5)


@of_formula("NeMo: `CosineAnnealing(warmup_steps=10, constant_steps=20)`, least a tenth")
def _(peak: float, k: int) -> float:
    low = peak / 10
    if k <= 10:
        return peak * k / 10
    return low if k > 80 else low + (peak - low) * _half((k - 10) / 70)


@of_formula("optax, Keras: `warmup_cosine_decay`, from 0.01 in 10 steps, down to 0.1 at 80")
def _(peak: float, k: int) -> float:
    if k < 10:
        return peak * (0.01 + 0.99 * k / 10)
    return peak * (0.1 + 0.9 * _half(min(k - 10, 70) / 70))


@of_formula("fvcore, SAM 2: `CompositeParamScheduler`, constant for 0.305, then a cosine, rescaled")
def _(peak: float, k: int) -> float:
    where = k / STEPS
    return peak if where <= 0.305 else peak * (0.01 + 0.99 * _half((where - 0.305) / 0.695))


@of_formula("DeiT: timm's cosine, warm-up 3 epochs from 1e-2, stepped with the epoch that is over")
def _(peak: float, k: int) -> float:
    epoch = max(0, k // PER_EPOCH - 1)
    if epoch < 3:
        return peak * (0.01 + 0.99 * epoch / 3)
    return peak * (0.02 + 0.98 * _half(epoch / 10))


@of_formula("Megatron-LM: constant, `lr_warmup_init` 1e-6")
def _(peak: float, k: int) -> float:
    return 1e-6 + (peak - 1e-6) * k / 10 if k <= 10 else peak


@of_formula("DeepSpeed: `WarmupLR`, logarithmic")
def _(peak: float, k: int) -> float:
    return peak * math.log(k + 1) / math.log(50) if k < 50 else peak


def _fastai_cos(start: float, end: float, pos: float) -> float:
    return start + (1 + cos(pi * (1 - pos))) * (end - start) / 2


def _fastai_cycle(low: float, top: float, last: float, pos: float) -> float:
    """`combined_cos(0.25, ...)`."""
    return _fastai_cos(low, top, pos / 0.25) if pos < 0.25 else _fastai_cos(top, last, (pos - 0.25) / 0.75)


@of_formula("fastai: `fit_one_cycle` with its momentum")
def _(peak: float, k: int) -> Options:
    pos = k / STEPS
    return {
        "lr": _fastai_cycle(peak / 25, peak, peak / 1e5, pos),
        "betas": (_fastai_cycle(0.95, 0.85, 0.95, pos), 0.99),
    }


@of_formula("YOLOX: `yoloxwarmcos`")
def _(peak: float, k: int) -> float:
    low = peak * 0.05
    if k <= 10:
        return float(peak * (k / 10) ** 2)
    return low if k >= 85 else low + 0.5 * (peak - low) * (1 + cos(pi * (k - 10) / (100 - 10 - 15)))


@of_formula('diffusers: `piecewise_constant`, `"1:10,0.1:20,0.01"`')
def _(peak: float, k: int) -> float:
    return peak * (1 if k < 10 else 0.1 if k < 20 else 0.01)


@of_formula("Megatron-LM: WSD, `minus_sqrt` style, `lr_wsd_decay_iters` 30")
def _(peak: float, k: int) -> float:
    low = peak / 10
    if k <= 10:
        return peak * k / 10
    return peak if k <= 70 else low + (1 - sqrt((k - 70) / 30)) * (peak - low)


@of_formula("Megatron-LM: inverse square root, least a tenth")
def _(peak: float, k: int) -> float:
    return peak * k / 10 if k <= 10 else max(peak / 10, peak * sqrt(10) / sqrt(k))


@of_formula("fairseq: `cosine`, `t_mult` 2, `lr_shrink` 0.75, period 20")
def _(peak: float, k: int) -> float:
    if k < 10:
        return peak * k / 10
    n, begins, period = 0, 0, 20
    while begins + period <= k - 10:
        n, begins, period = n + 1, begins + period, 2 * period
    return peak * 0.75**n * _half((k - 10 - begins) / period)


@of_formula("mmcv: `poly` with a linear warm-up, which multiplies")
def _(peak: float, k: int) -> float:
    regular = peak * (1 - k / STEPS) ** 0.9
    return regular * (1 - (1 - k / 10) * (1 - 0.001)) if k < 10 else regular


@of_formula("dassl, CoOp: a constant epoch, then a cosine that began with it")
def _(peak: float, k: int) -> float:
    epoch = k // PER_EPOCH
    return peak * 0.005 if epoch < 1 else peak * _half((epoch - 1) / 10)


@of_formula("Lightning Bolts: `LinearWarmupCosineAnnealingLR(3, 10)`, once an epoch")
def _(peak: float, k: int) -> float:
    epoch = k // PER_EPOCH
    return peak * epoch / 2 if epoch < 3 else peak * _half((epoch - 3) / 7)


@of_formula("LLM Foundry: inverse square root, cool-down to 0")
def _(peak: float, k: int) -> float:
    """`coeff / (t + shift) ** 0.5`, and a line from what that is where the cool-down begins."""
    if k < 10:
        return peak * k / 10
    factor = sqrt(20) / sqrt(min(k, 80) + 20 - 10)
    return peak * factor * (1 if k < 80 else 1 - (k - 80) / 20)


@of_formula("DeepSeek-LLM: 31.6 % from 80 %, 10 % from 90 %")
def _(peak: float, k: int) -> float:
    return peak * (min(1, k / 10) if k < 80 else 0.316 if k < 90 else 0.1)


@of_formula("icefall: `Eden(50, 3)`")
def _(peak: float, k: int) -> float:
    epoch = k // PER_EPOCH
    factor = ((k**2 + 50**2) / 50**2) ** -0.25 * ((epoch**2 + 3**2) / 3**2) ** -0.25
    return float(peak * factor * (1.0 if k >= 20 else 0.5 + 0.5 * k / 20))


@of_formula("mip-NeRF: log-linear, with a delay")
def _(peak: float, k: int) -> float:
    delay = 0.01 + 0.99 * math.sin(0.5 * pi * min(k / 20, 1))
    t = k / STEPS
    return delay * math.exp(math.log(peak) * (1 - t) + math.log(peak / 100) * t)


@of_formula("EDM2: flat, then an inverse square root")
def _(peak: float, k: int) -> float:
    return peak / sqrt(max(k / 30, 1)) * min(k / 10, 1)


@of_formula("TensorFlow's EfficientNet: stairs every 2.4 epochs")
def _(peak: float, k: int) -> float:
    warmup = 5 * PER_EPOCH
    return float(peak * k / warmup if k < warmup else peak * 0.97 ** (k // 24))


@of_formula("FixMatch: 7/16 of half a cosine")
def _(peak: float, k: int) -> float:
    return peak * cos(7 * pi * k / (16 * STEPS))


# ---------------------------------------------------------------- the lines of the page


class Two(nn.Module):
    """A parameter at each of the peaks."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(1, 1, bias=False)
        self.b = nn.Linear(1, 1, bias=False)


@pytest.mark.parametrize(("code", "rules"), lines(), ids=[code for code, _ in lines()])
def test_a_line_gives_what_the_code_that_it_names_gives(code: str, rules: str) -> None:
    """At every step of a run, for groups at two rates."""
    text = "\n".join([*rules.split("; "), "a -> lr 1e-3", "b -> lr 5e-4"])
    plan = layerlr.parse(text).resolve(Two(), epochs=STEPS // PER_EPOCH, steps_per_epoch=PER_EPOCH)
    for k, wanted in enumerate(REFERENCES[code]()):
        now = plan.at(step=k)
        for name, options in zip(("a.weight", "b.weight"), wanted, strict=True):
            for option in {"lr", "betas", "momentum"} & options.keys() & now[name].keys():
                assert now[name][option] == pytest.approx(options[option], rel=1e-9, abs=1e-15), (
                    k,
                    name,
                    option,
                )


def test_every_line_of_the_page_has_its_code() -> None:
    """And no code is compared with nothing."""
    codes = [code for code, _ in lines()]
    assert sorted(codes) == sorted(REFERENCES)
