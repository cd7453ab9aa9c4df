"""RESULTS.md: tables, pictures and verdicts from the trials that there are."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effect import pictures
from effect.arms import STUDY
from effect.design import Claim, Study, Unit
from effect.figures import (
    Against,
    Measure,
    Reported,
    Tested,
    against,
    baseline,
    difference,
    points,
    reported,
    score,
    seconds,
    shift,
    verdicts,
)
from effect.record import TRIALS, Figures, Found, Key, Record, keep_search, searches
from effect.work import ABOUT, SKIPPED
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.words import share, wrapped
from layerlr_dsl.tuning.outcome import Interval

NAME = "RESULTS.md"
MIB = 2**20
HEADINGS = (
    "arm",
    "base",
    "test",
    "to one rate",
    "under shift",
    "to one rate",
    "processor s",
    "MiB",
    "trains",
)


def write(cache: Path, folder: Path, study: Study = STUDY) -> Path:
    """Write the results of the trials in `cache` into `folder`, the trials themselves beside them.

    Where the cache has none, those that lie in `folder` already are taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _keep(cache, folder)
    standings = reported(study, Record(folder / TRIALS).all())
    pictures.write(study, standings, folder)
    path = folder / NAME
    path.write_text(results(folder, study), "utf-8")
    return path


def _keep(cache: Path, folder: Path) -> None:
    """The trials of a cache, and where they were run, into the folder."""
    if not (cache / TRIALS).exists():
        return
    about = {**_about(cache), "skipped": _skipped(cache)}
    (folder / ABOUT).write_text(json.dumps(about) + "\n", "utf-8")
    (folder / TRIALS).write_bytes((cache / TRIALS).read_bytes())
    for found in searches(cache):
        keep_search(found, folder)


def _about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _skipped(cache: Path) -> dict[str, str]:
    """Tasks that could not be run, and why."""
    folder = cache / SKIPPED
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: path.read_text("utf-8").strip() for path in found}


