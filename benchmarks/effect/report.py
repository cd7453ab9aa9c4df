"""RESULTS.md: tables, pictures and verdicts from the trials that there are."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effect import pictures
from effect.arms import STUDY
from effect.design import Claim, Study, Unit
from effect.figures import (
    Measure,
    Reported,
    Searched,
    Tested,
    baseline,
    difference,
    gains,
    points,
    reported,
    score,
    searched,
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
    """The whole at a glance: how often an arm was better than one rate, worse, or neither, and where."""
    found = [gain for _, gain in _against_baseline(study, standings, score)]
    better = sum(gain.sure and gain.mean > 0 for gain in found)
    worse = sum(gain.sure and gain.mean < 0 for gain in found)
    return [
        f"Against one tuned rate, in {plural(len(found), 'comparison')} of test accuracy: {better} better by more than noise, "
        f"{worse} worse, {len(found) - better - worse} neither. In points, bold where it is more than noise; a column is a task and a",
        "length in epochs:",
        "",
        *(matrix(study, standings) if found else []),
    ]


def matrix(study: Study, standings: Sequence[Reported]) -> list[str]:
    """What each arm gains on one rate, tasks side by side: a table of Markdown."""
    cells: dict[str, dict[tuple[str, int], str]] = {}
    for one, gain in _against_baseline(study, standings, score):
        cells.setdefault(one.unit.arm.name, {})[one.unit.task.name, one.unit.epochs] = _points(gain)
    places = [(u.task.name, u.epochs) for u in _places(standings)]
    places = [place for place in places if any(place in row for row in cells.values())]
    rows = [
        (f"{arm.name}: {arm.about}", *(cells[arm.name].get(place, "") for place in places))
        for arm in study.arms
        if arm.name in cells
    ]
    return _table(("arm", *(f"{task}, {epochs}" for task, epochs in places)), rows)


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
    "tune's files",
    "to the grid's choice",
    "to the best by test",
    "even",
)


def _searches(study: Study, known: Mapping[Key, Figures], found: Sequence[Found]) -> list[str]:
    """What `layerlr tune` comes to in a tenth of the grid's time, and whether that is as good."""
    seen = searched(study, known, found)
    if not seen:
        return []
    count = max(len(one.each) for one in seen)
    return [
        "## What `layerlr tune` finds in a tenth of the time",
        "",
        "Its built-in family at the study's length, with a tenth of the processor time that the grid took for the same",
        f"arms, training and validation: {count} searches of each task, each with training samples, validation and order of",
        f"its own. What each found was then run with {len(study.comparing)} other seeds. The grid's choice is the arm that does",
        "best on its validation parts, at its best rate; which arm proves best in the test neither can know. A figure is the",
        "mean over searches and seeds, its interval holds what both do; `even` counts the searches that taken alone are not",
        "worse than the grid's choice by more than the seeds' noise.",
        "",
        *_table(SEARCHED, [_found_row(one) for one in seen]),
        "",
        *_judged(study, seen),
        "",
    ]


def _judged(study: Study, seen: Sequence[Searched]) -> list[str]:
    """On how many tasks it comes out even, and what the search knew of them beforehand."""
    chosen, best = (sum(map(_even, gains)) for gains in _to_the_grid(seen))
    single = sum(_alone(one) for one in seen)
    names = [one.each[0].found.task for one in seen]
    settled = ", ".join(name for name in names if name not in study.untouched)
    later = " and ".join(name for name in names if name in study.untouched)
    said = (
        f"By more than noise it is not worse than what the grid chooses on {chosen} of {plural(len(seen), 'task')}, "
        f"and than the best by test on {best}; of {sum(len(one.each) for one in seen)} searches {single} are even. "
        "The order in which `layerlr tune` tries its files, ranges that begin lower for files that hold statistics, that "
        "the first file finds a rate with which others begin, and "
        f"how it spends what time is left were set after the grids of {settled} were seen: there the search knew that "
        "much beforehand."
    )
    told = f" Only when all of it was settled was there a search on {later}." if later else ""
    return wrapped(said + told, 118)


def _to_the_grid(seen: Sequence[Searched]) -> tuple[list[Interval], list[Interval]]:
    return [one.to_chosen() for one in seen], [one.to_best() for one in seen]


def _even(gain: Interval) -> bool:
    """Whether it is not worse by more than noise."""
    return gain.mean >= 0 or not gain.sure


def _alone(one: Searched) -> int:
    """How many of the searches are, over the seeds."""
    return sum(_even(Interval.of(gains(search.winner, search.chosen))) for search in one.each)


def _found_row(one: Searched) -> tuple[str, ...]:
    first = one.each[0]
    files = Counter(f"{search.found.arm} {search.found.base:g}" for search in one.each)
    trials = sorted({sum(search.found.tried.values()) for search in one.each})
    to_chosen, to_best = one.to_chosen(), one.to_best()
    return (
        f"{first.found.task}, {first.found.epochs} epochs",
        f"{first.found.grid:.0f}",
        f"{statistics.fmean(search.found.seconds for search in one.each):.0f}",
        str(trials[0]) if len(trials) == 1 else f"{trials[0]} to {trials[-1]}",
        ", ".join(f"{name} ({times})" if times > 1 else name for name, times in files.most_common()),
        f"{first.chosen.unit.arm.name}: {_points(to_chosen)}",
        f"{first.best.unit.arm.name}: {_points(to_best)}",
        f"{_alone(one)} of {len(one.each)}",
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
