"""What PATH arguments stand for: files, folders of .lr files, `-`, `recipe:NAME`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.tools.printable import spelled_path
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    from layerlr_dsl.language.source import Source

STDIN = "-"
RECIPE = "recipe:"
MOST_NULLS = 8  # one stray null byte is a finding with a place; many are no text at all


@record
class Input:
    """One rule file to work on: where it is, and the root of its includes (None: its own folder)."""

    path: str
    root: Path | None = None

    @property
    def is_stdin(self) -> bool:
        return self.path == STDIN

    @property
    def is_recipe(self) -> bool:
        return self.path.startswith(RECIPE)

    @property
    def name(self) -> str:
        return "<stdin>" if self.is_stdin else spelled_path(self.path)

    def read(self) -> Source:
        """The text. Raises Unreadable."""
        from layerlr_dsl.language.files import Unreadable

        source = self._source()
        if source.text.count("\0") > MOST_NULLS:
            raise Unreadable(f"{self.name}: is a binary file, not a rule text")
        return source

    def _source(self) -> Source:
        from layerlr_dsl.language.files import MAX_BYTES, Unreadable, decode, read_source

        if self.is_stdin:
            stream = getattr(sys.stdin, "buffer", None)
            data = stream.read(MAX_BYTES + 1) if stream is not None else sys.stdin.read().encode()
            return decode(data, self.name)
        if not self.path:
            raise Unreadable("the name of the file is empty")
        if os.path.isdir(self.path):
            raise Unreadable(f"{self.path}: no rule files (*.lr) in this folder")
        if self.is_recipe:
            return read_source(recipe_path(self.path.removeprefix(RECIPE)), self.path)
        return read_source(Path(self.path))


def gather(paths: Iterable[str], root: str | None = None) -> list[Input]:
    """Every rule file that `paths` name, each once, folders in order of name.

    A folder is the root of the files in it; `root` is that of files which are given by themselves.
    A folder without any is an input that cannot be read. Raises Refusal for a recipe that does not exist.
    """
    found: dict[str, Input] = {}
    stated = Path(root) if root is not None else None
    for path in paths:
        for entry in _expand(path, stated):
            key = entry.path if entry.is_stdin else os.path.realpath(entry.path)
            found.setdefault(key, entry)
    return list(found.values())


def single(path: str, root: str | None = None) -> Input:
    """The one rule file of a command that takes one. Raises Refusal for a folder."""
    if path != STDIN and os.path.isdir(path):
        raise Refusal(f"{path}: is a directory; this command takes one rule file")
    return gather([path], root)[0]


def read(entry: Input) -> Source:
    """The text of an input. Raises Refusal where it cannot be read."""
    from layerlr_dsl.language.files import Unreadable

    try:
        return entry.read()
    except Unreadable as fault:
        raise Refusal(str(fault)) from None


def _expand(path: str, root: Path | None) -> Iterator[Input]:
    if path.startswith(RECIPE):
        recipe = recipe_path(path.removeprefix(RECIPE))
        yield Input(path, recipe.parent)
    elif path != STDIN and os.path.isdir(path):
        files = sorted(_rule_files(path))
        if not files:  # an input that cannot be read, so that the others are looked at all the same
            yield Input(path, root)
        for file in files:
            yield Input(file, Path(path))
    else:
        yield Input(path, root)


def _rule_files(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            if file.endswith(".lr"):
                yield os.path.join(here, file)


def recipe_path(name: str) -> Path:
    """The file of a packaged recipe. Raises Refusal with the nearest name."""
    from layerlr_dsl.language import files

    try:
        return files.recipe_path(name)
    except files.UnknownRecipe as unknown:
        raise Refusal(str(unknown), unknown.hint) from None


def recipes() -> dict[str, Path]:
    """The packaged recipes by name."""
    from layerlr_dsl.language import files

    return files.recipes()
