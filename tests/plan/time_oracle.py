"""A second implementation of time: clocks, values that move, schedules and stages; slow, short and obvious.

It is told a file as plain data and works on one parameter, one option and one tick at a time. It shares no
code with the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, TypeAlias

from oracle import covers

Expr: TypeAlias = tuple[Any, ...]
"""("+", a, b), ("num", 0.5), ("name", "progress"), ("ramp", points, shape, endpoint, exact), ..."""
Shape: TypeAlias = tuple[str, float]

# ---------------------------------------------------------------- a file


@dataclass(frozen=True)
class Time:
    """A stretch of time; as a place, that stretch after the start."""

    value: Fraction
    unit: str  # epoch, step, %


@dataclass(frozen=True)
class Condition:
    """`METRIC stops falling for PATIENCE epochs by DELTA`."""

    metric: str
    direction: str
    patience: int
    delta: float = 0.0


Place: TypeAlias = Time | Condition | None


@dataclass(frozen=True)
class Curve:
    """A schedule by name, `let` for a value that moves; `given` are its arguments."""

    kind: str
    given: tuple[tuple[str, Any], ...] = ()
    let: Expr | None = None


@dataclass(frozen=True)
class Parts:
    """`A for D then B for D then C`."""

    parts: tuple[tuple[Curve, Time | None], ...]


@dataclass(frozen=True)
class Rule:
    pattern: str
    sets: tuple[tuple[str, Expr], ...] = ()
    factors: tuple[tuple[str, Expr], ...] = ()
    schedule: Parts | None = None
    start: Place = None
    end: Place = None
    optimizer: str | None = None
    """One of the file's own."""


@dataclass(frozen=True)
class Freeze:
    pattern: str
    start: Place = None
    end: Place = None
    warmup: Time | None = None
    updating: bool = False


@dataclass(frozen=True)
class Statistics:
    """`freeze statistics of`."""

    pattern: str
    start: Place = None
    end: Place = None


@dataclass(frozen=True)
class Unfreeze:
    pattern: str
    at: Place = None
    warmup: Time | None = None


@dataclass(frozen=True)
class Turns:
    """`unfreeze A then B.<i> by i descending every D starting at T`; a turn by a capture says which way."""

    turns: tuple[tuple[str, str | None], ...]
    every: Time
    first: Time | None = None
    warmup: Time | None = None


@dataclass(frozen=True)
class Include:
    """The file's one included file, at this place."""


Statement: TypeAlias = Rule | Freeze | Statistics | Unfreeze | Turns | Include


@dataclass(frozen=True)
class Stage:
    name: str
    length: Time | None
    until: Condition | None
    fresh: bool
    schedule: Parts | None
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class File:
    above: tuple[Statement, ...]
    stages: tuple[Stage, ...] = ()
    after: tuple[Statement, ...] = ()
    schedule: Parts | None = None
    lets: tuple[tuple[str, Expr], ...] = ()
    included: tuple[Statement, ...] = ()
    optimizer: str = "adamw"
    further: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    """Further optimizers of that kind: the name of each, and what its definition says."""
    outside: tuple[tuple[str, float], ...] = ()
    """What whoever loads the file gives for some of its `let`s."""

    def values(self) -> dict[str, Expr]:
        """Every `let`, those from outside in the place of the file's."""
        return dict(self.lets) | {name: ("num", value) for name, value in self.outside}


# ---------------------------------------------------------------- clocks


@dataclass(frozen=True)
class Clock:
    """length: in ticks. epoch: ticks in an epoch, None where nobody knows. steps: whether a tick is a step."""

    length: Fraction
    epoch: int | None
    steps: bool
    epochs: Fraction | None = None

    @property
    def total(self) -> int:
        return ceil(self.length)

    def exact(self, time: Time) -> Fraction:
        if time.unit == "%":
            return time.value * self.length / 100
        if time.unit == "step":
            assert self.steps
            return time.value
        assert self.epoch is not None
        return time.value * self.epoch

    def ticks(self, time: Time) -> int:
        return ceil(self.exact(time))

    def part(self, ticks: int) -> Clock:
        epochs = None if self.epoch is None else Fraction(ticks, self.epoch)
        return Clock(Fraction(ticks), self.epoch, self.steps, epochs)


def run_clock(epochs: Fraction | None, per_epoch: int | None, steps: int | None) -> Clock:
    if steps is None:
        assert epochs is not None
        return Clock(epochs * (per_epoch or 1), per_epoch or 1, per_epoch is not None, epochs)
    return Clock(Fraction(steps), per_epoch, True, Fraction(steps, per_epoch) if per_epoch else None)


