"""What competes: a rule file each, with the `let`s whose values are searched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layerlr_dsl.api import Rules, load
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tuning.ranges import Range


@dataclass(frozen=True, slots=True)
class Arm:
    """A rule file under a short name. `ranges` are searched, `fixed` stand in the place of the file's own.

    `epochs` is the length of its trials where it has one of its own, found by time.
    """

    name: str
    rules: Path
    ranges: Mapping[str, Range] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    epochs: float | None = None

    def load(self, values: Mapping[str, object], root: Path | None = None) -> Rules:
        """The rules with `values` for its `let`s. Raises RuleError, OSError."""
        return load(self.rules, root, {**self.fixed, **values})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An arm with values for what is searched in it, to be trained with `seed`."""

    arm: Arm
    values: Mapping[str, float]
    seed: int


def arms_of(
    files: Mapping[str, Path], ranges: Mapping[str, Range], fixed: Mapping[str, object], root: Path | None
) -> list[Arm]:
    """An arm for each file, with those of the ranges and constants that it has a `let` for.

    Raises RunnerError for a name that no file has, and for a range over what is no number in a file; RuleError
    and OSError for a faulty file.
    """
    known = {name: rules_of(path, root).checked.lets for name, path in files.items()}
    _refuse_unknown([*ranges, *fixed], set().union(*known.values()))
    for lets in known.values():
        _refuse_no_numbers(ranges, lets)
    return [
        Arm(
            name,
            path,
            {let: found for let, found in ranges.items() if let in known[name]},
            {let: value for let, value in fixed.items() if let in known[name]},
        )
        for name, path in files.items()
    ]


def rules_of(path: Path, root: Path | None) -> Rules:
    """The rules in a file. Raises RunnerError where it cannot be read, RuleError for its findings."""
    try:
        return load(path, root)
    except OSError as fault:
        # what the language cannot read is named in its message
        told = f"{path}: {fault.strerror.lower()}" if fault.strerror else str(fault)
        raise RunnerError(told) from None


def _refuse_unknown(names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
            raise RunnerError(f"no file has a `let` called `{name}`", hint)


def _refuse_no_numbers(ranges: Iterable[str], lets: Lets) -> None:
    """What moves, or counts in a model, has no value yet, and is a number when it has."""
    for name in ranges:
        if name not in lets or name in lets.moving or name in lets.of_model:
            continue
        value = lets.worth(name, False)
        if isinstance(value, (bool, str, tuple)):
            told = f"{lets[name].span.place}: `{name}` is {spelled(value)}, which no number of a range can stand for"
            raise RunnerError(
                told, f"leave out the range of `{name}`, or give one value: {name}={spelled(value)}"
            )


def digest(arm: Arm, root: Path | None = None) -> str:
    """What tells whether an arm is still the same: its texts, and what is fixed and searched in it."""
    texts = [source.text for source in arm.load({}, root).checked.sources]
    said = [f"{name}={value.text()}" for name, value in sorted(arm.ranges.items())]
    said += [f"{name}={value!r}" for name, value in sorted(arm.fixed.items())]
    return hashlib.sha256("\0".join([*texts, *said]).encode()).hexdigest()[:16]
