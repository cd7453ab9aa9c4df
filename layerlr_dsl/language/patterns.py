"""Patterns over dotted names: what one segment of a selector accepts, and what it binds.

A pattern is a tuple of segments. A segment is matched by walking the set of places that
its parts can reach, never by backtracking, so that no pattern can be made to hang.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from layerlr_dsl.tools.records import record

Bindings: TypeAlias = tuple[tuple[str, int], ...]
"""What captures are bound to, sorted by name: `(("i", 3),)`."""

_DIGITS = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_FROM_THE_END = re.compile(r"(-?)([0-9]+)\.\.(-?)([0-9]+)")
_TRIED_RANGE = re.compile(r"([0-9]+)\s*(?:\.{2,}|-|:|,\s*\.{2,}\s*,?|to)\s*([0-9]+)")
_OPEN_RANGE = re.compile(r"([0-9]+)\s*(?:\.{2,}|-|:)")
_BARE_RANGE = re.compile(r"([A-Za-z_]*)([0-9]+)\.{2,3}(?:\1)?([0-9]+)(?!\w)")
_CAPTURE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_NUMBER = 10**18
MAX_PATTERN = 10_000


class PatternFault(Exception):
    """A pattern that cannot be read: `start:end` are offsets in its text."""

    def __init__(self, message: str, start: int, end: int, help: str | None = None) -> None:
        self.message, self.start, self.end, self.help = message, start, end, help
        super().__init__(message)


@record
class Literal:
    text: str


@record
class AnyRun:
    """`*`: any run of characters, none included."""


@record
class AnyOne:
    """`?`: one character."""


@record
class OneOf:
    """`[ab]`, `[a-z]`, `[!ab]`: one character of a set."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def accepts(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) is not self.negated


@record
class Alternatives:
    """`{a,b}`: one of these."""

    choices: tuple[tuple[Part, ...], ...]


@record
class NumberRange:
    """`{0..5}`: a maximal run of digits whose value lies in the range, both ends in."""

    low: int
    high: int


@record
class Capture:
    """`<i>`: a maximal run of digits, bound to a name."""

    name: str


Part: TypeAlias = Literal | AnyRun | AnyOne | OneOf | Alternatives | NumberRange | Capture


@record
class Segment:
    """One segment. `literal` is set where nothing but plain text stands in it."""

    parts: tuple[Part, ...]
    literal: str | None

    def match(self, text: str) -> list[Bindings]:
        """Every way in which the whole of `text` matches; empty where it does not."""
        if self.literal is not None:
            return [()] if text == self.literal else []
        places: set[tuple[int, Bindings]] = {(0, ())}
        for part in self.parts:
            places = _advance(part, text, places)
            if not places:
                return []
        return sorted({bindings for at, bindings in places if at == len(text)})


