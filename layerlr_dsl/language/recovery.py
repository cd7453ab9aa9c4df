"""Where a statement that cannot be read ends, so that the next one is read as if nothing had happened.

The text is gone through by pieces (texts, comments, regular expressions, parentheses), never by
searching for the next `;`, which may stand in any of them.
"""

from __future__ import annotations

import re

from layerlr_dsl.tools.records import record

STATEMENT_WORDS = (
    "version",
    "model",
    "epochs",
    "steps",
    "steps_per_epoch",
    "include",
    "let",
    "group",
    "optimizer",
    "schedule",
    "freeze",
    "unfreeze",
    "expect",
    "stage",
    "after",
)

_PIECE = re.compile(
    r"""(?P<text>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*(?:"|[^\n]*))
      | (?P<comment>\#[^\n]*)
      | (?P<blank>[ \t\r\f\uFEFF]+|\\[ \t\r]*\n)
      | (?P<sign>->|\(+|\)+|[;,\n/])
      | (?P<list>(?:\w+,[ \t]*){1,500}(?=\w))
      | (?P<plain>[^\s"\#\\();,/-][^"\#\\();,/\n-]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?=[^\s/])[^/\\\n]*(?:\\[^\n][^/\\\n]*)*/")
_BEFORE_REGEX = {",", "=", "except", "then", "matches", "freeze", "of", "unfreeze", "expect"}
# A line of an expression may begin with the name of a time and an operator.
_COUNTED = ("epochs", "steps")
_OTHERS = "|".join(word for word in STATEMENT_WORDS if word not in _COUNTED)
_STATEMENT_LINE = re.compile(rf"[ \t]*(?:(?:{_OTHERS})[ \t]+[^\s=,)]|(?:{'|'.join(_COUNTED)})[ \t]+[\w(])")
NEXT_LINE_IS_INDENTED = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t]+[^\s#]")
# A parenthesis that is open for longer is taken as never closed, so that no file takes long to give up on.
_MOST_LINES = 300
_LINE = re.compile(r"\n([ \t]*)([^\s])")


@record
class Ending:
    """The end of a damaged statement: at a newline, at `;` or at the end of the text."""

    end: int
    unclosed: bool  # a parenthesis that was open where the search began is never closed
    comments: tuple[tuple[int, str], ...]


def end_of_statement(text: str, start: int, at: int, opened: int | None, previous: str = "") -> Ending:
    """The end of the statement that begins at `start` and cannot be read from `at` on.

    `opened` is the place of the outermost parenthesis open at `at`; `previous` is the token before.
    A parenthesis counts as never closed where something follows that can only be another statement.
    """
    scan = _Scan(text, at, previous if opened is None else "(")
    closed = scan.run(at if opened is None else opened)
    if closed:
        return Ending(scan.place, False, tuple(scan.comments))
    end = _before_next_statement(text, start, scan.first_open, scan.place)
    kept = tuple(comment for comment in scan.comments if comment[0] < end)
    return Ending(end, opened is not None, kept)


class _Scan:
    def __init__(self, text: str, at: int, previous: str) -> None:
        self.text = text
        self.at = at
        self.previous = previous
        self.before_previous = ""
        self.depth = 0
        self.first_open = at
        self.place = at
        self.comments: list[tuple[int, str]] = []
        self.lines = 0

    def run(self, place: int) -> bool:
        """Go on to the end of the statement; False where an open parenthesis is not closed first."""
        text = self.text
        while place < len(text):
            self.place = place
            piece = _PIECE.match(text, place)
            assert piece is not None, "the last alternative matches any character"
            kind, written = piece.lastgroup, piece[0]
            if kind == "comment":
                self.comments.append((place, written.rstrip("\r")))
            elif kind == "sign":
                if written == "/" and self._begins_regex() and (regex := _REGEX.match(text, place)):
                    written = regex[0]
                elif self._ends(written, place):
                    return self.depth == 0
            if kind not in ("comment", "blank") and written != "\n":
                self.before_previous, self.previous = self.previous, written
            place += len(written)
        self.place = len(text)
        return self.depth == 0

    def _begins_regex(self) -> bool:
        words = self.previous[-40:].split()
        return not words or words[-1] in _BEFORE_REGEX

    def _ends(self, sign: str, place: int) -> bool:
        if sign[0] == "(":
            if self.depth == 0:
                self.first_open = place
            self.depth += len(sign)
        elif sign[0] == ")":
            self.depth = max(0, self.depth - len(sign))
        elif sign == "->":
            return self.depth > 0
        elif place >= self.at or self.depth > 0:
            if sign == ";":
                return True
            if sign == "\n":
                return self._newline_ends(place)
        return False

    def _newline_ends(self, place: int) -> bool:
        if self.depth > 0:
            self.lines += 1
            return self.lines > _MOST_LINES or _STATEMENT_LINE.match(self.text, place + 1) is not None
        return not (self._joins() and NEXT_LINE_IS_INDENTED.match(self.text, place + 1))

    def _joins(self) -> bool:
        """Whether the line ends with a comma or a `then`, which is no layer's name behind a comma."""
        if self.previous == ",":
            return True
        before, _, word = f"{self.before_previous} {self.previous.rstrip()}".rpartition(" ")
        return word == "then" and before.rstrip()[-1:] not in {"", ","}


def _before_next_statement(text: str, start: int, opened: int, found: int) -> int:
    """The newline before the first line behind `opened` that is indented no deeper than the statement."""
    line_start = text.rfind("\n", 0, start) + 1
    indent = start - line_start if text[line_start:start].isspace() else 0
    for line in _LINE.finditer(text, opened):
        if len(line[1]) <= indent and line[2] not in ")#":
            return line.start()
        if line.start() >= found:
            break
    if found < len(text) and text[found] == ";":
        return found
    newline = text.find("\n", found)
    return newline if newline >= 0 else len(text)
