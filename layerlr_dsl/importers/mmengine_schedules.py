"""mmengine's `param_scheduler`: one schedule, several one behind the other, or a product of several.

Source: mmengine/optim/scheduler/param_scheduler.py (0.10.7); QuadraticWarmupLR is mmdet's. Each scheduler multiplies
what the group has by a ratio, from `begin` until `end`, and what it came to stays. One by epochs holds its value for
the epoch; `convert_to_iter_based` makes it go on with each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, Literal, TypeAlias

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import LeftOut, Lets, OverTime, SourceFault
from layerlr_dsl.importers.reading import Section
from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.records import record

Spans: TypeAlias = list[tuple[s.Factory, s.Duration | None]]
_ENDLESS = 10**9
"""What mmengine writes for no end."""


@record
class _Part:
    """One scheduler. held: its value is looked up at the start of an epoch. end: None where it has none."""

    kind: str
    begin: int
    end: int | None
    unit: Literal["epochs", "steps"]
    held: bool
    section: Section

    def lasts(self, number: Any) -> s.Duration:
        return nodes.epochs(number) if self.unit == "epochs" else nodes.steps(number)

    @property
    def ends(self) -> tuple[float, float]:
        """Of LinearLR: the factors that it begins and ends with."""
        return self.section.number("start_factor", 1 / 3, 0), self.section.number("end_factor", 1.0, 0)


def mmengine_schedule(top: Section, rate: float, alike: bool, left: list[LeftOut]) -> OverTime:
    """What `param_scheduler` and `train_cfg` say. alike: all groups have one rate. Raises SourceFault."""
    config = top.section("train_cfg")
    steps = None if config is None else config.whole("max_iters", least=1)
    epochs = None if config is None or steps is not None else config.whole("max_epochs", least=1)
    parts = list(_parts(top, left))
    made = (
        _Reader(parts, rate, alike, {"epochs": epochs, "steps": steps}, left).made() if parts else (None, ())
    )
    return OverTime(*made, epochs, steps)


def _parts(top: Section, left: list[LeftOut]) -> Iterator[_Part]:
    for section in top.sections("param_scheduler"):
        kind = section.text("type")
        if kind is None:
            raise SourceFault(f"`{section.name}` has no `type`", section.node.line)
        kind = kind.rpartition(".")[2]
        if kind not in _FACTORS:
            left.append(
                LeftOut(f"`{section.name}` `{kind}`: no schedule here is the same", section.line("type"))
            )
            continue
        yield _part(section, kind)


def _part(section: Section, kind: str) -> _Part:
    by_epoch, converted = section.flag("by_epoch", True), section.flag("convert_to_iter_based")
    begin = section.whole("begin", 0)
    end = section.whole("end", _ENDLESS)
    if end <= begin:
        raise SourceFault(f"`{section.name}.end` must be later than `begin`", section.line("end"))
    unit: Literal["epochs", "steps"] = "epochs" if by_epoch else "steps"
    section.ignore("verbose", "_scope_")
    return _Part(kind, begin, None if end >= _ENDLESS else end, unit, by_epoch and not converted, section)


class _Reader:
    """Reads all schedulers of a run. totals: its length in epochs, or steps."""

    def __init__(
        self,
        parts: Sequence[_Part],
        rate: float,
        alike: bool,
        totals: Mapping[str, int | None],
        left: list[LeftOut],
    ) -> None:
        self.totals = totals
        self.parts = sorted(map(self._ended, parts), key=lambda part: part.begin)
        self.rate = rate
        self.alike = alike
        self.left = left

    def made(self) -> tuple[s.ScheduleSequence | None, Lets]:
        """The schedule and its lets, in the simplest form that is the same."""
        for form in (self._warmed, self._in_turn):
            found = form()
            if found is not None:
                self._unknown()
                return nodes.sequence(*found), ()
        made = self._product()
        self._unknown()
        return made

    def _ended(self, part: _Part) -> _Part:
        """With the end that mmengine's runner gives to one that says none: that of the run."""
        return part if part.end is not None else replace(part, end=self.total(part))

    def _unknown(self) -> None:
        self.left += [entry for part in self.parts for entry in part.section.unknown()]

    def total(self, part: _Part) -> int | None:
        return self.totals[part.unit]

    # ------------------------------------------------------------ one schedule, with its warm-up

    def _warmed(self) -> Spans | None:
        """Drops from the start on, alone or behind a warm-up that is over before the first."""
        drops = [part for part in self.parts if part.kind in ("MultiStepLR", "StepLR")]
        rises = [part for part in self.parts if part.kind == "LinearLR" and _rises(part)]
        if len(drops) != 1 or len(rises) + 1 != len(self.parts) or len(rises) > 1:
            return None
        made = self._dropping(drops[0])
        if made is None:
            return None
        called, arguments, first = made
        if not rises:
            return [(nodes.factory(called, **arguments), None)]
        [rise] = rises
        if rise.unit == drops[0].unit and rise.end is not None and rise.end > first:
            return None
        return [(nodes.factory(called, **arguments, **_warmup(rise)), None)]

    def _dropping(self, part: _Part) -> tuple[str, dict[str, Any], int] | None:
        """The schedule of drops, its arguments, and the first of them."""
        gamma = part.section.number("gamma", 0.1)
        if part.kind == "MultiStepLR":
            marks = self._marks(part)
            return "multistep", {"at": tuple(map(part.lasts, marks)), "gamma": gamma}, marks[0]
        every = part.section.whole("step_size", least=1)
        if every is None:
            raise SourceFault(f"`{part.section.name}` has no `step_size`", part.section.node.line)
        total = self.total(part)
        if part.begin or (part.end is not None and (total is None or part.end < total)):
            return None
        return "step", {"every": part.lasts(every), "gamma": gamma}, every

    def _marks(self, part: _Part) -> list[int]:
        """The milestones from the start of the run; those behind its end never come."""
        found = [int(mark) + part.begin for mark in part.section.numbers("milestones")]
        if not found:
            raise SourceFault(f"`{part.section.name}` has no `milestones`", part.section.node.line)
        kept = sorted(mark for mark in found if part.end is None or mark < part.end)
        return kept or [part.end or 0]

    # ------------------------------------------------------------ one behind the other

    def _in_turn(self) -> Spans | None:
        """Schedulers of which each begins where the one before has brought the rate back to its full height."""
        spans: Spans = []
        now = 0
        for part, after in zip(self.parts, [*self.parts[1:], None], strict=True):
            unit = self.parts[0].unit
            if part.unit != unit or part.begin < now or (after is not None and part.end is None):
                return None
            if part.begin > now:
                spans.append((nodes.factory("constant"), part.lasts(part.begin - now)))
            made = self._turn(part, last=after is None)
            if made is None:
                return None
            spans += made
            now = part.end or 0
        return spans

    def _turn(self, part: _Part, last: bool) -> Spans | None:
        """One scheduler by itself; None where what follows would begin below the full rate."""
        total, end = self.total(part), part.end
        runs_out = end is None or (total is not None and end >= total)
        if part.kind == "LinearLR":
            return self._linear(part, end, last and runs_out)
        if part.kind == "ConstantLR":
            return self._constant(part, last)
        if not last or end is None or total is None or part.kind not in ("CosineAnnealingLR", "PolyLR"):
            return None
        return self._decay(part, min(end, total), runs_out)

    def _constant(self, part: _Part, last: bool) -> Spans | None:
        factor = part.section.number("factor", 1 / 3, 0)
        if factor == 1:
            return [(nodes.factory("constant"), None if last else part.lasts((part.end or 0) - part.begin))]
        return [(nodes.factory("constant", factor=factor), None)] if part.end is None else None

    def _linear(self, part: _Part, end: int | None, whole: bool) -> Spans | None:
        first, final = part.ends
        if end is None or (final != 1 and not whole) or end - part.begin < 2:
            return None
        told: dict[str, Any] = {"start_factor": first, "end_factor": final}
        lasts = end - part.begin
        if not part.held:
            return [(nodes.factory("linear", **told, endpoint=True), None if whole else part.lasts(lasts))]
        rising = nodes.factory("linear", **told, interval=nodes.name("epoch"))
        rest = nodes.factory("constant", **({} if final == 1 else {"factor": final}))
        return [(rising, part.lasts(lasts - 1)), (rest, None if whole else part.lasts(1))]

    def _decay(self, part: _Part, end: int, runs_out: bool) -> Spans | None:
        """A fall to the end of the run, or to where the rate then stays."""
        lasts = end - part.begin
        least, share = self._least(part)
        told: dict[str, Any] = {**least}
        if part.kind == "CosineAnnealingLR":
            called, over = "cosine", part.section.whole("T_max", lasts, 1)
        else:
            called, over = "polynomial", lasts - 1
            told["power"] = part.section.number("power", 1.0)
        if part.held:
            told["interval"] = nodes.name("epoch")
        known = over == lasts or (over == lasts - 1 and (part.held or part.kind == "PolyLR"))
        if not known or (not runs_out and (part.held or over == lasts)):
            return None
        if over == lasts:
            return [(nodes.factory(called, **told), None)]
        if not part.held:
            told["endpoint"] = True
            if runs_out:
                return [(nodes.factory(called, **told), None)]
        if "min_lr" in least and not self.alike:
            return None
        length = part.lasts(over if part.held else lasts)
        return [(nodes.factory(called, **told), length), (nodes.factory("constant", factor=share), None)]

    def _least(self, part: _Part) -> tuple[dict[str, Any], Any]:
        """Where a fall ends, as an argument, and as a share of the rate."""
        ratio = part.section.number("eta_min_ratio", None, 0)
        if ratio is not None:
            return ({"floor": ratio} if ratio else {}), ratio
        end = part.section.number("eta_min", 0, 0)
        return ({"min_lr": end} if end else {}), (nodes.arithmetic(end, "/", self.rate) if end else 0)

    # ------------------------------------------------------------ a product

    def _product(self) -> tuple[s.ScheduleSequence | None, Lets]:
        lets: list[tuple[str, Any]] = []
        for part in self.parts:
            factor = _FACTORS[part.kind](self, part)
            if factor is None:
                message = (
                    f"`{part.section.name}` `{part.kind}` with what it is given: no schedule here is the same"
                )
                self.left.append(LeftOut(message, part.section.line("type")))
            elif factor != 1:
                word = "rise" if part.kind in _RISING and part.begin == 0 else "fall"
                place = sum(name.startswith(word) for name, _ in lets)
                lets.append((f"{word}{place + 1}" if place else word, factor))
        if len(lets) < 2:
            return (nodes.schedule(lets[0][0]), tuple(lets)) if lets else (None, ())
        names: list[s.Expression] = [nodes.name(name) for name, _ in lets]
        whole = reduce(lambda left, right: nodes.arithmetic(left, "*", right), names)
        return nodes.schedule("factor"), (*lets, ("factor", whole))

    def linear(self, part: _Part) -> Any:
        first, final = part.ends
        if part.end is None or part.end - part.begin < 2:
            return None
        gone = self._gone(part, part.end - part.begin - 1)
        sign: Any = "+" if final >= first else "-"
        return _from(part, nodes.arithmetic(first, sign, nodes.arithmetic(abs(final - first), "*", gone)))

    def cosine(self, part: _Part) -> Any:
        lasts = None if part.end is None else part.end - part.begin
        over = part.section.whole("T_max", lasts, 1)
        if over is None:
            return None
        gone = self._turned(part, over, lasts)
        return self._above(part, nodes.half_wave(nodes.arithmetic(nodes.name("pi"), "*", gone)))

    def _turned(self, part: _Part, over: int, lasts: int | None) -> Any:
        """How far a cosine has come, 1 at its foot; where it lasts longer than that, it rises again."""
        total = self.total(part)
        if lasts is None or (lasts == over and total is not None and (part.end or 0) >= total):
            return self._gone(part, over, whole=True)
        most = nodes.arithmetic(_last(part, part.begin + lasts), "/", over)
        return self._gone(part, over, whole=True, most=most, lasts=lasts)

    def poly(self, part: _Part) -> Any:
        if part.end is None or part.end - part.begin < 2:
            return None
        rest = nodes.arithmetic(1, "-", self._gone(part, part.end - part.begin - 1))
        power = part.section.number("power", 1.0)
        return self._above(part, rest if power == 1 else nodes.arithmetic(rest, "^", power))

    def drops(self, part: _Part) -> Any:
        made = self._dropping(part)
        return None if made is None else nodes.called_with_keywords(made[0], **made[1])

    def exponential(self, part: _Part) -> Any:
        gamma = part.section.number("gamma", None, 0)
        if gamma is None:
            raise SourceFault(f"`{part.section.name}` has no `gamma`", part.section.node.line)
        if part.unit == "epochs" and not part.held:
            return None
        gone = _now(part)
        total = self.total(part)
        if part.end is not None and (total is None or part.end < total):
            gone = nodes.call("min", gone, part.end - 1)
        if part.begin:
            gone = nodes.call("max", 0, nodes.arithmetic(gone, "-", part.begin))
        return nodes.arithmetic(gamma, "^", gone)

    def constant(self, part: _Part) -> Any:
        factor = part.section.number("factor", 1 / 3, 0)
        if factor == 1:
            return 1
        if part.unit == "epochs" and not part.held:
            return None
        if part.end is not None:
            factor = nodes.call("choose", nodes.less(_now(part), part.end - 1), factor, 1)
        return _from(part, nodes.value(factor))

    def quadratic(self, part: _Part) -> Any:
        if part.end is None or part.begin:
            return None
        gone = nodes.arithmetic(nodes.arithmetic(_now(part), "+", 1), "/", part.end)
        if part.unit == "epochs" and not part.held:
            done = nodes.arithmetic(nodes.name("step"), "+", 1)
            whole = nodes.arithmetic(part.end, "*", _per_epoch())
            gone = nodes.arithmetic(done, "/", whole)
        return nodes.arithmetic(nodes.call("min", 1, gone), "^", 2)

    def _above(self, part: _Part, share: Any) -> Any:
        """What falls to its least value."""
        least, ratio = self._least(part)
        if not least:
            return share
        line = part.section.line("eta_min")
        if "min_lr" in least and not self.alike:
            message = "`eta_min` is taken as a share of the optimizer's `lr`, in groups with another rate too"
            self.left.append(LeftOut(message, line))
        if any(_meet(part, other) for other in self.parts if other is not part):
            message = f"`eta_min` of `{part.kind}`: another scheduler runs beside it, and here the two are multiplied"
            self.left.append(LeftOut(message, line))
        return nodes.above(ratio, share)

    def _gone(
        self, part: _Part, over: int, whole: bool = False, most: Any = None, lasts: int | None = None
    ) -> Any:
        """How much of it is done, 0 at its beginning and 1 after `over`.

        whole: it would be at 1 behind its last tick, else there. most: where it stops, if not at 1, behind `lasts`.
        """
        if part.held:
            since = nodes.arithmetic(_now(part), "-", part.begin) if part.begin else _now(part)
            share = nodes.call("min", 1 if most is None else most, nodes.arithmetic(since, "/", over))
            return nodes.call("max", 0, share) if part.begin else share
        last = part.begin + (lasts or over + (not whole))
        reached = 1 if lasts in (None, over) else nodes.arithmetic(lasts, "/", over)
        points = nodes.point(part.lasts(part.begin), 0), nodes.point(part.lasts(last), reached)
        made = nodes.called_with_keywords("ramp", *points, **({} if whole else {"endpoint": True}))
        return made if most is None else nodes.call("min", made, most)