class DoubleStar(Segment):
    """A copy or a pickle of the one instance is that instance."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "DOUBLE_STAR"


DOUBLE_STAR: Segment = DoubleStar((), None)
"""`**`: any number of segments. Compared by identity."""


@record
class CompiledPattern:
    segments: tuple[Segment, ...]

    @property
    def captures(self) -> frozenset[str]:
        return frozenset(part.name for s in self.segments for part in s.parts if isinstance(part, Capture))


def _advance(part: Part, text: str, places: set[tuple[int, Bindings]]) -> set[tuple[int, Bindings]]:
    if isinstance(part, AnyRun):
        return _anywhere_after(text, places)
    return {after for place in places for after in _after(part, text, *place)}


def _anywhere_after(text: str, places: set[tuple[int, Bindings]]) -> set[tuple[int, Bindings]]:
    """Every place from the first on, for each set of bindings: `*` reaches them all."""
    first: dict[Bindings, int] = {}
    for at, bound in places:
        first[bound] = min(at, first.get(bound, at))
    return {(end, bound) for bound, at in first.items() for end in range(at, len(text) + 1)}


def _after(part: Part, text: str, at: int, bound: Bindings) -> Iterator[tuple[int, Bindings]]:
    if isinstance(part, Literal):
        if text.startswith(part.text, at):
            yield at + len(part.text), bound
    elif isinstance(part, AnyOne):
        if at < len(text):
            yield at + 1, bound
    elif isinstance(part, OneOf):
        if at < len(text) and part.accepts(text[at]):
            yield at + 1, bound
    elif isinstance(part, Alternatives):
        for choice in part.choices:
            places = {(at, bound)}
            for inner in choice:
                places = _advance(inner, text, places)
            yield from places
    elif isinstance(part, (NumberRange, Capture)):
        yield from _number(part, text, at, bound)


def _number(
    part: NumberRange | Capture, text: str, at: int, bound: Bindings
) -> Iterator[tuple[int, Bindings]]:
    if at > 0 and text[at - 1] in "0123456789":
        return
    run = _DIGITS.match(text, at)
    if run is None or run.end() - at > 18:
        return
    value = int(run.group())
    if isinstance(part, NumberRange):
        if part.low <= value <= part.high:
            yield run.end(), bound
        return
    held = dict(bound)
    if held.setdefault(part.name, value) == value:
        yield run.end(), tuple(sorted(held.items()))


# ---------------------------------------------------------------- reading


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> CompiledPattern:
    """Read a pattern. Raises PatternFault with the offending place in `text`."""
    if len(text) > MAX_PATTERN:
        message = f"the pattern is longer than {MAX_PATTERN:,} characters"
        raise PatternFault(message, 0, len(text), "select with wildcards")
    if not text:
        raise PatternFault("empty selector", 0, 0, "write a name such as `fc`, or `**` for everything")
    segments: list[Segment] = []
    at = 0
    while True:
        segment, at = _segment(text, at)
        if not (segment is DOUBLE_STAR and segments and segments[-1] is DOUBLE_STAR):
            segments.append(segment)
        if at >= len(text):
            return CompiledPattern(tuple(segments))
        at += 1


def segment_texts(text: str) -> list[str]:
    """How each segment of a pattern that can be read is written: `{0..5}` is no end of one."""
    written: list[str] = []
    at = 0
    while at < len(text):
        _, end = _segment(text, at)
        written.append(text[at:end])
        at = end + 1
    return written


def _segment(text: str, start: int) -> tuple[Segment, int]:
    parts: list[Part] = []
    at = start
    while at < len(text) and text[at] != ".":
        part, at = _part(text, at)
        if part is None:
            after = text[at : at + 1]
            if len(parts) or after not in ("", "."):
                raise PatternFault(
                    "`**` must be a segment of its own",
                    start,
                    at,
                    "use `*` within a segment, `**.` before one",
                )
            return DOUBLE_STAR, at
        parts.append(part)
    if not parts:
        raise PatternFault(
            "empty segment in a selector",
            min(start, len(text) - 1),
            min(start + 1, len(text)),
            _between_numbers(text, start) or "remove the extra dot",
        )
    literal = _join(parts)
    return Segment(tuple(parts), literal), at


def _join(parts: list[Part]) -> str | None:
    if all(isinstance(part, Literal) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Literal))
    return None


def _part(text: str, at: int) -> tuple[Part | None, int]:
    """One part and the place after it; None stands for `**`."""
    character = text[at]
    if character == "*":
        return (None, at + 2) if text[at + 1 : at + 2] == "*" else (AnyRun(), at + 1)
    if character == "?":
        return AnyOne(), at + 1
    if character == "[":
        return _one_of(text, at)
    if character == "{":
        return _braces(text, at)
    if character == "<":
        return _capture(text, at)
    if character in "]}>":
        raise PatternFault(
            f"`{character}` without its opening bracket",
            at,
            at + 1,
            f"write `[{character}]` for the character itself",
        )
    end = at
    while end < len(text) and text[end] not in ".*?[]{}<>":
        end += 1
    return Literal(text[at:end]), end


def _one_of(text: str, at: int) -> tuple[Part, int]:
    start = at + 1
    negated = text.startswith(("!", "^"), start)
    body = start + int(negated)
    end = text.find("]", body + 1)
    if end < 0:
        raise PatternFault("unclosed `[`", at, len(text), "close it with `]`")
    content = text[body:end]
    if "." in content:
        message = "a dot cannot stand inside `[ ]`: it always ends a segment"
        raise PatternFault(message, at, end + 1, _range_meant(content) if ".." in content else None)
    ranges: list[tuple[str, str]] = []
    i = 0
    while i < len(content):
        if i + 2 < len(content) and content[i + 1] == "-":
            if content[i] > content[i + 2]:
                help = "put the smaller end first"
                if content.startswith(":-"):
                    help = "count with a capture, as in `layers.<i> where i <= last(i) - 1`"
                raise PatternFault(f"empty range `{content[i : i + 3]}`", at, end + 1, help)
            ranges.append((content[i], content[i + 2]))
            i += 3
        else:
            ranges.append((content[i], content[i]))
            i += 1
    return OneOf(tuple(ranges), negated), end + 1


def _braces(text: str, at: int) -> tuple[Part, int]:
    end = text.find("}", at)
    if end < 0:
        raise PatternFault("unclosed `{`", at, len(text), "close it with `}`")
    body = text[at + 1 : end]
    if "{" in body or "<" in body:
        raise PatternFault(
            "brackets do not nest inside `{ }`", at, end + 1, "write the selectors as a list: A, B"
        )
    if any(c.isspace() for c in body):
        raise PatternFault("no spaces inside `{ }`", at, end + 1, f"write `{{{''.join(body.split())}}}`")
    numbers = _RANGE.fullmatch(body)
    if numbers:
        low, high = _bound(numbers[1]), _bound(numbers[2])
        if low > high:
            raise PatternFault(f"empty range `{{{body}}}`", at, end + 1, f"write `{{{high}..{low}}}`")
        return NumberRange(low, high), end + 1
    if counted := _FROM_THE_END.fullmatch(body):
        raise PatternFault(
            "numbers in names are not counted from the end", at, end + 1, _last_of(text, at, end, counted)
        )
    if ".." in body:
        message = f"`{{{body}}}` is no range of whole numbers"
        raise PatternFault(message, at, end + 1, _range_meant(body))
    if not body:
        raise PatternFault("nothing stands between `{` and `}`", at, end + 1, "write `{a,b}` or `{0..5}`")
    if "." in body:
        raise PatternFault(
            "a dot cannot stand inside `{ }`", at, end + 1, "write the selectors as a list: a.b, c.d"
        )
    return Alternatives(tuple(_choice(text, at + 1, body))), end + 1


def _range_meant(body: str) -> str:
    """How a range of numbers is written that was tried in another way."""
    both = _TRIED_RANGE.fullmatch(body)
    open_end = _OPEN_RANGE.fullmatch(body)
    if both:
        return f"write `{{{both[1]}..{both[2]}}}`"
    if open_end:
        return f"give both ends, as in `{{{open_end[1]}..{_bound(open_end[1]) + 5}}}`, or write `<i>` and `where i >= {open_end[1]}`"
    return "write it as `{0..5}`"


def _between_numbers(text: str, at: int) -> str | None:
    """`layer1..3`, `layer1..layer3`: a range that lacks its braces."""
    found = _BARE_RANGE.search(text)
    if found is None or not found.start() < at < found.end():
        return None
    return f"write `{text[: found.start(2)]}{{{found[2]}..{found[3]}}}{text[found.end() :]}`"


def _last_of(text: str, at: int, end: int, counted: re.Match[str]) -> str:
    """How `blocks.{-2..-1}` is written with a capture."""
    from_end, low, to_end, high = counted[1], _bound(counted[2]), counted[3], _bound(counted[4])
    conditions = [f"i > last(i) - {low}" if from_end else f"i >= {low}"]
    if not to_end:
        conditions.append(f"i <= {high}")
    elif high > 1:
        conditions.append(f"i <= last(i) - {high - 1}")
    return f"write `{text[:at]}<i>{text[end + 1 :]} where {' and '.join(conditions)}`"


def _bound(digits: str) -> int:
    """An end of a range; captures and ranges look at numbers below MAX_NUMBER only."""
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else MAX_NUMBER


def _choice(text: str, start: int, body: str) -> Iterator[tuple[Part, ...]]:
    at = start
    for choice in body.split(","):
        parts: list[Part] = []
        place = 0
        while place < len(choice):
            try:
                part, place = _part(choice, place)
            except PatternFault as fault:
                raise PatternFault(fault.message, at + fault.start, at + fault.end, fault.help) from None
            if part is None:
                raise PatternFault("`**` cannot stand inside `{ }`", at, at + len(choice), "use `*`")
            parts.append(part)
        yield tuple(parts)
        at += len(choice) + 1


def _capture(text: str, at: int) -> tuple[Part, int]:
    end = text.find(">", at)
    if end < 0:
        raise PatternFault("unclosed `<`", at, len(text), "close it with `>`")
    name = text[at + 1 : end]
    if not _CAPTURE.fullmatch(name):
        help = _range_meant(name) if name[:1].isdigit() else "a capture is a name, such as `<i>`"
        raise PatternFault(f"`<{name}>` is no capture", at, end + 1, help)
    return Capture(name), end + 1
