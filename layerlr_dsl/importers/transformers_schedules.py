"""transformers' schedules by their names: `lr_scheduler_type`, its arguments, and the warm-up.

Source: transformers/optimization.py (5.23), `get_scheduler`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import LeftOut, Lets, SourceFault
from layerlr_dsl.importers.reading import Node, Section, as_section, read
from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import shown
from layerlr_dsl.tools.records import record

_END = nodes.percent(1.0)


@record
class _Run:
    """What a schedule hangs on. warm: its warm-up, None for none. steps: of the run, where they are known."""

    rate: float
    warm: s.Duration | None
    steps: int | None
    arguments: Section
    metric: str

    @property
    def warmup(self) -> dict[str, Any]:
        return {} if self.warm is None else {"warmup": self.warm}

    @property
    def warm_steps(self) -> int | None:
        """The steps of the warm-up, where they can be known."""
        if self.warm is None:
            return 0
        number = self.warm.value.exact  # type: ignore[union-attr]
        if self.warm.unit == "steps":
            return int(number)
        return None if self.steps is None else math.ceil(self.steps * number / 100)

    def share(self, key: str) -> Any:
        """An absolute rate of the arguments as a share of the rate. Raises SourceFault."""
        rate = self.arguments.number(key, None, 0)
        if rate > self.rate:
            raise SourceFault(
                f"`{key}` must be at most the rate, {spelled(self.rate)}", self.arguments.line(key)
            )
        return nodes.arithmetic(rate, "/", self.rate) if rate else 0


_Made: TypeAlias = "tuple[str, dict[str, Any]] | s.ScheduleSequence | s.Expression | None"
"""A schedule and its arguments; or several; or its factor behind the warm-up; or nothing that is the same."""


def transformers_schedule(
    top: Section, rate: float, steps: int | None, left: list[LeftOut]
) -> tuple[s.ScheduleSequence | None, Lets]:
    """The schedule, and the lets that it needs. steps: the length of the run. Raises SourceFault."""
    kind, line = top.text("lr_scheduler_type", "linear").lower(), top.line("lr_scheduler_type")
    arguments = _arguments(top)
    if kind not in _KINDS:
        near = nearest(kind, _KINDS)
        hint = f"did you mean `{near}`?" if near else "no schedule here is the same"
        left.append(LeftOut(f"`lr_scheduler_type` `{shown(kind)}`: {hint}", line))
        return None, ()
    told = _warmup(top)
    warm = None if kind == "constant" else told
    run = _Run(rate, warm, steps, arguments, _metric(top))
    made = _KINDS[kind](run)
    left += arguments.unknown()
    if made is None:
        message = f"`lr_scheduler_type` `{kind}` with what it is given: no schedule here is the same"
        left.append(LeftOut(message, line))
        return None, ()
    if isinstance(made, s.ScheduleSequence):
        return made, ()
    if isinstance(made, tuple):
        return nodes.schedule(made[0], **made[1]), ()
    return _as_lets(made, warm)


def _as_lets(fall: Any, warm: s.Duration | None) -> tuple[s.ScheduleSequence, Lets]:
    """A factor, times a warm-up that rises from 0."""
    if warm is None:
        return nodes.schedule("fall"), (("fall", fall),)
    rise = nodes.called_with_keywords("ramp", nodes.point(nodes.percent(0), 0), nodes.point(warm, 1))
    whole = nodes.arithmetic(nodes.name("rise"), "*", nodes.name("fall"))
    return nodes.schedule("factor"), (("rise", rise), ("fall", fall), ("factor", whole))


def _arguments(top: Section) -> Section:
    """`lr_scheduler_kwargs`: a mapping, or JSON that says one."""
    key = "lr_scheduler_kwargs"
    told = top.take(key)
    if told is None or told == "":
        return as_section(Node({}, top.line(key)), key)
    if not isinstance(told, str):
        return top.section(key) or as_section(Node({}), key)
    try:
        return as_section(_at(read(told, f"{key}.json"), top.line(key)), key)
    except SourceFault as fault:
        raise SourceFault(f"`{key}` {fault.message}", top.line(key)) from None


def _at(node: Node, line: int | None) -> Node:
    """The same, all of it on one line of the source."""
    inner = node.value
    if isinstance(inner, dict):
        inner = {key: _at(one, line) for key, one in inner.items()}
    return Node(inner, line)


def _warmup(top: Section) -> s.Duration | None:
    """Steps where there are 1 or more, else a share of the run."""
    steps, ratio = top.number("warmup_steps", 0, 0), top.number("warmup_ratio", 0, 0)
    if steps >= 1:
        return nodes.steps(int(steps))
    share = steps or ratio
    if share > 1:
        raise SourceFault("`warmup_ratio` must be between 0 and 1", top.line("warmup_ratio"))
    return nodes.percent(share) if share else None


def _metric(top: Section) -> str:
    """What the Trainer tells a plateau."""
    called: str = top.text("metric_for_best_model", "loss")
    return called if called.startswith("eval_") else f"eval_{called}"


# ---------------------------------------------------------------- by name


def _linear(run: _Run) -> _Made:
    return "linear", run.warmup


def _cosine(run: _Run) -> _Made:
    return _waves(run, 0)


def _waves(run: _Run, least: Any) -> _Made:
    """Half a wave down to the least, or as many waves as it is told."""
    cycles = run.arguments.number("num_cycles", 0.5)
    if cycles == 0.5:
        return "cosine", {**run.warmup, **({"floor": least} if least else {})}
    turned = nodes.arithmetic(nodes.arithmetic(nodes.name("pi"), "*", 2 * cycles), "*", _decayed(run))
    return nodes.call("max", 0, nodes.above(least, nodes.half_wave(turned)))


def _cosine_with_min_lr(run: _Run) -> _Made:
    return _waves(run, _least(run))


def _least(run: _Run) -> Any:
    if run.arguments.number("min_lr") is not None:
        return run.share("min_lr")
    ratio = run.arguments.number("min_lr_rate", None, 0)
    if ratio is None:
        told = "`lr_scheduler_kwargs` needs `min_lr` or `min_lr_rate`"
        raise SourceFault(told, run.arguments.node.line)
    return ratio


def _cosine_warmup_with_min_lr(run: _Run) -> _Made:
    """One step ahead of the others: it comes to the rate at the last step of its warm-up, and to the end at the last."""
    least = _least(run)
    first = run.arguments.number("warmup_lr_rate", None, 0)
    warm = run.warm_steps
    if run.arguments.number("num_cycles", 0.5) != 0.5 or warm is None:
        return None
    if not warm:
        ahead = nodes.arithmetic(nodes.arithmetic(nodes.name("step"), "+", 1), "/", nodes.name("steps"))
        return nodes.above(
            least, nodes.half_wave(nodes.arithmetic(nodes.name("pi"), "*", nodes.call("min", 1, ahead)))
        )
    fall = nodes.factory("cosine", **({"floor": least} if least else {}), endpoint=True)
    if warm == 1:
        return nodes.sequence((fall, None)) if first is None else None
    start = nodes.arithmetic(1, "/", warm) if first is None else first
    rise = nodes.factory("linear", start_factor=start, end_factor=1)
    return nodes.sequence((rise, nodes.steps(warm - 1)), (fall, None))


def _restarts(run: _Run) -> _Made:
    cycles = run.arguments.whole("num_cycles", 1, 1)
    if cycles == 1:
        return "cosine", run.warmup
    warm = run.warm_steps
    if run.steps is not None and warm is not None and (run.steps - warm) % cycles == 0:
        return "cosine_restarts", {**run.warmup, "every": nodes.steps((run.steps - warm) // cycles)}
    gone = nodes.arithmetic(nodes.arithmetic(cycles, "*", _decayed(run)), "mod", 1)
    wave = nodes.half_wave(nodes.arithmetic(nodes.name("pi"), "*", gone))
    return nodes.call("choose", nodes.less(nodes.name("progress"), 1), wave, 0)


def _polynomial(run: _Run) -> _Made:
    power = run.arguments.number("power", 1.0)
    if run.arguments.number("lr_end") is None:
        least: Any = nodes.arithmetic(1e-7, "/", run.rate) if run.rate else 0
    else:
        least = run.share("lr_end")
    return "polynomial", {**run.warmup, "power": power, "floor": least}


def _constant(run: _Run) -> _Made:
    return "constant", run.warmup


def _inverse_sqrt(run: _Run) -> _Made:
    scale = run.arguments.whole("timescale", None, 1)
    told = {} if scale is None and run.warm is not None else {"timescale": nodes.steps(scale or 10_000)}
    return "inverse_sqrt", {**run.warmup, **told}


def _plateau(run: _Run) -> _Made:
    """torch's ReduceLROnPlateau; it has no warm-up there."""
    told = run.arguments
    mode = told.text("mode", "min")
    if mode not in ("min", "max") or told.text("threshold_mode", "rel") != "rel":
        return None
    found: dict[str, Any] = {"metric": nodes.name(run.metric) if run.metric.isidentifier() else run.metric}
    found |= {"factor": told.number("factor", 0.1, 0), "patience": told.whole("patience", 10)}
    found |= {"threshold": told.number("threshold", 1e-4, 0), "cooldown": told.whole("cooldown", 0)}
    found |= {"mode": "max"} if mode == "max" else {}
    least = told.number("min_lr", 0, 0)
    told.ignore("eps")
    return "plateau", {**found, **({"min_lr": least} if least else {})}


