"""Puts the words of the language into what editors colour by: `python -m layerlr_dsl.editor.colours`.

The TextMate grammar and the tree-sitter query are written by hand; their lists of attributes, families and functions
are those of the language. The VS Code extension carries the same grammar, and Helix the query under its own names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.editor.treesitter import grammar_folder
from layerlr_dsl.editor.vsix import extension_folder
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, FUNCTIONS, LATER_FUNCTIONS, NUMBERS, TIME_NAMES
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


# ---------------------------------------------------------------- tree-sitter

_KNOWN_NAMES = re.compile(r'(match\? @[\w.]+ "\^\()[\w|]*')
_HELIX = {
    "@number": "@constant.numeric",
    "@boolean": "@constant.builtin.boolean",
}
"""Captures that Helix has other names for."""


def query_with_names(query: str) -> str:
    """The text of the query with the names of today that an expression can ask."""
    names = "|".join((*ATTRIBUTES, *TIME_NAMES, *NUMBERS))
    return _KNOWN_NAMES.sub(lambda found: found[1] + names, query)


def helix_query(query: str) -> str:
    """The same query in the terms of Helix' themes."""
    return re.sub(r"@[\w.]+", lambda found: _HELIX.get(found[0], found[0]), query)


def queries() -> dict[Path, str]:
    """What each file of the query should hold."""
    path = grammar_folder() / "queries" / "highlights.scm"
    query = query_with_names(path.read_text(encoding="utf-8"))
    return {path: query, path.parent / "helix" / path.name: helix_query(query)}


if __name__ == "__main__":
    text = with_words(GRAMMAR.read_text(encoding="utf-8"))
    for path in places():
        path.write_text(text, encoding="utf-8")
    for path, text in queries().items():
        path.write_text(text, encoding="utf-8")
