"""Hypothesis strategies for files of `time_oracle`, and those files in the language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from time_oracle import (
    Clock,
    Condition,
    Curve,
    Expr,
    File,
    Freeze,
    Include,
    Parts,
    Place,
    Rule,
    Stage,
    Statement,
    Statistics,
    Time,
    Turns,
    Unfreeze,
    run_clock,
)

SHAPES = ["linear", "cosine", "exponential", "sqrt", "power", "constant"]
PATTERNS = ["**", "*", "stem", "norm", "norm.weight", "layers.0", "layers.*", "layers.{1..2}", "head", "**.bias",
            "layers.1.weight", "head.bias"]  # fmt: skip
CAPTURING = ["layers.<i>", "layers.<i>.weight"]
METRICS = ["val_loss", "acc"]
RISING = ("one_cycle", "slanted_triangular")
"""Schedules whose rise is their own."""
QUOTED = "rank"
"""An option that no optimizer of these files knows."""


@dataclass(frozen=True)
class Length:
    """How long a run is, and who says so: `epochs`, `steps` and `steps_per_epoch` in the file or from outside."""

    epochs: Fraction | None
    per_epoch: int | None
    steps: int | None
    in_file: frozenset[str]

    @property
    def clock(self) -> Clock:
        return run_clock(self.epochs, self.per_epoch, self.steps)

    def outside(self) -> dict[str, Any]:
        given = {"epochs": self.epochs, "steps_per_epoch": self.per_epoch, "steps": self.steps}
        return {name: value for name, value in given.items() if name not in self.in_file}

    def other(self) -> Length:
        """A length of the same kind that is not this one."""
        if self.per_epoch is not None:
            return replace(self, per_epoch=self.per_epoch + 1)
        return (
            replace(self, steps=self.steps + 1)
            if self.steps
            else replace(self, epochs=(self.epochs or 0) + 1)
        )

    def lines(self) -> list[str]:
        named = {"epochs": self.epochs, "steps_per_epoch": self.per_epoch, "steps": self.steps}
        return [f"{n} {exact(Fraction(v))}" for n, v in named.items() if n in self.in_file and v is not None]


@st.composite
def lengths(draw: st.DrawFn) -> Length:
    kind = draw(st.sampled_from(["epochs", "both", "both", "both", "steps", "steps", "counted"]))
    in_file = draw(st.frozensets(st.sampled_from(["epochs", "steps_per_epoch", "steps"])))
    if kind == "steps":
        return Length(None, None, draw(st.integers(1, 24)), in_file)
    if kind == "counted":
        return Length(None, draw(st.integers(1, 6)), draw(st.integers(1, 24)), in_file)
    whole = draw(st.integers(1, 8).map(Fraction))
    epochs = draw(st.one_of(st.just(whole), st.fractions(Fraction(1, 2), 6, max_denominator=4)))
    return Length(epochs, None if kind == "epochs" else draw(st.integers(1, 4)), None, in_file)


# ---------------------------------------------------------------- drawing


def moves(e: Any) -> bool:
    """Whether a value changes with time; every `let` that it names is taken to."""
    if not isinstance(e, tuple):
        return False
    return (e[:1] in (("name",), ("ramp",), ("schedule",)) and e != ("name", "pi")) or any(map(moves, e))


class Drawn:
    """Draws the parts of one file for the clock of its run."""

    def __init__(self, draw: st.DrawFn, clock: Clock) -> None:
        self.draw = draw
        self.clock = clock
        self.lets: dict[str, Expr] = {}
        self.further: tuple[str, ...] = ()
        self.units = ["%"] + ["step"] * clock.steps + ["epoch"] * (clock.epoch is not None)
        self.names = ["progress"] + ["step", "steps"] * clock.steps
        self.names += ["epoch", "epochs"] * (clock.epoch is not None)

    def one(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, of: int) -> bool:
        return self.draw(st.integers(1, of)) == 1

    def time(self, least: int = 0, most: int = 8, unit: str | None = None) -> Time:
        unit = unit or self.one(*self.units)
        if unit == "%":
            value = Fraction(self.draw(st.integers(least * 5, 22)) * 5)
        elif unit == "step":
            value = Fraction(self.draw(st.integers(least, most * (self.clock.epoch or 2))))
        else:
            value = self.draw(st.fractions(Fraction(least, 2), most, max_denominator=4))
        return Time(value, unit)

    # ------------------------------------------------------------ values

    def number(self, *more: float) -> Expr:
        return ("num", self.one(0.1, 0.25, 0.5, 0.75, 0.9, 1.0, *more))

    def value(self, depth: int = 2, capture: bool = False, called: bool = True) -> Expr:
        """An expression that is never negative and never without a value."""
        if depth == 0:
            return self.number()
        kinds = ["num", "+", "*", "decay", "min", "max", "choose", "ramp", "ramp", "root", "wave", "fall"]
        kinds += ["let"] * bool(self.lets) + ["called", "called"] * called + ["capture"] * 2 * capture
        kind = self.one(*kinds)

        def sub() -> Expr:
            return self.value(depth - 1, capture, called)

        if kind == "num":
            return self.number(0.0)
        if kind == "let":
            return ("let", self.one(*self.lets))
        if kind == "capture":
            return ("^", self.number(), ("-", ("last", "i"), ("capture", "i")))
        if kind in ("+", "*", "min", "max"):
            return (kind, sub(), sub())
        if kind == "decay":
            return ("-", ("num", 1.0), ("*", self.number(), ("name", "progress")))
        if kind == "fall":
            name = ("name", self.one(*(n for n in self.names if n in ("progress", "epoch", "step"))))
            return self.one(("^", self.number(), name), ("exp", ("-", ("*", self.number(), name))))
        if kind == "root":
            return self.one("sqrt", "log", "log2", "abs"), (
                "+",
                ("num", 1.0),
                ("name", self.one(*self.names)),
            )
        if kind == "wave":
            turn = ("*", ("name", "pi"), ("name", self.one(*self.names)))
            return ("abs", (self.one("sin", "cos"), turn))
        if kind == "choose":
            left = self.one(("name", self.one(*self.names)), ("mod", ("name", self.names[-1]), ("num", 2)))
            return ("choose", self.one("<", ">=", "=="), left, ("num", self.one(0, 0.5, 1, 3)), sub(), sub())
        if kind == "called":
            return ("schedule", self.curve(factor=True))
        return self.ramp(sub)

    def ramp(self, sub: Any) -> Expr:
        shape = self.shape()
        unit = self.one(*self.units)
        step = {"%": 5, "step": 1, "epoch": Fraction(1, 4)}[unit]
        places = self.draw(st.lists(st.integers(0, 24), min_size=1, max_size=4, unique=True).map(sorted))
        positive = shape[0] == "exponential"
        points = tuple(
            (Time(Fraction(place * step), unit), self.number() if positive else sub()) for place in places
        )
        return ("ramp", points, shape, self.chance(3), self.chance(3))

    def shape(self) -> tuple[str, float]:
        name = self.one(*SHAPES)
        return (name, self.one(0.5, 2.0, 3.0) if name == "power" else 1.0)

    def option(self, name: str, capture: bool = False) -> Expr:
        """A value that an option may have; every other one stays as it is."""
        moves = self.chance(2)
        value = self.value(self.one(1, 2, 2, 3), capture) if moves else self.number(0.0, 1e-3)
        if name == "betas":
            return ("tuple", ("min", value, ("num", 0.95)), ("num", self.one(0.9, 0.999)))
        if name == "momentum":
            return ("min", value, ("num", 0.95))
        if name == "eps":
            return ("*", ("num", 1e-6), ("+", value, ("num", 1.0)))
        return value

    # ------------------------------------------------------------ schedules

    def curve(self, factor: bool = False) -> Curve:
        epochs = self.clock.epoch is not None
        kinds = ["constant", "cosine", "linear", "polynomial", "step", "multistep", "inverse_sqrt", "wsd",
                 "cosine_restarts", "exponential", "ends", "one_cycle", "slanted_triangular"]  # fmt: skip
        kinds += ["plateau"] * (not factor)
        kind = self.one(*(k for k in kinds if epochs or k != "exponential"))
        given: dict[str, Any] = {}
        if kind == "ends":
            kind = self.one("linear", "exponential")
            given["end_factor"] = self.one(0.01, 0.5, 1.0)
            if kind == "linear" and self.chance(2):
                given["start_factor"] = self.one(0.0, 0.5)
        ends = bool(given)
        given |= self._own(kind, ends)
        lowest = bool(given.keys() & {"ratio", "final_div_factor"})
        if kind != "constant" and not ends and not lowest and self.chance(3):
            given["min_lr" if not factor and self.chance(2) else "floor"] = self.one(0.01, 0.2)
        if given.get("decay_type", ("", 1))[0] == "exponential" and not {"floor", "min_lr"} & given.keys():
            given["floor"] = 0.05
        if not given.keys() & {"peak_at", "div_factor", "cut_frac"} and self.chance(2):
            given |= self._warmup(kind, factor)
        if kind not in ("inverse_sqrt", "cosine_restarts", "plateau", *RISING) and self.chance(4):
            given["endpoint"] = True
        if epochs and self.chance(4):
            given["interval"] = "epoch"
        return Curve(kind, tuple(given.items()))

    def _own(self, kind: str, ends: bool) -> dict[str, Any]:
        if kind == "constant":
            return {"factor": self.one(0.5, 1.0)} if self.chance(2) else {}
        if kind == "polynomial":
            return {"power": self.one(0.5, 2.0)}
        if kind == "step":
            return {"every": self.time(1), "gamma": 0.5}
        if kind == "multistep":
            return {"at": tuple(self.time() for _ in range(self.one(1, 2))), "gamma": 0.5}
        if kind == "inverse_sqrt":
            return {"timescale": self.time(1)}
        if kind == "cosine_restarts":
            return {"every": self.time(1), "multiply": self.one(1, 2)}
        if kind == "exponential" and not ends:
            return {"gamma": self.one(0.5, 0.9)}
        if kind == "plateau":
            return {"metric": self.one(*METRICS), "factor": 0.5, "patience": self.one(0, 1)}
        if kind == "wsd":
            return {"decay": self.time(), "decay_type": self.shape()}
        if kind in RISING:
            own = {"one_cycle": {"peak_at": self.time(1), "div_factor": 10.0, "final_div_factor": 100.0},
                   "slanted_triangular": {"cut_frac": self.one(0.2, 0.3), "ratio": 8.0}}[kind]  # fmt: skip
            return {name: value for name, value in own.items() if self.chance(2)}
        return {}

    def _warmup(self, kind: str, factor: bool) -> dict[str, Any]:
        given: dict[str, Any] = {"warmup": self.time(), "warmup_type": self.shape()}
        if given["warmup_type"][0] == "exponential" or self.chance(2):
            given["warmup_start_factor"] = self.one(0.1, 0.5, 1.5)
            if not factor and kind != "constant" and self.chance(2):
                del given["warmup_start_factor"]
                given["warmup_lr"] = self.one(1e-3, 0.3)
        if kind not in ("constant", "inverse_sqrt", "plateau", *RISING) and self.chance(3):
            given["warmup_prefix"] = False
        return given

    def named(self) -> Curve:
        """`schedule NAME`, where one of the file's `let`s moves."""
        moving = [name for name, value in self.lets.items() if moves(value)]
        return Curve("let", let=("let", self.one(*moving))) if moving else self.curve()

    def parts(self) -> Parts:
        """A schedule, or several one behind the other within the shortest stage that there can be."""
        if not self.chance(4):
            return Parts(((self.named() if self.chance(4) else self.curve(), None),))
        shares = self.one((30, 30), (25,), (50,))
        first = tuple((self.curve(), Time(Fraction(share), "%")) for share in shares)
        if self.clock.steps and self.chance(3):
            first = ((self.curve(), Time(Fraction(self.one(1, 2)), "step")),)
        return Parts((*first, (self.named() if self.chance(3) else self.curve(), None)))

    # ------------------------------------------------------------ statements

    def condition(self) -> Condition:
        direction = self.one("falling", "rising")
        return Condition(self.one(*METRICS), direction, self.one(1, 1, 2, 3), self.one(0.0, 0.0, 1.5))

    def window(self) -> tuple[Place, Place]:
        kind = self.one("", "", "from", "until", "both", "from metric", "until metric", "both metric")
        unit = self.one(*self.units)
        start, end = self.time(unit=unit), self.time(unit=unit)
        if "metric" in kind:
            return (
                (None, self.condition())
                if "until" in kind
                else ((start, self.condition()) if "both" in kind else (self.condition(), None))
            )
        if kind == "both":
            low, high = sorted((start.value, end.value))
            return Time(low, unit), Time(high, unit)
        return (start if kind == "from" else None), (end if kind == "until" else None)

    def rule(self, optimizer: str, staged: bool) -> Rule:
        capture = self.chance(4)
        pattern = self.one(*(CAPTURING if capture else PATTERNS))
        options = ["lr", "lr", "lr", "weight_decay"]
        options += ["betas", "eps"] if optimizer == "adamw" else ["momentum"]
        option = self.one(*options)
        factors: tuple[tuple[str, Expr], ...] = ()
        sets: tuple[tuple[str, Expr], ...] = ()
        if option in ("lr", "weight_decay") and self.chance(3):
            factors = ((option, self.option(option, capture)),)
        else:
            sets = ((option, self.option(option, capture)),)
        if self.chance(6):
            return Rule(pattern, sets, factors, self.parts())
        if not staged and self.chance(6):
            return self._unwindowed(pattern, sets, factors)
        return Rule(pattern, sets, factors, None, *self.window())

    def _unwindowed(self, pattern: str, sets: Any, factors: Any) -> Rule:
        """A rule with what no window may limit: an option in quotes, or an optimizer of the file's own."""
        if self.further and self.chance(2):
            return Rule(pattern, sets, factors, optimizer=self.one(*self.further))
        return Rule(pattern, (*sets, (QUOTED, ("num", self.one(3, 8)))), factors)

    def statement(self, optimizer: str, staged: bool) -> Statement:
        kind = self.one("rule", "rule", "rule", "rule", "freeze", "freeze", "unfreeze", "turns", "statistics")
        pattern = self.one(*PATTERNS)
        warmup = self.time(0, 3) if self.chance(3) else None
        if kind == "rule":
            return self.rule(optimizer, staged)
        if kind == "freeze":
            return Freeze(pattern, *self.window(), warmup, self.chance(4))
        if kind == "statistics":
            return Statistics(self.one("**", "norm", "norm.weight", "*"), *self.window())
        if kind == "unfreeze":
            return Unfreeze(pattern, self.one(None, self.time(), self.condition()), warmup)
        turns = [(self.one(*PATTERNS[1:]), None) for _ in range(self.one(1, 2))]
        turns.insert(self.draw(st.integers(0, 1)), ("layers.<i>", self.one("ascending", "descending")))
        first = self.time(0, 4) if self.chance(2) else None
        return Turns(tuple(turns), self.time(1, 2), first, warmup)


