"""A table of image paths and labels: `labels.csv`, with a column that names the part where there is one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.data import Data, Request
from layerlr_dsl.runner.datasets.images import SIDE, Sets, parted
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.preparation import read_image

COLUMNS = {
    "path": ("path", "file", "filename", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "target", "category"),
    "part": ("split", "part", "set", "subset"),
}
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    "test": "test",
}
FORM = "a line is path,label or path,label,part; a heading names the columns in any order"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table; `part` is None where the table does not say."""

    number: int
    path: str
    label: str
    part: str | None


class Listed:
    """Images by their paths; `classes` are the names of the labels, None where these are plain numbers."""

    def __init__(self, folder: Path, lines: Sequence[Line], classes: tuple[str, ...] | None) -> None:
        numbers = {label: number for number, label in enumerate(classes or ())}
        self.paths = [folder / Path(line.path).expanduser() for line in lines]
        self.targets: list[Any] = [numbers[line.label] if classes else float(line.label) for line in lines]
        self.classes = classes

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        import torch

        target = self.targets[index]
        return read_image(self.paths[index]), target if self.classes else torch.tensor(target)


def load(text: str, request: Request) -> Data:
    """The images that the table `text` lists. Raises RunnerError naming the line at fault."""
    path = Path(text).expanduser()
    lines = list(_lines(path))
    if not lines:
        raise RunnerError(f"{path} lists no images", FORM)
    classes = _classes(lines, request)
    parts: dict[str, list[Line]] = {}
    for line in lines:
        parts.setdefault(line.part or "train", []).append(line)
    if "train" not in parts:
        raise RunnerError(f"{path} lists no images for training", f"its parts are {', '.join(parts)}")
    _check_files(path, lines)
    sets = (
        Listed(path.parent, parts[p], classes) if p in parts else None
        for p in ("train", "validation", "test")
    )
    return parted(f"csv:{text}", Sets(*sets), request, SIDE)


def _lines(path: Path) -> Iterator[Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            mark = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
            rows = csv.reader(file, delimiter=mark, skipinitialspace=True, strict=True)
            yield from _told(path, ((rows.line_num, row) for row in rows if any(map(str.strip, row))))
    except OSError as fault:
        raise RunnerError(f"{path}: {(fault.strerror or str(fault)).lower()}") from None
    except UnicodeDecodeError as fault:
        raise RunnerError(f"{path} cannot be read as a table: {fault}", "save it as text in UTF-8") from None
    except csv.Error as fault:
        raise RunnerError(f"{path} cannot be read as a table: {fault}", FORM) from None


def _told(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Iterator[Line]:
    places: dict[str, int] | None = None
    for number, row in rows:
        cells = [cell.strip() for cell in row]
        if places is None:
            places = _heading(path, cells)
            if places is not None:
                continue
            places = {"path": 0, "label": 1, "part": 2}
        yield _line(f"{path}:{number}", number, cells, places)


def _heading(path: Path, cells: list[str]) -> dict[str, int] | None:
    """The place of each column where this row names them, else None."""
    named = [cell.lower() for cell in cells]
    places = {
        column: named.index(name)
        for column, names in COLUMNS.items()
        for name in reversed(names)
        if name in named
    }
    if not places or (path.parent / cells[places.get("path", 0)]).is_file():
        return None
    for column in ("path", "label"):
        if column not in places:
            raise RunnerError(f"{path}: no column is called {' or '.join(COLUMNS[column])}", FORM)
    return places


def _line(place: str, number: int, cells: list[str], places: dict[str, int]) -> Line:
    found = {column: cells[at] for column, at in places.items() if at < len(cells)}
    for column in ("path", "label"):
        if not found.get(column):
            raise RunnerError(f"{place}: the {column} is missing", FORM)
    part = found.get("part") or None
    if part is not None and part.lower() not in PARTS:
        raise RunnerError(f"{place}: no part is called {part!r}", "the parts are train, val and test")
    return Line(number, found["path"], found["label"], PARTS[part.lower()] if part else None)


def _classes(lines: Sequence[Line], request: Request) -> tuple[str, ...] | None:
    """The labels in order, numbers by their value; None where a task takes them as numbers and they are."""
    labels = {line.label for line in lines}
    if not request.stratified and all(map(_is_number, labels)):
        return None
    if all(label.isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _check_files(path: Path, lines: Sequence[Line]) -> None:
    missing = [line for line in lines if not (path.parent / Path(line.path).expanduser()).is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise RunnerError(
            f"{path}:{missing[0].number}: no such file: {missing[0].path}{more}",
            f"paths are relative to {path.parent}",
        )