def results(folder: Path, study: Study = STUDY) -> str:
    """The results of the trials in a folder, as Markdown."""
    known = Record(folder / TRIALS).all()
    about = _about(folder)
    standings = reported(study, known)
    parts = [
        *_head(study, known, standings, about),
        *_tasks(study, standings),
        *_searches(study, known, searches(folder)),
        *_claims(study, standings),
        *_limits(study, standings),
        *_unfinished(study, standings, about.get("skipped", {})),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _head(
    study: Study, known: Mapping[Key, Figures], standings: Sequence[Reported], about: Mapping[str, Any]
) -> list[str]:
    units = study.units(("core", "full"))
    spent = sum(figures.seconds for figures in known.values())
    seeds = f"{len(study.tuning)} seeds, reported on {len(study.reporting)} others"
    return [
        "# Does it pay?",
        "",
        "`make effect` repeats the core of this study, `make effect-full` all of it; `arms.py` holds the arms, grids,",
        f"seeds and claims, and was written before the first run. Base rates were tuned on {seeds}.",
        f"Here: {about.get('date', 'undated')}, {about.get('machine', 'a machine unknown')}, torch "
        f"{about.get('torch', '')}: {plural(len(known), 'trial')}, {_spent(spent)} of a processor in",
        f"training; {len(standings)} of {len(units)} units (an arm on a task at a length) are complete. "
        "`trials.jsonl` holds each trial.",
        "",
        *_found(study, standings),
        "",
    ]


def _spent(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"


def _found(study: Study, standings: Sequence[Reported]) -> list[str]:
    """The whole in a paragraph: how often an arm was better than one rate, worse, or neither."""
    gains = _against_baseline(study, standings, score)
    better = [arm for arm, gain in gains if gain.sure and gain.mean > 0]
    worse = [arm for arm, gain in gains if gain.sure and gain.mean < 0]
    lines = [
        f"Against one tuned rate, in {plural(len(gains), 'comparison')} of test accuracy: {len(better)} better by more than noise, "
        f"{len(worse)} worse, {len(gains) - len(better) - len(worse)} neither."
    ]
    lines += [f"Better: {_named(better)}."] if better else []
    lines += [f"Worse: {_named(worse)}."] if worse else []
    return lines


def _against_baseline(
    study: Study, standings: Sequence[Reported], measure: Measure
) -> list[tuple[Reported, Interval]]:
    found = []
    for arm in standings:
        base = baseline(study, standings, arm)
        gain = difference(arm, base, measure) if base is not None and base is not arm else None
        if gain is not None:
            found.append((arm, gain))
    return found


def _named(arms: Iterable[Reported]) -> str:
    return ", ".join(
        f"{one.unit.arm.name} on {one.unit.task.name} ({one.unit.epochs} epochs)" for one in arms
    )


# ---------------------------------------------------------------- tables


def _tasks(study: Study, standings: Sequence[Reported]) -> list[str]:
    lines = [f"![{what}]({name})\n" for name, what in pictures.NAMES.items()] if standings else []
    for unit in _places(standings):
        here = [s for s in standings if (s.unit.task, s.unit.epochs) == (unit.task, unit.epochs)]
        task = unit.task
        lines += [
            f"## {task.name}, {unit.epochs} epochs",
            "",
            f"{task.about[0].upper()}{task.about[1:]}; {task.network}, "
            + (f"{task.side} tokens" if task.network == "minilm" else f"{task.side} pixels")
            + f", {task.train} training samples of each class, batches of {task.batch}."
            + (f" Shift: {task.shift}." if task.shift else ""),
            "",
            *_table(HEADINGS, [_row(study, standings, one) for one in here]),
            "",
        ]
    return lines


def _places(standings: Sequence[Reported]) -> list[Unit]:
    """The first unit of each task and length."""
    return list({(one.unit.task.name, one.unit.epochs): one.unit for one in reversed(standings)}.values())[
        ::-1
    ]


def _row(study: Study, standings: Sequence[Reported], arm: Reported) -> tuple[str, ...]:
    if arm.best is None:
        return (arm.unit.arm.name, "every rate diverged", *[""] * (len(HEADINGS) - 2))
    base = baseline(study, standings, arm)
    gains = [
        difference(arm, base, measure) if base not in (None, arm) else None for measure in (score, shift)
    ]  # type: ignore[arg-type]
    memory = max(figures.memory for figures in arm.by_seed.values()) / MIB
    trains = next(iter(arm.by_seed.values())).trains
    return (
        arm.unit.arm.name,
        f"{arm.best.base:g}{' (edge)' if arm.best.at_edge else ''}",
        _percent(arm, score),
        _points(gains[0]),
        _percent(arm, shift),
        _points(gains[1]),
        f"{arm.mean(seconds):.1f}",
        f"{memory:.1f}" if memory < 10 else f"{memory:.0f}",
        share(trains),
    )


def _percent(arm: Reported, measure: Measure) -> str:
    """The mean over seeds, with the lowest and the highest: `59.7 % (22 to 75)`."""
    values = [value * 100 for figures in arm.by_seed.values() if (value := measure(figures)) is not None]
    if not values:
        return ""
    return f"{statistics.fmean(values):.1f} % ({min(values):.0f} to {max(values):.0f})"


def _points(gain: Interval | None) -> str:
    """`+1.2 ± 0.4`, in points, in bold where the interval does not hold 0."""
    if gain is None:
        return ""
    return f"**{points(gain)}**" if gain.sure else points(gain)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows)]


# ---------------------------------------------------------------- what the search finds

SEARCHED = (
    "task",
    "grid s",
    "tune s",
    "trials",
    "tune's file",
    "test",
    "to the grid's choice",
    "to the best by test",
)


def _searches(study: Study, known: Mapping[Key, Figures], found: Sequence[Found]) -> list[str]:
    """What `layerlr tune` comes to in a tenth of the grid's time, and whether that is as good."""
    seen = [one for search in found if (one := against(study, known, search)) is not None]
    if not seen:
        return []
    return [
        "## What `layerlr tune` finds in a tenth of the time",
        "",
        "Its built-in family at the study's length, with a tenth of the processor time that the grid took for the same",
        "arms, training and validation; the winner was then run with the study's seeds for reporting. The grid's choice is",
        "the arm that does best on its validation parts, at its best rate; which arm proves best in the test neither can know.",
        "",
        *_table(SEARCHED, [_found_row(one) for one in seen]),
        "",
        *_judged(study, seen),
        "",
    ]


def _judged(study: Study, seen: Sequence[Against]) -> list[str]:
    """On how many tasks it comes out even, and what the search knew of them beforehand."""
    chosen = sum(_holds(one.winner, one.chosen) for one in seen)
    best = sum(_holds(one.winner, one.best) for one in seen)
    settled = ", ".join(one.found.task for one in seen if one.found.task not in study.untouched)
    once = " and ".join(one.found.task for one in seen if one.found.task in study.untouched)
    said = (
        f"By more than the seeds' noise it is not worse than what the grid chooses on {chosen} of {plural(len(seen), 'task')}, "
        f"and than the best by test on {best}. The order in which `layerlr tune` tries its files, and ranges that begin lower "
        f"for files that hold statistics, were set after the grids of {settled} were seen: there the search knew that much "
        "beforehand."
    )
    told = f" On {once} it was run once, after all of it was settled." if once else ""
    return wrapped(said + told, 118)


