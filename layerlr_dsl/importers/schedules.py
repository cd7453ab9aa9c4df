"""Schedules as mmengine's `param_scheduler` has them."""

from __future__ import annotations

from typing import Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import LeftOut
from layerlr_dsl.importers.reading import Section
from layerlr_dsl.language import syntax as s


def mmengine_schedule(
    top: Section, rate: float, left: list[LeftOut]
) -> tuple[s.ScheduleSequence | None, dict[str, Any]]:
    """The schedule of `param_scheduler`, and the length of the run by `train_cfg`."""
    length = _length(top)
    parts = top.sections("param_scheduler")
    warm = next((p for p in parts if p.take("type") == "LinearLR" and p.number("begin", 0) == 0), None)
    others = [p for p in parts if p is not warm]
    if not parts:
        return None, length
    if len(others) > 1:
        left.append(
            LeftOut("`param_scheduler` of several parts: write them with `then`", others[1].node.line)
        )
    called, arguments = (
        _curve(others[0], rate, length.get("epochs", length.get("steps")), left)
        if others
        else ("constant", {})
    )
    if called is None:
        return None, length
    if warm is not None:
        _warm(warm, arguments, bool(others), left)
    return nodes.schedule(called, **arguments), length


def _length(top: Section) -> dict[str, Any]:
    config = top.section("train_cfg")
    if config is None:
        return {}
    if config.number("max_iters") is not None:
        return {"steps": int(config.number("max_iters"))}
    return {} if config.number("max_epochs") is None else {"epochs": int(config.number("max_epochs"))}


def _warm(warm: Section, arguments: dict[str, Any], decays: bool, left: list[LeftOut]) -> None:
    """`LinearLR(start_factor, end=N)` reaches the rate at tick N - 1."""
    end = warm.number("end", 5)
    by_epoch = warm.take("by_epoch", True)
    if warm.take("convert_to_iter_based", False):
        left.append(LeftOut("`convert_to_iter_based`: the warm-up is counted in epochs", warm.node.line))
    duration = nodes.epochs if by_epoch else nodes.steps
    if end > 1:
        arguments["warmup"] = duration(int(end) - 1)
        arguments["warmup_start_factor"] = warm.number("start_factor", 1 / 3)


def _curve(
    part: Section, rate: float, total: float | None, left: list[LeftOut]
) -> tuple[str | None, dict[str, Any]]:
    kind = str(part.take("type"))
    duration = nodes.epochs if part.take("by_epoch", True) else nodes.steps
    gamma = part.number("gamma", 0.1)
    if kind == "MultiStepLR":
        marks = tuple(duration(int(n.value)) for n in part.nodes("milestones"))
        return "multistep", {"at": marks, "gamma": gamma}
    if kind == "StepLR":
        return "step", {"every": duration(int(part.number("step_size", 1))), "gamma": gamma}
    held: dict[str, Any] = {"interval": nodes.name("epoch")} if part.take("by_epoch", True) else {}
    if part.number("begin", 0):
        left.append(LeftOut("`begin`: the decay is counted from the end of the warm-up", part.line("begin")))
    if kind == "CosineAnnealingLR":
        return "cosine", {**_end(part, rate), **held, **_reach(part, part.number("T_max"), total, 0, left)}
    if kind == "PolyLR":
        told = {"power": part.number("power", 1.0), **_end(part, rate), **held}
        return "polynomial", {**told, **_reach(part, None, total, 1, left)}
    if kind == "ExponentialLR":
        return "exponential", {"gamma": gamma}
    if kind == "ConstantLR":
        return "constant", {}
    left.append(LeftOut(f"`param_scheduler` `{kind}`: no schedule here is the same", part.line("type")))
    return None, {}


def _reach(
    part: Section, over: float | None, total: float | None, short: int, left: list[LeftOut]
) -> dict[str, Any]:
    """Where the end lies: at the end of the run, a tick before it, or, told of, elsewhere."""
    begin, end = part.number("begin", 0), part.number("end", total)
    if total is None:
        return {}
    length = over if over is not None else (end or total) - begin - short
    if length == total - begin:
        return {}
    if length == total - begin - 1:
        return {"endpoint": True}
    left.append(LeftOut(f"it ends after {length}: here it is as long as the run", part.node.line))
    return {}


def _end(part: Section, rate: float) -> dict[str, Any]:
    if part.number("eta_min_ratio") is not None:
        return {"floor": part.number("eta_min_ratio")}
    end = part.number("eta_min", 0)
    return {"min_lr": end} if end else {}
