"""Puts the words of the language into the TextMate grammar: `python -m layerlr_dsl.editor.colours`.

The grammar itself is written by hand; its lists of attributes, families and functions are those of the language.
The VS Code extension carries the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.editor.vsix import extension_folder
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, FUNCTIONS, LATER_FUNCTIONS
from layerlr_dsl.language.vocabulary import ATTRIBUTES, FAMILIES

GRAMMAR = Path(__file__).with_name("layerlr.tmLanguage.json")

_AFTER_NO_WORD = re.escape(r'"match": "(?<![\\w.])')
_LISTS: tuple[tuple[str, Iterable[str]], ...] = (
    (rf'"support\.variable\.layerlr",\s+{_AFTER_NO_WORD}\(\?:', ATTRIBUTES),
    (
        rf'"support\.function\.layerlr",\s+{_AFTER_NO_WORD}\(\?:',
        (*FUNCTIONS, *LATER_FUNCTIONS, *CAPTURE_FUNCTIONS, *CALLED),
    ),
    (_AFTER_NO_WORD + re.escape(r"(is)[ \\t]+("), FAMILIES),
)
"""What stands in front of a list of words in the grammar, and the words."""


def with_words(grammar: str) -> str:
    """The text of the grammar with the lists of today."""
    for before, words in _LISTS:
        grammar, places = re.subn(rf"({before})[\w|]*", rf"\g<1>{'|'.join(words)}", grammar)
        assert places == 1, f"there is no one place for {words}"
    return grammar


def places() -> list[Path]:
    """Where the grammar lies: in the package, and in the extension."""
    return [GRAMMAR, extension_folder() / "syntaxes" / GRAMMAR.name]


if __name__ == "__main__":
    text = with_words(GRAMMAR.read_text(encoding="utf-8"))
    for path in places():
        path.write_text(text, encoding="utf-8")