def _holds(winner: Reported, other: Reported) -> bool:
    """Whether a winner is not worse by more than noise."""
    gain = difference(winner, other, score)
    return gain is not None and (gain.mean >= 0 or not gain.sure)


def _found_row(one: Against) -> tuple[str, ...]:
    found = one.found
    return (
        f"{found.task}, {found.epochs} epochs",
        f"{found.grid:.0f}",
        f"{found.seconds:.0f}",
        str(sum(found.tried.values())),
        f"{found.arm}, base {found.base:g}",
        _percent(one.winner, score),
        *(
            f"{other.unit.arm.name}: {_points(difference(one.winner, other, score))}"
            for other in (one.chosen, one.best)
        ),
    )


# ---------------------------------------------------------------- claims


def _claims(study: Study, standings: Sequence[Reported]) -> list[str]:
    found = verdicts(study, list(standings))
    lines = ["## What papers say, and what was seen here", ""]
    for claim in study.claims:
        own = [one for one in found if one.claim is claim]
        lines += [
            f"**{claim.paper}**: {claim.says}"
            + (f" (recipes {', '.join(claim.recipes)})" if claim.recipes else "")
            + ".",
            f"`{claim.arm}` against `{claim.against}`, {_measured(claim)}: "
            + (_seen(own) or "not run here")
            + ".",
            f"Why it may differ: {claim.apart}.",
            "",
        ]
    return lines


def _measured(claim: Claim) -> str:
    return {
        "test": "test accuracy in points",
        "shift": "accuracy under shift in points",
        "seconds": "processor time saved in percent",
    }[claim.measure]


def _seen(found: Sequence[Tested]) -> str:
    return "; ".join(f"{one.task}, {one.epochs} epochs: {_points(one.found)}, {one.verdict}" for one in found)


# ---------------------------------------------------------------- what it does not say


TESTED = 600


def _limits(study: Study, standings: Sequence[Reported]) -> list[str]:
    count = len(_against_baseline(study, standings, score))
    text = f"""## What the intervals leave out

A figure behind ± is half the width of Student's 95 % interval of the mean over {len(study.reporting)} seeds, each with training samples, head
and order of its own, in pairs with the same seeds of the other arm. It holds what seeds do. It does not hold:

- the choice of the task, the network, its size and the length of the run: these are a handful of tasks with about
  100 training samples, two or three small networks, inputs far below the size that they were trained at;
- the test set, the same {TESTED} samples or so in all trials: another one would move all arms, mostly together;
- tuning: the base rate was chosen on {len(study.tuning)} seeds out of rates half a decade apart, so each arm is a little below what a
  finer search would give it, and an arm with more to tune (the probe's rate, the decay) is further below;
- that there are many comparisons: of {count} with no difference behind them, about {count / 20:.0f} would be set in bold by chance;
- the machine: seconds are of one thread of a processor that others used too, and cutting the network in two (for
  remembered features) is part of them, which counts for much in runs of seconds and for nothing in runs of hours.

MiB are gradients, optimizer state, activations kept for the backward pass and remembered features, at the step that
needed most; weights are left out, which all arms have.
"""
    return text.split("\n")


def _unfinished(study: Study, standings: Sequence[Reported], skipped: Mapping[str, str]) -> list[str]:
    """What of the study is not in these results, by part; nothing where all is."""
    done = {(one.unit.task.name, one.unit.arm.name, one.unit.epochs) for one in standings}
    lines = [f"- {name} was skipped: {why}" for name, why in skipped.items()]
    for title, parts in (("the core", ("core",)), ("what `make effect-full` adds", ("core", "full"))):
        missing = [u for u in study.units(parts) if (u.task.name, u.arm.name, u.epochs) not in done]
        missing = [u for u in missing if parts == ("core",) or u not in study.units(("core",))]
        if missing:
            lines.append(f"- of {title}, {plural(len(missing), 'unit')}: {_listed(missing)}")
    return ["## What was not run", "", *lines] if lines else []


def _listed(units: Sequence[Unit]) -> str:
    by_place: dict[tuple[str, int], list[str]] = {}
    for unit in units:
        by_place.setdefault((unit.task.name, unit.epochs), []).append(unit.arm.name)
    return "; ".join(
        f"{task}, {epochs} epochs ({', '.join(names)})" for (task, epochs), names in by_place.items()
    )