# ---------------------------------------------------------------- values that move


@dataclass(frozen=True)
class Now:
    """What an expression is worked out with; `tick` counts from the start of `clock`."""

    clock: Clock
    tick: int
    lets: Mapping[str, Expr]
    captures: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, int] = field(default_factory=dict)


COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
}


def worth(e: Expr, now: Now) -> Any:
    """The value of an expression at a tick."""
    op, *rest = e
    if op == "num":
        return rest[0]
    if op == "name":
        return _clock_name(rest[0], now)
    if op == "let":
        return worth(now.lets[rest[0]], now)
    if op == "capture":
        return now.captures[rest[0]]
    if op == "last":
        return now.last[rest[0]]
    if op == "tuple":
        return tuple(worth(item, now) for item in rest)
    if op == "choose":
        comparison, a, b, first, second = rest
        return worth(first if COMPARE[comparison](worth(a, now), worth(b, now)) else second, now)
    if op == "ramp":
        return ramp(*rest, now)
    if op == "schedule":
        return left_of(rest[0], 1.0, now.tick, now.clock, now.lets)
    values = [worth(x, now) for x in rest]
    if op in ("min", "max"):
        return {"min": min, "max": max}[op](values)
    if len(values) == 1:
        return {"sin": math.sin, "cos": math.cos, "exp": math.exp, "log": math.log, "abs": abs,
                "sqrt": math.sqrt, "floor": math.floor, "ceil": math.ceil, "log2": math.log2,
                "-": lambda x: -x}[op](values[0])  # fmt: skip
    a, b = values
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.nan, "mod": a % b if b else math.nan,
            "^": float(a) ** float(b) if a > 0 or b >= 0 else math.nan}[op]  # fmt: skip


def _clock_name(name: str, now: Now) -> float:
    clock, tick = now.clock, now.tick
    if name == "pi":
        return math.pi
    if name == "progress":
        return min(Fraction(tick, clock.total), 1) + 0.0
    if name == "step":
        assert clock.steps
        return tick
    if name == "steps":
        assert clock.steps
        return clock.total
    assert clock.epoch is not None
    if name == "epoch":
        return tick / clock.epoch
    assert clock.epochs is not None
    return float(clock.epochs)


def between(shape: Shape, a: float, b: float, p: float) -> float:
    name, power = shape
    if name == "exponential":
        return a * (b / a) ** p if a and b else a if p == 0 else 0.0
    s = {"linear": p, "cosine": (1 - math.cos(math.pi * p)) / 2, "sqrt": p**0.5, "power": p**power,
         "constant": 0.0}[name]  # fmt: skip
    return a + (b - a) * s


def ramp(points: tuple[tuple[Time, Expr], ...], shape: Shape, endpoint: bool, exact: bool, now: Now) -> float:
    at: list[Fraction | int] = [now.clock.ticks(when) for when, _ in points]
    values = [value for _, value in points]
    last = at[-1] - 1
    if exact:
        at = [now.clock.exact(when) for when, _ in points]
    if endpoint and len(at) > 1:
        at[-1] = max(last, at[-2])
    passed = [n for n, tick in enumerate(at) if tick <= now.tick]
    if not passed:
        return worth(values[0], now)
    n = passed[-1]
    if n == len(at) - 1:
        return worth(values[n], now)
    p = float((now.tick - at[n]) / (at[n + 1] - at[n]))
    return between(shape, worth(values[n], now), worth(values[n + 1], now), p)


# ---------------------------------------------------------------- schedules


def left_of(curve: Curve, peak: float, tick: int, clock: Clock, lets: Mapping[str, Expr]) -> float:
    """What a schedule leaves of a rate, at a tick of its own clock."""
    if curve.let is not None:
        return peak * float(worth(curve.let, Now(clock, tick, lets)))
    given = dict(curve.given)
    if given.get("interval") == "epoch":
        assert clock.epoch is not None
        tick -= tick % clock.epoch
    warm = clock.ticks(given["warmup"]) if "warmup" in given else 0
    least = given.get("floor", 0.0)
    if "min_lr" in given and peak:
        least = min(given["min_lr"] / peak, 1.0)
    if peak == 0:
        return 0.0
    if tick >= warm:
        return peak * decay(curve.kind, given, tick, warm, least, clock, max(clock.total, warm))
    target = peak
    if given.get("warmup_prefix", True):
        # A warm-up that leaves the run nothing leads to where the decay would begin.
        end = max(clock.total, warm + 1)
        begun = (
            1.0
            if curve.kind in ("wsd", "one_cycle")
            else decay(curve.kind, given, warm, warm, least, clock, end)
        )
        target = peak * begun
    first = given.get("warmup_start_factor", 0.0) * target
    if "warmup_lr" in given:
        first = given["warmup_lr"]
    reached = end_of(warm, given, clock)
    if tick >= reached:
        return target
    return between(given.get("warmup_type", ("linear", 1.0)), first, target, tick / reached)


