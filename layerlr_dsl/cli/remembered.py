"""Files that were found clean, remembered, so that asking again about the same files parses nothing.

Only this is kept of a file: that it has no errors and no warnings, how many notes it has, and all that
led to it. An entry counts only while every file that was read is what it was (the rule file, what it
includes, the model's inventory or config), every place where an include was looked for in vain is still
empty, and layerlr and the libraries that judge are the same. What cannot be pinned down so is not kept:
`python:` models, optimizers of other packages, standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model import sealed
from layerlr_dsl.model.versions import installed_versions

if TYPE_CHECKING:
    from fractions import Fraction

    from layerlr_dsl.cli.checking import Checked
    from layerlr_dsl.cli.inputs import Input
    from layerlr_dsl.language.diagnostics import Diagnostic

# Raised whenever an entry of the same form would mean something else.
REVISION = 1
JUDGES = ("lark", "google_re2")
LARGEST_ENTRY = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Clean:
    """What is remembered of a file: its notes, one digest each, and whether it was held against a model."""

    notes: frozenset[str]
    against_model: bool


class Memory:
    """What was found clean under one set of options. Make it before the first file is read."""

    def __init__(self, model: str | None, epochs: Fraction | None, steps_per_epoch: int | None) -> None:
        self._began = time.time_ns()
        self._model_stated = model is not None
        # A relative path of a model means another file in another folder.
        self._options = [REVISION, os.getcwd(), *(str(each) for each in (model, epochs, steps_per_epoch))]
        self._judges = _judges()

    def recall(self, entry: Input) -> Clean | None:
        """What is remembered of a file, if it still holds."""
        text = sealed.read(self._name(entry), LARGEST_ENTRY) if self._judges and _has_a_place(entry) else None
        if text is None:
            return None
        try:
            found = json.loads(text)
            if found["files"][0][:2] != _place(entry) or not self._holds(found):
                return None
            return Clean(frozenset(found["notes"]), found["against_model"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def keep(self, checked: Checked) -> None:
        """Remember a file, if it was found clean and all that led to it can be pinned down."""
        if not self._judges or not _has_a_place(checked.entry) or _is_faulty(checked):
            return
        try:
            libraries, model_files = self._model(checked)
            read = [_state(str(path)) for path in (checked.entry.path, *_paths(checked), *model_files)]
            files = [*read, *(_state(str(path)) for path in checked.rules.sought)]
            if any(state[2] is None for state in read) or any(_touched_since(self._began, s) for s in files):
                return
        except (OSError, ValueError, KeyError):
            return
        found = {
            "judges": self._judges,
            "libraries": libraries,
            "files": files,
            "notes": sorted(_notes(checked)),
            "against_model": checked.spec is not None,
        }
        sealed.write(self._name(checked.entry), json.dumps(found).encode())

    def _name(self, entry: Input) -> str:
        asked = [*self._options, *_place(entry), os.path.realpath(_root(entry))]
        return f"clean-{sha256(json.dumps(asked).encode()).hexdigest()}.json"

    def _model(self, checked: Checked) -> tuple[dict[str, str], list[Path]]:
        """The libraries and the files that the model came from. Raises KeyError where they cannot be told."""
        _only_own_optimizers(checked)
        if checked.spec is None:
            return {}, []
        from layerlr_dsl.model.specs import parse_spec
        from layerlr_dsl.model.store import MADE_BY

        root = None if self._model_stated else Path(_root(checked.entry))
        spec = parse_spec(checked.spec, root=root, allow_python=True)
        if spec.kind == "inventory" and spec.path is not None:
            return {}, [spec.path]
        versions = installed_versions(MADE_BY[spec.kind])
        if versions is None:
            raise KeyError(spec.kind)
        return versions, [spec.path / "config.json"] if spec.path is not None else []

    def _holds(self, found: Any) -> bool:
        libraries = found["libraries"]
        return (
            found["judges"] == self._judges
            and (not libraries or installed_versions(tuple(libraries)) == libraries)
            and all(_state(state[0]) == state for state in found["files"])
        )


def _has_a_place(entry: Input) -> bool:
    return not entry.is_stdin and not entry.is_recipe


def _place(entry: Input) -> list[str]:
    return [entry.path, os.path.realpath(entry.path)]


def _root(entry: Input) -> str:
    return str(entry.root) if entry.root is not None else os.path.dirname(entry.path)


def _state(path: str) -> list[str | None]:
    """A path, the file that it leads to, and the digest of that; None where there is nothing.

    Raises OSError for what is there and is no readable file.
    """
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        return [path, real, None]
    if not os.path.isfile(real):
        raise OSError(f"{path}: not a regular file")
    with open(real, "rb") as file:
        return [path, real, sha256(file.read()).hexdigest()]


def _touched_since(began: int, state: list[str | None]) -> bool:
    """Whether a file may have changed between being judged and being remembered."""
    if state[2] is None:
        return False
    status = os.stat(state[1] or "")
    return max(status.st_ctime_ns, status.st_mtime_ns) >= began


# ---------------------------------------------------------------- who judges


def _judges() -> dict[str, str] | None:
    """Everything whose change may change a judgement: layerlr's own files, Python, the libraries of the language."""
    versions = installed_versions(JUDGES)
    if versions is None:
        return None
    try:
        return {**versions, "python": sys.version, "layerlr": _fingerprint()}
    except OSError:
        return None


def _fingerprint() -> str:
    """Of the installed package: path, size and time of each of its files. Raises OSError."""
    from layerlr_dsl.language.resources import grammar_path

    package = Path(__file__).parent.parent
    parts = [*_files(str(package)), *_files(str(grammar_path().parent))]
    return sha256("\n".join(sorted(parts)).encode(errors="surrogateescape")).hexdigest()


def _files(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry.path)
        else:
            status = entry.stat()
            yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"


# ---------------------------------------------------------------- what was judged


def _is_faulty(checked: Checked) -> bool:
    return any(finding.severity != "info" for finding in checked.findings)


def _paths(checked: Checked) -> Iterator[Path]:
    return (source.path for source in checked.rules.sources if source.path is not None)


def _only_own_optimizers(checked: Checked) -> None:
    """Raises KeyError for an optimizer that is not in our own table."""
    from layerlr_dsl.language.optimizers import known

    known(checked.rules.optimizer.info.name)
    for clause in checked.rules.clauses:
        for setting in clause.settings:
            if setting.option == "optimizer" and setting.factory is not None:
                known(setting.factory.name)


def _notes(checked: Checked) -> Iterable[str]:
    for number, finding in enumerate(checked.findings):
        yield sha256(json.dumps(_identity(finding, number, checked.entry.path)).encode()).hexdigest()


def _identity(finding: Diagnostic, number: int, path: str) -> list[object]:
    """What makes notes of several files one: those of a shared include are told once."""
    span = finding.span
    if span is None:
        return [finding.code, finding.message, path, number]
    return [finding.code, finding.message, span.source.name, span.start, span.end]
