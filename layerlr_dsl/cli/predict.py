"""`layerlr predict RUN PATH...`: what the model of a run says of files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.runs import asked, device_option, run_options, said
from layerlr_dsl.cli.terminal import Screen, write, write_error, write_json
from layerlr_dsl.tools.cells import cells, pad, pad_left, shorten, wrap
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape

if TYPE_CHECKING:
    from layerlr_dsl.runner.predicting import Prediction
    from layerlr_dsl.runner.trained import Trained

BATCH = 32
NARROWEST_PATH = 20


@click.command("predict")
@run_options
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@click.option("--batch-size", type=click.IntRange(1), default=BATCH, show_default=True, metavar="B")
@device_option
@format_option("text", "json", "csv")
def command(**options: Any) -> int:
    """Tell what the model of a run says of files.

    RUN is the --out of a `layerlr train`, each PATH an image or a folder of images, prepared as they were
    for training. A file that cannot be read is told on standard error, and the others are told all the
    same; the status is then 2.

    \b
    Examples:
        layerlr predict runs/flowers rose.jpg tulip.jpg
        layerlr predict runs/flowers new-photos --format csv > flowers.csv
    """
    with said():
        from layerlr_dsl.runner.predicting import files, predict
        from layerlr_dsl.runner.trained import load

        paths = files(options["paths"])
        trained = load(asked("predict", options))
        found = list(predict(trained, paths, options["batch_size"]))
    for note in trained.notes:
        write_error(f"note: {note}")
    good = [one for one in found if one.fault is None]
    bad = [one for one in found if one.fault is not None]
    _show(trained, good, bad, options["form"])
    for one in bad:
        write_error("\n".join(wrap(escape(f"{one.path}: {one.fault}"), Screen.of_stderr().width, 0, "  ")))
    return 2 if bad else 0


def _show(trained: Trained, good: Sequence[Prediction], bad: Sequence[Prediction], form: str) -> None:
    if form == "json":
        write_json(_json(trained, good, bad))
    elif good and form == "csv":
        write(_csv(good))
    elif good:
        write("\n".join(_table(good, Screen.of_stdout())))


def _json(trained: Trained, good: Sequence[Prediction], bad: Sequence[Prediction]) -> str:
    told = {
        "version": 1,
        "checkpoint": str(trained.path),
        "epoch": trained.epoch,
        "predictions": [{"path": one.path, **one.columns} for one in good],
        "failed": [{"path": one.path, "reason": one.fault} for one in bad],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _csv(found: Sequence[Prediction]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", *found[0].columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"path": one.path, **one.columns} for one in found)
    return text.getvalue().rstrip("\n")


def _table(found: Sequence[Prediction], screen: Screen) -> list[str]:
    """A line for each file: paths give way to what is said of them."""
    heads = list(found[0].columns)
    columns = [[head, *(_cell(one.columns[head]) for one in found)] for head in heads]
    widths = [max(map(cells, column)) for column in columns]
    room = max(NARROWEST_PATH, screen.width - sum(width + 2 for width in widths))
    paths = ["path", *(shorten(escape(one.path), room, screen.ellipsis) for one in found)]
    first = max(map(cells, paths))
    lines = []
    for at, path in enumerate(paths):
        told = [
            (pad_left if _is_number(found[0].columns[head]) else pad)(column[at], width)
            for head, column, width in zip(heads, columns, widths, strict=True)
        ]
        lines.append("  ".join([pad(path, first), *told]).rstrip())
    return [screen.paint(lines[0], "bold"), *lines[1:]]


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return escape(str(value))
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else spelled(value, 4)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