@st.composite
def files(draw: st.DrawFn, length: Length, metrics: bool = True) -> File:
    """A file for a run of some length."""
    drawn = Drawn(draw, length.clock)
    for name in ("fall", "rise")[: drawn.one(0, 0, 1, 2)]:
        drawn.lets[name] = drawn.value(2)
    optimizer = drawn.one("adamw", "adamw", "sgd")
    drawn.further = drawn.one((), (), ("second",))
    further = tuple((name, (("lr", 0.02), ("weight_decay", 0.3))) for name in drawn.further)
    outside = tuple((name, drawn.one(0.25, 0.5, 1.0)) for name in drawn.lets if drawn.chance(5))

    def some(most: int, staged: bool = False) -> tuple[Statement, ...]:
        found: list[Statement] = [
            drawn.statement(optimizer, staged) for _ in range(draw(st.integers(0, most)))
        ]
        if included and drawn.chance(2):
            found.insert(0, Include())
        return tuple(found)

    included: tuple[Statement, ...] = ()
    if drawn.chance(4):
        included = tuple(drawn.statement(optimizer, True) for _ in range(drawn.one(1, 2)))
    above = some(4)
    stages = _stages(drawn, some) if drawn.chance(2) else ()
    after = some(2, True) if stages and drawn.chance(3) else ()
    schedule = drawn.parts() if drawn.chance(2) else None
    lets = tuple(drawn.lets.items())
    return File(above, stages, after, schedule, lets, included, optimizer, further, outside)


