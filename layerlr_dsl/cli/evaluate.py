"""`layerlr evaluate RUN`: how good the model of a run is, class by class."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.runs import asked, device_option, run_options, said
from layerlr_dsl.cli.terminal import Screen, redraws, write, write_error, write_json
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    from layerlr_dsl.runner.judging import Judgement
    from layerlr_dsl.runner.trained import Trained

PICTURE = "confusion.png"
FORMS = (".png", ".svg")


@click.command("evaluate")
@run_options
@click.option(
    "--data",
    metavar="SPEC",
    help="Other data than the run's: its test part where it has one, else all of it. As for `train`.",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test", "all"]),
    help="Which part of the data. Default: the test part, else the validation part.",
)
@click.option("--batch-size", type=click.IntRange(1), metavar="B", help="Default: that of the run.")
@click.option("--workers", type=click.IntRange(0), default=0, metavar="N", help="Processes that load data.")
@device_option
@click.option(
    "-o", "--output", metavar="FILE", help=f"The picture, a .png or .svg file. Default: RUN/{PICTURE}."
)
@format_option("text", "json")
def command(**options: Any) -> int:
    """Score the model of a run: accuracy, every class, who is taken for whom.

    RUN is the --out of a `layerlr train`. The weights are those of its best epoch. What it was trained on
    is not what it should be judged by: by default that is the run's test part, else its validation part.

    \b
    Examples:
        layerlr evaluate runs/flowers
        layerlr evaluate runs/flowers --data photos-of-another-camera -o other.png
        layerlr evaluate runs/flowers --format json
    """
    form = _form(options["output"])
    with said():
        from layerlr_dsl.runner.judging import Question, judge
        from layerlr_dsl.runner.trained import load

        trained = load(asked("evaluate", options), with_data=options["data"] is None)
        question = Question(options["data"], options["part"], options["batch_size"], options["workers"])
        with _progress() as advance:
            found = judge(trained, question, advance)
    _tell(trained, found, options, form)
    return 0


def _tell(trained: Trained, found: Judgement, options: dict[str, Any], form: str) -> None:
    from layerlr_dsl.cli import evaluate_view

    for note in (*trained.notes, *found.notes):
        write_error(f"note: {note}")
    picture = _picture(trained, found, options["output"], form)
    if options["form"] == "json":
        write_json(evaluate_view.as_json(trained, found, picture))
        return
    write("\n".join(evaluate_view.as_text(trained, found, Screen.of_stdout())))
    if picture is not None:
        write(f"picture: {picture}")


def _form(output: str | None) -> str:
    form = os.path.splitext(output)[1].lower() if output is not None else ".png"
    if form not in FORMS:
        raise Refusal(f"{output}: not a picture that can be drawn", "end the name in .png or .svg")
    return form.removeprefix(".")


def _picture(trained: Trained, found: Judgement, output: str | None, form: str) -> str | None:
    """Draw the confusion where there is one; where the picture was not asked for, its lack is only told."""
    if not found.confusion:
        if output is not None:
            raise Refusal(f"{output}: the run's task has no classes to draw")
        return None
    path = output or str(trained.path.parent / PICTURE)
    title = f"{found.data}, {found.part}: accuracy {found.metrics['accuracy']:.2%}"
    try:
        from layerlr_dsl.runner.confusion import draw

        write_output(path, draw(found.confusion, [one.name for one in found.classes], title, form))
    except ImportError:
        reason = f"drawing it needs matplotlib: {install('plot')}"
    except Refusal as fault:
        reason = fault.message
    else:
        return path
    if output is not None:
        raise Refusal(reason)
    write_error(f"note: no picture: {reason}")
    return None


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not redraws(sys.stderr)) as bar:
        task = bar.add_task("scoring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
