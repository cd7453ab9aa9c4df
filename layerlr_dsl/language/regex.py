"""Regular expressions with a promise of linear time: RE2's, and nothing that RE2 lacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

MAX_PATTERN = 10_000


class RegexFault(Exception):
    """A regular expression that RE2 does not take; the message says what it lacks."""


_LACKS = (
    ("(?=", "look-ahead `(?=...)`"),
    ("(?!", "look-ahead `(?!...)`"),
    ("(?<=", "look-behind `(?<=...)`"),
    ("(?<!", "look-behind `(?<!...)`"),
    ("(?P=", "back-references `(?P=name)`"),
    ("(?>", "atomic groups `(?>...)`"),
)


_KEPT = 8192
"""More than a file of 100 KB holds in a `where`: each is asked of every parameter in turn."""


@lru_cache(maxsize=_KEPT)
def full_match(pattern: str) -> Callable[[str], bool]:
    """A test of the whole of a text against `pattern`. Raises RegexFault."""
    import re2

    if len(pattern) > MAX_PATTERN:
        raise RegexFault(f"the expression is longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as fault:
        raise RegexFault(_explain(pattern, fault)) from None
    return _FullMatch(pattern, compiled.fullmatch)


class _FullMatch:
    """The test, which a pickle makes anew from its pattern."""

    __slots__ = ("_matches", "_pattern")

    def __init__(self, pattern: str, matches: Callable[[str], object]) -> None:
        self._pattern = pattern
        self._matches = matches

    def __call__(self, text: str) -> bool:
        return self._matches(text) is not None

    def __reduce__(self) -> tuple[Callable[[str], Callable[[str], bool]], tuple[str]]:
        return full_match, (self._pattern,)


def _explain(pattern: str, fault: Exception) -> str:
    for sign, name in _LACKS:
        if sign in pattern:
            return f"RE2, which runs in linear time, has no {name}"
    for digit in "123456789":
        if f"\\{digit}" in pattern:
            return f"RE2, which runs in linear time, has no back-references such as `\\{digit}`"
    said = fault.args[0] if fault.args else fault
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return f"RE2 does not take this expression: {text}"
