"""The run's numbers for other programs to show: a table for spreadsheets, and TensorBoard's event files.

Both follow metrics.jsonl: a resumed run goes on where its checkpoint was taken, and what was written after
that is gone from them too.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.files import cannot_write, write_text
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.words import install

LogKind = Literal["csv", "tensorboard"]
CSV_FILE, TENSORBOARD_FOLDER = "metrics.csv", "tensorboard"
Row = Mapping[str, Any]


class Log(Protocol):
    """Something that is told each row of metrics.jsonl."""

    def write(self, row: Row) -> None: ...

    def close(self) -> None: ...


def check(kinds: Iterable[LogKind], out: Path | None) -> None:
    """Refuse logs that cannot be written here. Raises RunnerError."""
    for kind in kinds:
        if out is None:
            raise RunnerError(f"--log {kind} needs --out, the folder that it is written to")
        if kind == "tensorboard":
            _writer()


def open_logs(kinds: Sequence[LogKind], folder: Path, columns: Columns, past: Sequence[Row]) -> list[Log]:
    """The logs of a run in `folder`, which holds the `past` rows. Raises RunFailed where one cannot be written."""
    made: list[Log] = []
    for kind in dict.fromkeys(kinds):
        made.append(Table(folder / CSV_FILE, columns, past) if kind == "csv" else Events(folder, past))
    return made


def past_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, but for lines that were damaged; none where it is not there."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [row for row in map(_row, lines) if row is not None]


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and {"kind", "step"} <= row.keys() else None


class Columns:
    """The columns of the table: what a row holds, then for each group its rate and whether it is frozen."""

    def __init__(self, metrics: Sequence[str], groups: Sequence[str]) -> None:
        self._groups = groups
        plain = ["kind", "epoch", "step", "stage", "loss", *metrics, "gradient_norm", "applied"]
        for part in ("train", "val"):
            plain += [f"{part}_{name}" for name in ("loss", *metrics)]
        self.plain = [*plain, "best", "skipped", "trainable_share"]

    @property
    def names(self) -> list[str]:
        return [*self.plain, *(f"{kind}/{group}" for group in self._groups for kind in ("lr", "frozen"))]

    def values(self, row: Row) -> list[Any]:
        """The cells of a row; empty where it does not tell, truth as 0 and 1."""
        cells = [row.get(name) for name in self.plain]
        frozen = set(row.get("frozen", ()))
        for group in self._groups:
            cells += [row["lr"].get(group), group in frozen] if "lr" in row else [None, None]
        return [int(cell) if isinstance(cell, bool) else cell for cell in cells]


class Table:
    """A CSV file with a line for each row."""

    def __init__(self, path: Path, columns: Columns, past: Sequence[Row]) -> None:
        self._path = path
        self._columns = columns
        lines = [columns.names, *map(columns.values, past)]
        write_text(path, "".join(map(_line, lines)))

    def write(self, row: Row) -> None:
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_line(self._columns.values(row)))
        except OSError as fault:
            raise cannot_write(self._path, fault) from None

    def close(self) -> None:
        return None


def _line(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


class Events:
    """Event files that TensorBoard reads; what lies after a resumed checkpoint is hidden by its own means."""

    def __init__(self, folder: Path, past: Sequence[Row]) -> None:
        self._folder = folder / TENSORBOARD_FOLDER
        last = max((row["step"] for row in past), default=0)
        try:
            self._writer = _writer()(log_dir=str(self._folder), purge_step=last + 1)
        except OSError as fault:
            raise cannot_write(self._folder, fault) from None

    def write(self, row: Row) -> None:
        try:
            for tag, value in _scalars(row):
                self._writer.add_scalar(tag, value, row["step"])
            self._writer.flush()
        except OSError as fault:
            raise cannot_write(self._folder, fault) from None

    def close(self) -> None:
        self._writer.close()


def _scalars(row: Row) -> Iterable[tuple[str, float]]:
    """Tags and values: `train/loss` of a step, `val/loss` of an epoch, `lr/GROUP` and `frozen/GROUP`."""
    for name, value in row.items():
        if isinstance(value, int | float) and name not in ("epoch", "step", "best", "applied"):
            part, _, rest = name.partition("_")
            if row["kind"] == "step":
                yield f"train/{name}", value
            elif part in ("train", "val"):
                yield (f"val/{rest}" if part == "val" else f"train/epoch_{rest}"), value
            else:
                yield f"run/{name}", value
    if row["kind"] == "step":
        for group, rate in row["lr"].items():
            yield f"lr/{group}", rate
            yield f"frozen/{group}", float(group in row["frozen"])


def _writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as fault:
        reason = "" if "tensorboard" in str(fault) else f" ({first_line(fault)})"
        raise RunnerError(
            f"--log tensorboard needs the package tensorboard{reason}", install("log")
        ) from None
    return SummaryWriter
