"""Every optimizer of a package, the way each has to be run, and a run that is saved and resumed.

Also written down here: what cannot be resumed, or cannot be built from parameter groups, and why.
"""

from __future__ import annotations

import copy
import inspect
import io
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import Optimizer

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision
from layerlr_dsl.training.errors import StateNotCarried

STOP, END = 6, 12
MATRICES = "** -> lr 1e-3\nlast -> lr 2e-3\nfreeze first until epoch 1"
RULES = MATRICES + "\n** where ndim != 2 -> lr *= 0.5"


@dataclass(frozen=True)
class Way:
    """How an optimizer has to be run. labels: what its groups need beside parameters, by whether they hold matrices."""

    settings: dict[str, Any] = field(default_factory=dict)
    matrices: bool = False
    one_group: bool = False
    sparse: bool = False
    closure: bool = False
    twice: bool = False
    labels: tuple[str, ...] = ()


MUON = Way(labels=("use_muon",))
MOMENTUM = Way({"momentum": 0.9})
WAYS: dict[str, Way] = {
    "torch.LBFGS": Way(one_group=True, closure=True),
    "torch.Muon": Way(matrices=True),
    "torch.SparseAdam": Way(sparse=True),
    "timm.Adahessian": Way(twice=True),
    "pytorch_optimizer.adago": MUON,
    "pytorch_optimizer.adahessian": Way(twice=True),
    "pytorch_optimizer.adamuon": MUON,
    "pytorch_optimizer.alig": Way(closure=True),
    "pytorch_optimizer.bsam": Way({"num_data": 1}, closure=True),
    "pytorch_optimizer.lbfgs": Way(one_group=True, closure=True),
    "pytorch_optimizer.muon": MUON,
    "pytorch_optimizer.muonclip": MUON,
    "pytorch_optimizer.normuon": MUON,
    "pytorch_optimizer.ranger21": Way({"num_iterations": 20}),
    "pytorch_optimizer.sophiah": Way(twice=True),
    "pytorch_optimizer.spectralsphere": Way(matrices=True),
    "schedulefree.AdamWScheduleFreeClosure": Way(closure=True),
    "schedulefree.RAdamScheduleFreeClosure": Way(closure=True),
    "schedulefree.SGDScheduleFreeClosure": Way(closure=True),
    "prodigyopt.Prodigy": Way(one_group=True),
    "bitsandbytes.optim.AdEMAMix32bit": Way({"t_alpha": 10, "t_beta3": 10}),
    "bitsandbytes.optim.LARS": MOMENTUM,
    "bitsandbytes.optim.LARS8bit": MOMENTUM,
    "bitsandbytes.optim.LARS32bit": MOMENTUM,
    "bitsandbytes.optim.PytorchLARS": MOMENTUM,
    "bitsandbytes.optim.SGD": MOMENTUM,
    "bitsandbytes.optim.SGD8bit": MOMENTUM,
    "bitsandbytes.optim.SGD32bit": MOMENTUM,
}

OF_A_MODEL = "is built from a model, not from parameter groups"
CANNOT: dict[str, str] = {
    "timm.Adahessian": "draws from a generator of its own, which it does not save",
    "timm.Lookahead": "wraps another optimizer, see test_wrapped_optimizers",
    "pytorch_optimizer.adalomo": OF_A_MODEL,
    "pytorch_optimizer.adammini": OF_A_MODEL,
    "pytorch_optimizer.demo": "needs einops and a process group",
    "pytorch_optimizer.distributedmuon": "needs a process group",
    "pytorch_optimizer.lomo": OF_A_MODEL,
    "bitsandbytes.optim.AdEMAMix32bit": "its step fails on a CPU",
    "bitsandbytes.optim.PagedAdEMAMix32bit": "its step fails on a CPU",
    "torchao.optim.CPUOffloadOptimizer": "needs a GPU",
}


def optimizers(package: str) -> dict[str, type[Optimizer]]:
    """Every optimizer of a package, by the name that `WAYS` and `CANNOT` have it under."""
    return {f"{package}.{name}": cls for name, cls in _classes(package)}


def _classes(package: str) -> Iterator[tuple[str, type[Optimizer]]]:
    if package == "pytorch_optimizer":
        from pytorch_optimizer import get_supported_optimizers, load_optimizer

        yield from ((name, load_optimizer(name)) for name in get_supported_optimizers())
        return
    if package == "timm":
        with_torchvision(lambda: import_module("torchvision"))
    module = {"torch": "torch.optim", "timm": "timm.optim"}.get(package, package)
    for name, found in vars(import_module(module)).items():
        foreign = package == "timm" and not getattr(found, "__module__", "").startswith("timm")
        if inspect.isclass(found) and issubclass(found, Optimizer) and found is not Optimizer and not foreign:
            yield name, found


