"""What the trials show, in sentences that promise no more than they hold."""

from __future__ import annotations

from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.words import share
from layerlr_dsl.tuning.outcome import Interval, Outcome, Standing, score_text

CHEAPER = 0.67
"""A file that draws is worth naming where it takes less than this part of the time."""
CLOSE = 0.1
"""And where the noise is less than this part of the baseline's score: else nobody knows whether it draws."""


def headings(outcome: Outcome) -> tuple[str, ...]:
    """The heads of the columns of `rows`."""
    best = _only_let(outcome) or "best"
    return "file", best, "tried", "search", "over seeds", "gain", "time", "trains"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{spelled(seconds, 2)} s"


def _only_let(outcome: Outcome) -> str | None:
    """The `let` that is searched in all arms, where it is one and the same: it need not be said in each row."""
    names = {name for standing in outcome.standings for name in standing.arm.ranges}
    return names.pop() if len(names) == 1 else None


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """The table: an arm a line, with what was found for it."""
    return [_row(outcome, standing) for standing in outcome.standings]


def _row(outcome: Outcome, standing: Standing) -> tuple[str, ...]:
    best, interval = standing.best, standing.interval
    scored = best.scored if best is not None else None
    gain = outcome.difference(standing) if standing is not outcome.baseline else None
    return (
        standing.arm.name,
        ", ".join(
            spelled(value, 3) if name == _only_let(outcome) else f"{name} {spelled(value, 3)}"
            for name, value in (best.values if best else {}).items()
        ),
        str(len(standing.trials)),
        _unscored(standing) if scored is None else score_text(scored.value, outcome.share),
        "" if interval is None else interval_text(interval, outcome.share),
        "" if gain is None else gain_text(gain, outcome.share).removesuffix(" points"),
        "" if standing.seconds is None else _seconds(standing.seconds),
        "" if standing.trains is None else share(standing.trains),
    )


def _unscored(standing: Standing) -> str:
    return "failed" if _failures(standing) else "not tried"


def verdict(outcome: Outcome) -> list[str]:
    """The sentences under the table."""
    alone = len(outcome.standings) == 1
    lines = _compared(outcome) if outcome.tested or alone else [_guess(outcome)]
    lines += [_edge(standing) for standing in outcome.standings if standing.finals and standing.at_edge]
    lines += [_failed(standing) for standing in outcome.standings if _failures(standing)]
    if outcome.cut_short:
        lines.append("the budget ended before all that was planned was done")
    return lines


def called(standing: Standing) -> str:
    """`plain (base 0.001)`."""
    values = standing.best.values if standing.best is not None else {}
    said = ", ".join(f"{name} {spelled(value, 3)}" for name, value in values.items())
    return f"{standing.arm.name} ({said})" if said else standing.arm.name


def interval_text(interval: Interval, as_share: bool) -> str:
    """`97.3% ± 0.4`, the half width in points where the score is a share."""
    text = score_text(interval.mean, as_share)
    return text if interval.half is None else f"{text} ± {_size(interval.half, as_share)}"


def gain_text(gain: Interval, as_share: bool) -> str:
    """`+1.2 ± 0.4 points`."""
    plus = "+" if gain.mean >= 0 else ""
    text = f"{gain.mean * 100:+.1f}" if as_share else f"{plus}{spelled(gain.mean, 3)}"
    half = "" if gain.half is None else f" ± {_size(gain.half, as_share)}"
    return f"{text}{half} points" if as_share else f"{text}{half}"


def _size(half: float, as_share: bool) -> str:
    return f"{half * 100:.1f}" if as_share else spelled(half, 2)


def _compared(outcome: Outcome) -> list[str]:
    if len(outcome.standings) == 1:
        return [f"{called(outcome.baseline)} was compared with nothing else"]
    better = outcome.better()
    seeds = plural(len(outcome.baseline.finals), "seed")
    if better:
        lines = [
            f"{called(s)} beats {called(outcome.baseline)}: {_gain(outcome, s)} ({seeds}, in pairs)"
            for s in better
        ]
    elif len(outcome.baseline.finals) < 2:
        lines = [f"one seed tells nothing of noise: {called(outcome.baseline)} stands until more are run"]
    else:
        lines = [f"nothing beats {called(outcome.baseline)} by more than noise ({seeds}, in pairs)"]
    return lines + _cheaper(outcome)


def _gain(outcome: Outcome, standing: Standing) -> str:
    gain = outcome.difference(standing)
    assert gain is not None
    return gain_text(gain, outcome.share)


def _cheaper(outcome: Outcome) -> list[str]:
    """Finalists that draw with the baseline in much less time."""
    usual = outcome.baseline.seconds
    lines = []
    for standing in outcome.draws():
        if usual and standing.seconds and standing.seconds < CHEAPER * usual and _close(outcome, standing):
            part = round(usual / standing.seconds)
            time = f"1/{part} of the time" if part >= 4 else "less time"
            lines.append(f"{called(standing)} draws with it ({_gain(outcome, standing)}) in {time}")
    return lines


def _close(outcome: Outcome, standing: Standing) -> bool:
    gain, usual = outcome.difference(standing), outcome.baseline.interval
    return gain is not None and usual is not None and (gain.half or 0.0) <= CLOSE * abs(usual.mean)


def _guess(outcome: Outcome) -> str:
    name, winner = outcome.baseline.arm.name, outcome.winner
    told = f"{name} came to no score over enough seeds, so nothing can be said to beat it"
    if winner is None or winner is outcome.baseline:
        return told
    seen = plural(1 + len(winner.finals), "training")
    return f"{told}; {called(winner)} is a guess, the best over {seen}"


def _edge(standing: Standing) -> str:
    names = ", ".join(standing.at_edge)
    return f"{standing.arm.name}: the best {names} lies at the edge of what was tried; more trials would tell"


def _failures(standing: Standing) -> int:
    return sum(trial.state == "failed" for trial in standing.trials)


def _failed(standing: Standing) -> str:
    first = next(trial for trial in standing.trials if trial.state == "failed")
    values = ", ".join(f"{name} {spelled(value, 3)}" for name, value in first.values.items())
    count, trials = _failures(standing), len(standing.trials)
    out = " is out" if count == trials else ""
    return (
        f"{standing.arm.name}{out}: {count} of {plural(trials, 'trial')} failed, "
        f"the first {f'with {values} ' if values else ''}because {first.why}"
    )
