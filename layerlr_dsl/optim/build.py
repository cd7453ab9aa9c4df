"""An optimizer by the name a rule file gives it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import reduce
from importlib import import_module
from typing import Any

from torch.optim import Optimizer

from layerlr_dsl.catalogue import optimizers as table
from layerlr_dsl.catalogue.signatures import PARAMETER_GROUPS, OptimizerInfo
from layerlr_dsl.tools.nearest import nearest

STRUCTURE = frozenset({"params", "param_names", "name", "initial_lr", "optimizer"})


def build(
    name: str,
    groups: list[dict[str, Any]],
    settings: Mapping[str, object],
    unchecked: Set[str] = frozenset(),
) -> Optimizer:
    """The optimizer `name` over these parameter groups.

    name: one of torch.optim's, of ours, of those registered under the entry-point group
    `layerlr.optimizers`, or of pytorch_optimizer's. groups: torch parameter groups, changed in
    place as torch does. settings: arguments of the constructor, for what the groups leave open.
    unchecked: options of groups that are handed on as they are.

    Raises ValueError for an unknown name, an unknown or wrong option, and parameters that the
    optimizer does not take, naming the parameter.
    """
    info = table.find(name)
    if info is None:
        meant = nearest(name, table.names())
        raise ValueError(
            f"there is no optimizer called {name}" + (f", did you mean {meant}?" if meant else "")
        )
    chosen = {option: _plain(value) for option, value in settings.items()}
    _check_settings(info, chosen)
    for group in groups:
        _check_group(info, group, unchecked)
    if info.refuses == PARAMETER_GROUPS:
        raise ValueError(f"{info.name} is built from a model, not from parameter groups")
    if info.refuses == table.SEVERAL_GROUPS and len(groups) > 1:
        names = ", ".join(str(group.get("name", index)) for index, group in enumerate(groups))
        raise ValueError(f"{info.name} takes one parameter group only, and there are {len(groups)}: {names}")
    try:
        return _class_of(info)(groups, **chosen)  # type: ignore[no-any-return]
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise ValueError(f"{info.name}: {error}") from error


def _class_of(info: OptimizerInfo) -> Any:
    module, _, path = info.target.partition(":")
    try:
        return reduce(getattr, path.split("."), import_module(module))
    except AttributeError:
        version = getattr(import_module(module.partition(".")[0]), "__version__", "here")
        raise ValueError(f"{info.name} is not in {module.partition('.')[0]} {version}") from None


def _check_settings(info: OptimizerInfo, settings: Mapping[str, Any]) -> None:
    for option, value in settings.items():
        _check(info, option, value)
    for name in table.required(info):
        if name not in settings:
            raise ValueError(f"{info.name} needs {name}")
    if clash := table.conflict(info, settings):
        raise ValueError(f"{info.name}: {' '.join(clash)}")


def _check_group(info: OptimizerInfo, group: dict[str, Any], unchecked: Set[str]) -> None:
    for option in group.keys() - STRUCTURE - unchecked:
        group[option] = _plain(group[option])
        _check(info, option, group[option])
    names = group.get("param_names") or [f"parameter {index}" for index in range(len(group["params"]))]
    for name, param in zip(names, group["params"], strict=True):
        if wrong := table.refused(info, param.ndim):
            raise ValueError(f"{name}: {wrong}")


def _check(info: OptimizerInfo, option: str, value: Any) -> None:
    if option not in info.options:
        meant = nearest(option, info.options)
        raise ValueError(
            f"{info.name} has no option called {option}" + (f", did you mean {meant}?" if meant else "")
        )
    if hasattr(value, "numel"):
        return
    if wrong := table.problem(info, option, value):
        raise ValueError(f"{info.name}: {option} {wrong}, not {value!r}")


def _plain(value: Any) -> Any:
    """Tuples of numbers as floats: torch's Adam takes betas=(0.0, 0.999) and refuses (0, 0.999)."""
    if isinstance(value, (tuple, list)):
        return tuple(
            float(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value
        )
    return value