class Net(nn.Module):
    def __init__(self, way: Way) -> None:
        super().__init__()
        bias = not way.matrices
        self.table = nn.Embedding(8, 8, sparse=True) if way.sparse else nn.Identity()
        self.first = nn.Linear(8, 24, bias=bias)
        self.norm = nn.LayerNorm(24) if bias else nn.Identity()
        self.last = nn.Linear(24, 4, bias=bias)

    def forward(self, rows: Tensor) -> Tensor:
        inputs = self.table(rows) if isinstance(self.table, nn.Embedding) else one_hot(rows, 8).float()
        return self.last(torch.tanh(self.norm(self.first(inputs))))


@dataclass
class Run:
    """A model in training. `schedule` is None where layerlr has no part in it."""

    way: Way
    model: nn.Module
    optimizer: Optimizer
    schedule: Any

    def go(self, start: int, stop: int) -> None:
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        for step in range(start, stop):
            torch.manual_seed(step)
            numpy.random.seed(step)  # some optimizers draw from there
            self._step(step)
            if self.schedule is not None:
                self.schedule.step()

    def _step(self, step: int) -> None:
        def closure() -> Any:
            self.optimizer.zero_grad()
            rows = torch.randint(0, 8, (6,), generator=torch.Generator().manual_seed(step))
            with torch.enable_grad():
                loss = self.model(rows).square().mean()
                loss.backward(create_graph=self.way.twice)
            return float(loss.detach())

        closure()
        self.optimizer.step(closure) if self.way.closure else self.optimizer.step()
        self.optimizer.zero_grad()

    def saved(self) -> dict[str, Any]:
        """Through a file, as between two processes."""
        file = io.BytesIO()
        schedule = None if self.schedule is None else self.schedule.state_dict()
        torch.save([self.model.state_dict(), self.optimizer.state_dict(), schedule], file)
        file.seek(0)
        return dict(
            zip(["model", "optimizer", "schedule"], torch.load(file, weights_only=False), strict=True)
        )

    def load(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        with warnings.catch_warnings():
            warnings.simplefilter("error", StateNotCarried)
            self.optimizer.load_state_dict(saved["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])

    def weights(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.model.parameters()]


def rules_for(way: Way) -> str:
    if way.one_group:
        return "** -> lr 1e-3"
    return MATRICES if way.matrices else RULES


def begun(cls: type[Optimizer], way: Way, ours: bool, order: int = 1) -> Run:
    """A fresh run over groups in one `order` or the other (-1); `ours`: with a schedule, which loads by name."""
    torch.manual_seed(0)
    model = Net(way)
    if way.sparse:
        model = nn.Sequential(model.table)
    rules = "** -> lr 1e-3" if way.sparse else rules_for(way)
    plan = layerlr.parse(rules).resolve(model, epochs=4, steps_per_epoch=4)
    groups = plan.param_groups(model)[::order]
    for group in groups:
        group |= {label: all(p.ndim == 2 for p in group["params"]) for label in way.labels}
    optimizer = cls(groups, lr=1e-3, **way.settings)
    return Run(way, model, optimizer, plan.schedule(model, optimizer) if ours else None)


def resumes_exactly(cls: type[Optimizer], way: Way, ours: bool, unsaid: bool = False) -> bool:
    """Whether a run that is saved, built anew, loaded and continued ends like one that never stopped.

    unsaid: the checkpoint does not say what made it, as one of plain torch does not.
    """
    whole = begun(cls, way, ours)
    whole.go(0, END)
    first = begun(cls, way, ours)
    first.go(0, STOP)
    saved = copy.deepcopy(first.saved())
    if unsaid:
        saved["optimizer"].pop("layerlr", None)
    second = begun(cls, way, ours)
    second.load(saved)
    second.go(STOP, END)
    return all(torch.equal(a, b) for a, b in zip(whole.weights(), second.weights(), strict=True))


def state_by_name(optimizer: Optimizer) -> dict[str, Any]:
    """What an optimizer keeps for each parameter."""
    return {
        name: dict(optimizer.state[parameter])
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
        if parameter in optimizer.state
    }


def same(left: Any, right: Any) -> bool:
    """Whether two states are equal, containers and objects of the optimizer's own included."""
    if isinstance(left, Tensor):
        return isinstance(right, Tensor) and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple, deque)):
        return len(left) == len(right) and all(map(same, left, right))
    if hasattr(left, "__dict__"):
        return type(left) is type(right) and same(vars(left), vars(right))
    return bool(left == right)


def resumes_by_itself(cls: type[Optimizer], way: Way) -> bool:
    """Whether a run that is saved and loaded by the library alone ends as one that never stopped."""
    try:
        return resumes_exactly(cls, way, ours=False)
    except Exception:
        return False


def carries_by_name(cls: type[Optimizer], way: Way) -> bool:
    """Whether state that is loaded into groups in another order is each parameter's own, and steps on."""
    first = begun(cls, way, ours=True)
    first.go(0, STOP)
    second = begun(cls, way, ours=True, order=-1)
    second.load(first.saved())
    carried = same(state_by_name(second.optimizer), state_by_name(first.optimizer))
    second.go(STOP, STOP + 2)
    return carried