_RISING = ("LinearLR", "QuadraticWarmupLR")


def _meet(part: _Part, other: _Part) -> bool:
    """Whether two of other units, or two that overlap, move at once. One that comes to 1 and ends is no matter."""
    if other.kind == "ConstantLR" and other.section.number("factor", 1 / 3) == 1:
        return False
    if part.unit != other.unit:
        return part.begin == 0
    return other.begin < (part.end or _ENDLESS) and part.begin < (other.end or _ENDLESS)


def _rises(part: _Part) -> bool:
    """Whether it is a warm-up from the start on."""
    return (
        part.begin == 0
        and part.end is not None
        and part.end > 1
        and part.section.number("end_factor", 1.0) == 1
    )


def _warmup(rise: _Part) -> dict[str, Any]:
    """A warm-up to the last tick before `end`."""
    start, _ = rise.ends
    if rise.unit == "epochs" and not rise.held:
        return {"warmup": rise.lasts(rise.end), "warmup_start_factor": start, "endpoint": True}
    held = {"interval": nodes.name("epoch")} if rise.held else {}
    return {"warmup": rise.lasts((rise.end or 2) - 1), "warmup_start_factor": start, **held}


def _now(part: _Part) -> Any:
    if part.unit == "steps":
        return nodes.name("step")
    return nodes.call("floor", nodes.name("epoch")) if part.held else nodes.name("epoch")


def _from(part: _Part, share: Any) -> Any:
    """1 until it begins."""
    return nodes.call("choose", nodes.less(_now(part), part.begin), 1, share) if part.begin else share


def _last(part: _Part, end: int) -> Any:
    """How far its last tick lies behind its beginning."""
    lasts = end - part.begin
    if part.held or part.unit == "steps":
        return lasts - 1
    return nodes.arithmetic(lasts, "-", nodes.arithmetic(1, "/", _per_epoch()))


def _per_epoch() -> Any:
    return nodes.arithmetic(nodes.name("steps"), "/", nodes.name("epochs"))


_FACTORS: Mapping[str, Callable[[_Reader, _Part], Any]] = {
    "LinearLR": _Reader.linear,
    "CosineAnnealingLR": _Reader.cosine,
    "PolyLR": _Reader.poly,
    "MultiStepLR": _Reader.drops,
    "StepLR": _Reader.drops,
    "ExponentialLR": _Reader.exponential,
    "ConstantLR": _Reader.constant,
    "QuadraticWarmupLR": _Reader.quadratic,
}