def _wsd(run: _Run) -> _Made:
    told = run.arguments
    decay, stable = told.whole("num_decay_steps"), told.whole("num_stable_steps")
    if decay is None:
        raise SourceFault("`lr_scheduler_kwargs` needs `num_decay_steps`", told.node.line)
    rises, falls = told.text("warmup_type", "linear"), told.text("decay_type", "cosine")
    least = told.number("min_lr_ratio", 0, 0)
    waves = told.number("num_cycles", 0.5)
    whole = None if stable is None or run.warm_steps is None else run.warm_steps + stable + decay
    if rises not in ("linear", "cosine") or falls not in _FALLS or (falls == "cosine" and waves != 0.5):
        return None
    if stable is not None and (run.steps is None or whole != run.steps):
        return None
    found: dict[str, Any] = {"decay": nodes.steps(decay), "decay_type": nodes.name(_FALLS[falls])}
    if run.warm is not None:
        found |= run.warmup
        found |= {"warmup_type": nodes.name(rises)} if rises != "linear" else {}
        found |= {"warmup_start_factor": least} if least else {}
    return "wsd", {**found, **({"floor": least} if least else {})}


_FALLS = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


def _greedy(run: _Run) -> _Made:
    run.arguments.ignore(*run.arguments.node.value)
    return None


# ---------------------------------------------------------------- as an expression


def _decayed(run: _Run) -> Any:
    """How much of the decay is done."""
    if run.warm is None:
        return nodes.name("progress")
    return nodes.called_with_keywords("ramp", nodes.point(run.warm, 0), nodes.point(_END, 1))


_KINDS: Mapping[str, Callable[[_Run], _Made]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant,
    "inverse_sqrt": _inverse_sqrt,
    "reduce_lr_on_plateau": _plateau,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _wsd,
    "greedy": _greedy,
}
