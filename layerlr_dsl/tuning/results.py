"""What is left when the trials are over: the winner as a rule file, the figures as JSON, a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.files import make_folder, write_text
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import next_plan
from layerlr_dsl.tuning.arms import Arm
from layerlr_dsl.tuning.outcome import Outcome, Standing
from layerlr_dsl.tuning.verdict import headings, rows, verdict

RESULTS, PICTURE, BEST = "tune.json", "tune.png", "best.lr"


def write_results(
    outcome: Outcome, how: Sequence[str], folder: Path, output: str | None, root: Path | None, model: str
) -> list[str]:
    """Write all of it; a line for each file. Raises RunnerError where one cannot be written.

    model: what the trials were of, for a winner that names none.
    """
    make_folder(folder)
    write_text(folder / RESULTS, json.dumps(as_json(outcome), indent=1, allow_nan=False) + "\n")
    told = [f"figures: {folder / RESULTS}"]
    picture = _drawn(outcome, how[0], folder / PICTURE)
    told += [f"picture: {picture}"] if picture is not None else []
    winner = outcome.winner
    if winner is not None:
        target = Path(output) if output is not None else folder / BEST
        write_winner(outcome, winner, how, target, root)
        needs = () if winner.arm.load({}, root).model else (model,)
        told.append(f"the winner, {winner.arm.name}: {target}; {next_plan(target, needs)}")
    return told


def write_winner(
    outcome: Outcome, winner: Standing, how: Sequence[str], target: Path, root: Path | None
) -> None:
    """Write the winner with its evidence, and what it includes beside it."""
    values = dict(winner.best.values) if winner.best is not None else {}
    named = texts(winner.arm, values, evidence(outcome, how), root)
    (first, text), *included = named.items()
    home = Path(first).parent
    for name, content in included:
        beside = target.parent / Path(name).relative_to(home) if Path(name).is_relative_to(home) else None
        if beside is None or (beside.exists() and beside.read_text("utf-8") != content):
            raise RunnerError(
                f"{target} would include {name}, for which there is no room beside it",
                "write it into an empty folder: -o FOLDER/FILE",
            )
        make_folder(beside.parent)
        write_text(beside, content)
    make_folder(target.parent)
    write_text(target, text)


def write_best(outcome: Outcome, target: Path) -> None:
    """Write the winner alone. Raises RunnerError where there is none, or no room for it."""
    winner = outcome.winner
    if winner is None:
        raise RunnerError("nothing came to a score, so there is no winner to write")
    write_winner(outcome, winner, (), target, None)


def evidence(outcome: Outcome, how: Sequence[str]) -> list[str]:
    """The table and the verdict as lines of a comment."""
    return ["Found by `layerlr tune`:", *how, "", *report_lines(outcome)]


def report_lines(outcome: Outcome) -> list[str]:
    """The table and the sentences under it, however wide."""
    cells = [headings(outcome), *rows(outcome)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [*(f"  {line}" for line in lines), "", *verdict(outcome)]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data."""
    winner = outcome.winner
    return {
        "version": 1,
        "metric": outcome.metric,
        "rising": outcome.rising,
        "seconds": round(outcome.seconds, 3),
        "cut_short": outcome.cut_short,
        "winner": None if winner is None else winner.arm.name,
        "verdict": verdict(outcome),
        "files": [_standing(outcome, standing) for standing in outcome.standings],
    }


def _standing(outcome: Outcome, standing: Standing) -> dict[str, Any]:
    gain = outcome.difference(standing) if standing is not outcome.baseline else None
    return {
        "name": standing.arm.name,
        "rules": str(standing.arm.rules),
        "searched": {name: found.text() for name, found in standing.arm.ranges.items()},
        **({} if standing.arm.epochs is None else {"epochs": standing.arm.epochs}),
        "best": None if standing.best is None else dict(standing.best.values),
        "trials": [{**asdict(trial), "course": dict(trial.course)} for trial in standing.trials],
        "seeds": {str(seed): asdict(scored) for seed, scored in standing.finals.items()},
        "interval": None if standing.interval is None else asdict(standing.interval),
        "gain": None if gain is None else asdict(gain),
    }


def _drawn(outcome: Outcome, title: str, path: Path) -> Path | None:
    """The picture's file; None without matplotlib."""
    try:
        from layerlr_dsl.tuning.picture import draw

        write_atomically(path, draw(outcome, title))
    except (ImportError, OSError):
        return None
    return path


# ---------------------------------------------------------------- the winner's text


def texts(
    arm: Arm, values: Mapping[str, object], evidence: Sequence[str], root: Path | None
) -> dict[str, str]:
    """The files of an arm by their paths beside each other, its own first; included ones as they are.

    A `let` of an included file gets its value there, and `epochs` in the arm's own file that of its trials.
    """
    from layerlr_dsl.runner.folder import rule_texts

    chosen = {**arm.fixed, **values}
    sources = arm.load({}, root).checked.sources
    found = {name: with_values(text, chosen) for name, text in rule_texts(sources).items()}
    first = next(iter(found))
    if arm.epochs is not None:
        found[first] = with_epochs(found[first], arm.epochs)
    comments = "".join(f"# {escape(line)}".rstrip() + "\n" for line in evidence)
    found[first] = format_text(Source(first, f"{comments}\n{found[first]}"))
    return found


def with_values(text: str, values: Mapping[str, object]) -> str:
    """A rule text with other constants in its `let`s, all else as it stands."""
    file, _ = parse(Source("<winner>", text))
    for statement in reversed(file.statements):
        if isinstance(statement, s.LetStatement) and statement.name in values:
            span = statement.value.span
            text = text[: span.start] + spelled(values[statement.name], 4) + text[span.end :]
    return text


def with_epochs(text: str, epochs: float) -> str:
    """A rule text with another length, where it gives one."""
    file, _ = parse(Source("<winner>", text))
    for statement in file.statements:
        if isinstance(statement, s.EpochsStatement):
            span = statement.value.span
            text = text[: span.start] + spelled(epochs) + text[span.end :]
    return text