def _stages(drawn: Drawn, some: Any) -> tuple[Stage, ...]:
    count = drawn.one(1, 2, 2, 3)
    stages = []
    for number in range(count):
        last = number == count - 1
        kind = drawn.one(*(["for", "both"] + ["until"] + ["open"] * 3 * last))
        length = until = None
        if kind in ("for", "both"):
            share = drawn.one(*([10, 20, 30] if drawn.chance(2) else [25, Fraction(100, 3), 5]))
            length = Time(Fraction(share), "%")
            if drawn.clock.steps and drawn.chance(3):
                length = Time(Fraction(drawn.one(1, 2, max(drawn.clock.total // 3, 1))), "step")
            elif drawn.clock.epoch is not None and drawn.chance(2):
                length = Time(drawn.clock.length * share / 100 / drawn.clock.epoch, "epoch")
        if kind in ("until", "both"):
            until = drawn.condition()
        fresh, schedule = drawn.chance(3), drawn.parts() if drawn.chance(2) else None
        stages.append(Stage(f"s{number}", length, until, fresh, schedule, some(3, True)))
    return tuple(stages)


def under(key: str, file: File) -> File:
    """The same file for a model that several modules make up, this one under a key."""

    def placed(pattern: str) -> str:
        return pattern if pattern.startswith("**") else f"{key}.{pattern}"

    def moved(statement: Any) -> Any:
        if isinstance(statement, Include):
            return statement
        if isinstance(statement, Turns):
            return replace(statement, turns=tuple((placed(pattern), by) for pattern, by in statement.turns))
        return replace(statement, pattern=placed(statement.pattern))

    stages = tuple(replace(s, statements=tuple(map(moved, s.statements))) for s in file.stages)
    return replace(file, above=tuple(map(moved, file.above)), stages=stages, after=tuple(map(moved, file.after)),
                   included=tuple(map(moved, file.included)))  # fmt: skip


def without_conditions(file: File) -> File:
    """The same file with its metric conditions left out."""

    def plain(statement: Any) -> Any:
        kept = {
            name: None
            for name in ("start", "end", "at")
            if isinstance(getattr(statement, name, None), Condition)
        }
        return replace(statement, **kept) if kept else statement

    stages = tuple(
        replace(s, until=None, length=s.length or (Time(Fraction(10), "%") if s.until else None),
                statements=tuple(map(plain, s.statements)))
        for s in file.stages
    )  # fmt: skip
    return replace(file, above=tuple(map(plain, file.above)), stages=stages, after=tuple(map(plain, file.after)),
                   included=tuple(map(plain, file.included)))  # fmt: skip


# ---------------------------------------------------------------- writing


def exact(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"({value.numerator}/{value.denominator})"


def duration(time: Time) -> str:
    if time.unit == "%":
        return f"{exact(time.value)}%"
    return f"{exact(time.value)} {time.unit}s"


def moment(place: Place) -> str:
    if isinstance(place, Condition):
        by = f" by {place.delta!r}" if place.delta else ""
        return f"{place.metric} stops {place.direction} for {place.patience} epochs{by}"
    assert place is not None
    return f"{exact(place.value)}%" if place.unit == "%" else f"{place.unit} {exact(place.value)}"


def shape(value: tuple[str, float]) -> str:
    return f"power({value[1]!r})" if value[0] == "power" else value[0]


def expression(e: Expr) -> str:
    op, *rest = e
    if op == "num":
        return repr(rest[0])
    if op in ("name", "let", "capture"):
        return str(rest[0])
    if op == "last":
        return f"last({rest[0]})"
    if op == "tuple":
        return f"({', '.join(map(expression, rest))})"
    if op == "choose":
        comparison, a, b, first, second = rest
        test = f"{expression(a)} {comparison} {expression(b)}"
        return f"choose({test}, {expression(first)}, {expression(second)})"
    if op == "ramp":
        points, form, endpoint, exact = rest
        listed = ", ".join(f"({duration(when)}, {expression(value)})" for when, value in points)
        return f"ramp({listed}, shape={shape(form)}{', endpoint=true' * endpoint}{', exact=true' * exact})"
    if op == "schedule":
        return curve(rest[0], called=True)
    if op in ("+", "-", "*", "/", "mod", "^") and len(rest) == 2:
        return f"({expression(rest[0])} {op} {expression(rest[1])})"
    if op == "-":
        return f"(-{expression(rest[0])})"
    return f"{op}({', '.join(map(expression, rest))})"


NEUTRAL = {"constant": "endpoint=false", "one_cycle": "div_factor=25", "slanted_triangular": "cut_frac=0.1"}
"""What changes nothing of a schedule that is called without an argument; for most it is the floor."""


def curve(c: Curve, called: bool = False) -> str:
    if c.let is not None:
        return str(c.let[1])
    arguments = ", ".join(f"{name}={argument(name, value)}" for name, value in c.given)
    if not arguments and called:
        return f"{c.kind}({NEUTRAL.get(c.kind, 'floor=0')})"
    return f"{c.kind}({arguments})" if arguments else c.kind


def argument(name: str, value: Any) -> str:
    if isinstance(value, Time):
        return duration(value)
    if name == "at":
        return f"({', '.join(map(duration, value))}{',' * (len(value) == 1)})"
    if isinstance(value, tuple):
        return shape(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def parts(p: Parts) -> str:
    return " then ".join(curve(c) + (f" for {duration(d)}" if d is not None else "") for c, d in p.parts)


def window(start: Place, end: Place) -> str:
    opens = "" if start is None else f" from {moment(start)}"
    return opens + ("" if end is None else f" until {moment(end)}")


def statement(s: Any) -> str:
    warmup = "" if getattr(s, "warmup", None) is None else f" warmup {duration(s.warmup)}"
    if isinstance(s, Include):
        return 'include "included.lr"'
    if isinstance(s, Freeze):
        return f"freeze {s.pattern}{' updating statistics' * s.updating}{window(s.start, s.end)}{warmup}"
    if isinstance(s, Statistics):
        return f"freeze statistics of {s.pattern}{window(s.start, s.end)}"
    if isinstance(s, Unfreeze):
        return f"unfreeze {s.pattern}{'' if s.at is None else f' at {moment(s.at)}'}{warmup}"
    if isinstance(s, Turns):
        ways = {None: "", "ascending": " by i", "descending": " by i descending"}
        turns = " then ".join(pattern + ways[by] for pattern, by in s.turns)
        first = "" if s.first is None else f" starting at {moment(s.first)}"
        return f"unfreeze {turns} every {duration(s.every)}{first}{warmup}"
    quoted = {QUOTED: f'"{QUOTED}"'}
    settings = [f"{quoted.get(option, option)} {expression(value)}" for option, value in s.sets]
    settings += [f"{option} *= {expression(value)}" for option, value in s.factors]
    settings += [f"schedule {parts(s.schedule)}"] if s.schedule else []
    settings += [f"optimizer {s.optimizer}"] if s.optimizer else []
    return f"{s.pattern} -> {', '.join(settings)}{window(s.start, s.end)}"


def heading(stage: Stage) -> str:
    length = "" if stage.length is None else f" for {duration(stage.length)}"
    until = "" if stage.until is None else f" until {moment(stage.until)}"
    return f"stage {stage.name}{length}{until}{', fresh optimizer' * stage.fresh}"


def text_of(file: File, length: Length) -> str:
    """The file in the language."""
    lines = [*length.lines(), f"optimizer {file.optimizer}"]
    for name, given in file.further:
        listed = ", ".join(f"{option}={value}" for option, value in given)
        lines += [f"optimizer {name} = {file.optimizer}({listed})"]
    lines += [f"let {name} = {expression(value)}" for name, value in file.lets]
    lines += [f"schedule {parts(file.schedule)}"] if file.schedule else []
    lines += map(statement, file.above)
    for stage in file.stages:
        lines += [heading(stage), *([f"schedule {parts(stage.schedule)}"] if stage.schedule else [])]
        lines += map(statement, stage.statements)
    if file.after:
        lines += ["after stages", *map(statement, file.after)]
    return "\n".join(lines)