def end_of(end: int, given: dict[str, Any], clock: Clock) -> int:
    """When an end is reached: with `endpoint` where the schedule is looked up last before it."""
    if not given.get("endpoint"):
        return end
    held = clock.epoch or 1 if given.get("interval") == "epoch" else 1
    return max((end - 1) // held * held, 0)


def decay(
    kind: str, given: dict[str, Any], tick: int, warm: int, least: float, clock: Clock, end: int
) -> float:
    """The share of the peak behind the warm-up."""
    tick = min(tick, end)
    start = warm if given.get("warmup_prefix", True) else 0
    span = max(end_of(end, given, clock) - start, 1)
    p = 1.0 if tick >= end else min((tick - start) / span, 1.0)
    if kind == "plateau":
        return 1.0
    if kind == "constant":
        return given.get("factor", 1.0)
    if kind == "cosine":
        return least + (1 - least) * (1 + math.cos(math.pi * p)) / 2
    if kind == "polynomial":
        return least + (1 - least) * (1 - p) ** given.get("power", 1.0)
    if kind == "linear" and ("start_factor" in given or "end_factor" in given):
        first, last = given.get("start_factor", 1.0), given.get("end_factor", 1.0)
        return first + (last - first) * p
    if kind == "linear":
        return least + (1 - least) * (1 - p)
    if kind == "exponential" and "end_factor" in given:
        return given["end_factor"] ** p
    if kind == "exponential":
        assert clock.epoch is not None
        return max(given["gamma"] ** (tick / clock.epoch), least)
    if kind == "step":
        passed = math.floor(Fraction(tick) / clock.exact(given["every"]))
        return max(given["gamma"] ** passed, least)
    if kind == "multistep":
        passed = sum(clock.ticks(mark) <= tick for mark in given["at"])
        return max(given["gamma"] ** passed, least)
    if kind == "cosine_restarts":
        return least + (1 - least) * _restarting(given, tick - start, end - start, clock)
    if kind == "inverse_sqrt":
        scale = clock.ticks(given["timescale"])
        return max(math.sqrt(scale / (tick - warm + scale)), least)
    if kind == "one_cycle":
        return _one_cycle(given, tick, warm, least, clock)
    if kind == "slanted_triangular":
        lowest = max(least, 1 / given["ratio"] if "ratio" in given else 0.0) or 1 / 32
        return lowest + (1 - lowest) * (0.0 if tick >= end else _slanted(given, tick, warm, clock))
    if kind == "wsd":
        fall = max(end - clock.ticks(given.get("decay", Time(Fraction(10), "%"))), start)
        if tick < fall:
            return 1.0
        length = end_of(end, given, clock) - fall
        p = 1.0 if length <= 0 else min((tick - fall) / length, 1.0)
        return between(given.get("decay_type", ("linear", 1.0)), 1.0, least, p) if p < 1 else least
    raise AssertionError(kind)


def _one_cycle(given: dict[str, Any], tick: int, warm: int, least: float, clock: Clock) -> float:
    """torch's `OneCycleLR` with two phases: the first ends at pct_start * total - 1, the second at total - 1."""
    first = 1 / given.get("div_factor", 25.0)
    if not {"floor", "min_lr"} & given.keys():
        least = first / given.get("final_div_factor", 1e4)
    close = max(clock.total - 1, 1)
    peak: Fraction | int = warm
    if not warm:
        peak = min(
            max(clock.exact(given.get("peak_at", Time(Fraction(30), "%"))) - 1, Fraction(0)), Fraction(close)
        )
    if tick < peak:
        return between(("cosine", 1.0), max(first, least), 1.0, float(tick / peak))
    return (
        least
        if tick >= close
        else between(("cosine", 1.0), 1.0, least, float((tick - peak) / (close - peak)))
    )


def _slanted(given: dict[str, Any], tick: int, warm: int, clock: Clock) -> float:
    """p of Howard and Ruder 2018, section 3.2; a warm-up is the rise."""
    share = given.get("cut_frac", 0.1)
    cut = warm or int(clock.total * share)
    if tick < cut:
        return tick / cut
    fall = clock.total - warm if warm else cut * (1 / share - 1) if cut else clock.total
    return max(1 - (tick - cut) / max(fall, 1), 0.0)


def _restarting(given: dict[str, Any], since: int, end: int, clock: Clock) -> float:
    begins, period = Fraction(0), clock.exact(given["every"])
    while begins + period <= since:
        begins += period
        period *= Fraction(given.get("multiply", 1))
    if begins == since == end and since > 0:
        return 0.0  # the restart at the very end belongs to no step
    return (1 + math.cos(math.pi * float((since - begins) / period))) / 2


def valid(curve: Curve, clock: Clock) -> bool:
    """Whether a schedule may be written for a clock."""
    given = dict(curve.given)
    return not (given.get("interval") == "epoch" and clock.epoch is None)


def placed(sequence: Parts, clock: Clock) -> list[tuple[int, Clock, Curve]]:
    """The parts of a sequence: where each begins, its own clock, and itself."""
    at, out = Fraction(0), []
    for curve, length in sequence.parts:
        start = ceil(at)
        at = clock.length if length is None else at + clock.exact(length)
        if len(sequence.parts) == 1:
            out.append((0, clock, curve))
        else:
            out.append((start, clock.part(ceil(at) - start), curve))
    return out


# ---------------------------------------------------------------- stages and windows


Fires: TypeAlias = Callable[[Condition, int], int | None]
"""The tick at which a condition comes true whose window opens at a tick."""


def by_reports(reports: list[tuple[int, dict[str, float]]]) -> Fires:
    """Conditions judged by what was reported at some ticks, once an epoch."""

    def fires(condition: Condition, opens: int) -> int | None:
        best, bad = None, 0
        for tick, values in reports:
            if tick > opens or opens == 0:
                value = values[condition.metric]
                gain = None if best is None else best - value
                if gain is not None and condition.direction == "rising":
                    gain = -gain
                if gain is None or gain > condition.delta:
                    best, bad = value, 0
                else:
                    bad += 1
                if bad >= condition.patience:
                    return tick
        return None

    return fires


def supposed(metric: str, tick: int) -> Fires:
    """Conditions on a metric come true at a tick, or as soon as they are waited for."""
    return lambda condition, opens: max(tick, opens) if condition.metric == metric else None


def never(condition: Condition, opens: int) -> None:
    return None


@dataclass(frozen=True)
class Run:
    """A file on a clock, and what its conditions come to."""

    file: File
    clock: Clock
    fires: Fires = never
    reports: tuple[tuple[int, dict[str, float]], ...] = ()
    """What plateaus hear."""

    @cached_property
    def stages(self) -> list[tuple[int, Clock]]:
        """Where each stage begins, and its clock; as many as begin."""
        return [(start, clock) for start, clock, _ in self._stretches]

    @cached_property
    def _stretches(self) -> list[tuple[int, Clock, int | None]]:
        """The same, and where each ends, as far as that is known."""
        found: list[tuple[int, Clock, int | None]] = []
        at: Fraction | None = Fraction(0)
        for number, stage in enumerate(self.file.stages):
            if at is None or (number and ceil(at) >= self.clock.total):
                break  # nobody knows when it begins, or the run is over
            start = ceil(at)
            limit = self.clock.length if stage.length is None else at + self.clock.exact(stage.length)
            last = number == len(self.file.stages) - 1
            end = limit if stage.length is not None or last else None
            fired = None if stage.until is None else self.fires(stage.until, start)
            if fired is not None and (end is None or fired < end):
                end = Fraction(fired)
            found.append(
                (start, self.clock.part(max(ceil(limit) - start, 1)), None if end is None else ceil(end))
            )
            at = end
        return found

    @property
    def over(self) -> int | None:
        """Where the last stage ends before the run does."""
        if not self.file.stages or len(self._stretches) < len(self.file.stages):
            return None
        end = self._stretches[-1][2]
        return end if end is not None and end < self.clock.total else None

    def stage_at(self, tick: int) -> int:
        """From 1; 0 where there are none."""
        return sum(start <= tick for start, _ in self.stages)

    def local(self, stage: int) -> tuple[int, Clock]:
        """Where the clock of a statement starts, and that clock."""
        return (0, self.clock) if not stage else self.stages[stage - 1]

    def place(self, place: Place, stage: int, opens: int) -> int | None:
        """The tick of a place; None where it never comes."""
        start, clock = self.local(stage)
        if isinstance(place, Condition):
            return self.fires(place, opens)
        return start if place is None else start + clock.ticks(place)

    def open(self, start: Place, end: Place, stage: int, tick: int) -> bool:
        """Whether a window is open."""
        if stage and self.stage_at(tick) != stage:
            return False
        begins = self.local(stage)[0]
        opens = self.place(start, stage, begins)
        if opens is None or tick < opens:
            return False
        closes = None if end is None else self.place(end, stage, opens)
        return closes is None or tick < closes

    def part_at(self, stage: int, sequence: Parts, tick: int) -> tuple[int, Clock, Curve]:
        """The part of a schedule that runs at a tick: where it begins in the run, its clock, itself."""
        start, clock = self.local(stage)
        begun = [(start + at, own, curve) for at, own, curve in placed(sequence, clock) if own.length > 0]
        return [part for part in begun if part[0] <= tick][-1]

    def plateau(self, stage: int, sequence: Parts, tick: int) -> float:
        """What metrics have taken off a plateau that runs at a tick, by the reports on its own steps."""
        part = self.part_at(stage, sequence, tick)
        given = dict(part[2].given)
        best, bad, factor = math.inf, 0, 1.0
        for when, values in self.reports:
            own = not stage or self.stage_at(when - 1) == stage
            if self.over is not None and when > self.over:
                continue  # behind the last stage its last state holds
            if not own or when <= self.local(stage)[0] or self.part_at(stage, sequence, when - 1) != part:
                continue
            value = values[given["metric"]]
            best, bad = (value, 0) if value < best * (1 - 1e-4) else (best, bad + 1)
            if bad > given["patience"]:
                factor, bad = max(factor * given["factor"], given.get("floor", 0.0)), 0
        return factor

    def statements(self) -> Iterator[tuple[int, Statement]]:
        """In the order of the cascade, each with its stage; an include counts once a place."""
        heads = [(0, self.file.above), *enumerate((s.statements for s in self.file.stages), 1)]
        laid: set[object] = set()
        for where, (stage, statements) in enumerate([*heads, (0, self.file.after)]):
            for statement in statements:
                if isinstance(statement, Include):
                    if where not in laid:
                        laid.add(where)
                        yield from ((stage, one) for one in self.file.included)
                else:
                    yield stage, statement


# ---------------------------------------------------------------- one parameter


DEFAULTS = {
    "adamw": {"lr": 1e-3, "weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-8},
    "sgd": {"lr": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model in a run. flag: the `requires_grad` that it came with."""

    run: Run
    model: tuple[str, ...]
    name: str
    flag: bool = True

    def said(self) -> Iterator[tuple[int, Any, dict[str, int], int]]:
        """The statements that cover it: stage, statement, captures, and its turn in a sequence."""
        for stage, statement in self.run.statements():
            if isinstance(statement, Turns):
                yield from self._turns(stage, statement)
            elif ways := covers(statement.pattern, self.name):
                yield stage, statement, ways[0], 0

    def _turns(self, stage: int, statement: Turns) -> Iterator[tuple[int, Turns, dict[str, int], int]]:
        turn = 0
        for pattern, by in statement.turns:
            ways = covers(pattern, self.name)
            values = sorted({way["i"] for n in self.model for way in covers(pattern, n)}) if by else [0]
            if ways:
                order = values[::-1] if by == "descending" else values
                yield stage, statement, ways[0], turn + (order.index(ways[0]["i"]) if by else 0)
            turn += len(values)

    def frozen_at(self, tick: int) -> tuple[bool, tuple[int, Any] | None]:
        """Whether it is frozen, and the statement that decides, with its stage."""
        state: tuple[bool, tuple[int, Any] | None] = (not self.flag, None)
        for stage, statement, _, turn in self.said():
            verdict = self._verdict(stage, statement, turn, tick)
            if verdict is not None:
                state = (verdict, (stage, statement))
        return state

    def _verdict(self, stage: int, statement: Any, turn: int, tick: int) -> bool | None:
        run = self.run
        if isinstance(statement, Freeze) and run.open(statement.start, statement.end, stage, tick):
            return True
        if isinstance(statement, Unfreeze) and run.open(statement.at, None, stage, tick):
            return False
        if isinstance(statement, Turns) and run.open(None, None, stage, tick):
            start, clock = run.local(stage)
            first = Fraction(0) if statement.first is None else clock.exact(statement.first)
            mark = start + ceil(first + turn * clock.exact(statement.every))
            return tick < mark
        return None

    def held_at(self, tick: int) -> bool:
        """Whether normalisation statistics stand still."""
        frozen = self.frozen_at(tick)[0]
        held = frozen
        for stage, statement, _, turn in self.said():
            if isinstance(statement, Statistics):
                if self.run.open(statement.start, statement.end, stage, tick):
                    held = True
            elif frozen and self._verdict(stage, statement, turn, tick):
                held = not getattr(statement, "updating", False)
        return held

    def options_at(self, tick: int) -> dict[str, Any]:
        """What the rules give, before any schedule."""
        now: dict[str, Any] = {**DEFAULTS[self.run.file.optimizer], **self._of_its_optimizer()}
        lets = self.run.file.values()
        for stage, rule, captures, _ in self.said():
            if not isinstance(rule, Rule) or not self.run.open(rule.start, rule.end, stage, tick):
                continue
            start, clock = self.run.local(stage)
            last = {c: max(w[c] for n in self.model for w in covers(rule.pattern, n)) for c in captures}
            here = Now(clock, tick - start, lets, captures, last)
            for option, value in rule.sets:
                now[option] = worth(value, here)
            for option, factor in rule.factors:
                now[option] = now[option] * worth(factor, here)
        return now

    def _of_its_optimizer(self) -> dict[str, float]:
        """What the definition of the optimizer says that rules choose for it."""
        chosen = [rule.optimizer for _, rule, _, _ in self.said() if getattr(rule, "optimizer", None)]
        return dict(dict(self.run.file.further)[chosen[-1]]) if chosen else {}

    def schedule_at(self, tick: int) -> tuple[int, Parts] | None:
        """The schedule in force, with its stage: a rule's, else the stage's, else the file's."""
        for stage, rule, _, _ in reversed(list(self.said())):
            if isinstance(rule, Rule) and rule.schedule and self.run.open(None, None, stage, tick):
                return stage, rule.schedule
        stage = self.run.stage_at(tick)
        own = self.run.file.stages[stage - 1].schedule if stage else None
        if own is not None:
            return stage, own
        return None if self.run.file.schedule is None else (0, self.run.file.schedule)

    def rate_at(self, tick: int) -> float:
        """The rate as the optimizer has it: scheduled, and warmed up after a thaw."""
        rate = self.options_at(tick)["lr"]
        scheduled = self.schedule_at(tick)
        if scheduled is not None:
            begins, own, curve = self.run.part_at(*scheduled, tick)
            peak, since = rate, tick - begins
            rate = left_of(curve, peak, since, own, self.run.file.values())
            if curve.kind == "plateau":
                rate *= self.run.plateau(*scheduled, tick)
                given = dict(curve.given)
                if given.get("interval") == "epoch":
                    since = since // (own.epoch or 1) * (own.epoch or 1)
                if "min_lr" in given and since >= own.ticks(given.get("warmup", Time(Fraction(0), "%"))):
                    rate = max(rate, min(given["min_lr"], peak))
        return rate * self._warmed_up(tick)

    def _warmed_up(self, tick: int) -> float:
        for thaw in range(tick, 0, -1):
            (before, holder), (after, opener) = self.frozen_at(thaw - 1), self.frozen_at(thaw)
            if before and not after:
                warmup = self._warmup_of(opener) or self._warmup_of(holder)
                if warmup is None or tick >= thaw + warmup[1] or not self._same_stage(warmup[0], tick):
                    return 1.0
                return (tick - thaw) / warmup[1]
        return 1.0

    def _warmup_of(self, decided: tuple[int, Any] | None) -> tuple[int, int] | None:
        """The stage of a statement, and the ticks of its warm-up."""
        if decided is None or decided[1].warmup is None:
            return None
        stage, statement = decided
        ticks = self.run.local(stage)[1].ticks(statement.warmup)
        return (stage, ticks) if ticks else None

    def _same_stage(self, stage: int, tick: int) -> bool:
        return not stage or self.run.stage_at(tick) == stage

    def at(self, tick: int) -> dict[str, Any]:
        """Everything, as the optimizer has it; where the last stage is over, its last tick's."""
        over = self.run.over
        if over is not None and tick >= over:
            tick = max(over - 1, 0)
        options = {**self.options_at(tick), "lr": self.rate_at(tick)}
        return {**options, "frozen": self.frozen_at(tick)[0], "held": self.held_at(tick)}
