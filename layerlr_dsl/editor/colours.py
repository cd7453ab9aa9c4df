"""Puts the words of the language into what editors colour by: `python -m layerlr_dsl.editor.colours`.

The TextMate grammar and the tree-sitter query are written by hand; their lists of attributes, families and functions
are those of the language. The VS Code extension carries the same grammar, and Helix and Emacs the query under
their own names; what is written for Zed gets it under Zed's. The script for JupyterLab carries the Pygments lexer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.editor import jupyterlab
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
_ZED = {
    "@variable.builtin": "@variable.special",
    "@string.regexp": "@string.regex",
}
_EMACS = {
    "@comment": "comment",
    "@keyword": "keyword",
    "@keyword.operator": "keyword",
    "@type": "type",
    "@type.builtin": "type",
    "@tag": "function-name",
    "@label": "constant",
    "@attribute": "property-name",
    "@function": "function-call",
    "@constant": "constant",
    "@variable": "variable-use",
    "@variable.parameter": "variable-name",
    "@variable.builtin": "builtin",
    "@number": "number",
    "@boolean": "constant",
    "@string": "string",
    "@string.regexp": "regexp",
    "@operator": "operator",
    "@punctuation.bracket": "bracket",
    "@punctuation.delimiter": "delimiter",
    "@punctuation.special": "misc-punctuation",
}
"""Captures that editors have other names for; of Emacs, the faces."""
_MATCH = re.compile(r'\(#match\? (@[\w.]+) "\^\(([\w|]*)\)\$"\)')
_NO_MATCH = re.compile(r' \(#not-match\? @[\w.]+ "[^"]*"\)')


def query_with_names(query: str) -> str:
    """The text of the query with the names of today that an expression can ask."""
    names = "|".join((*ATTRIBUTES, *TIME_NAMES, *NUMBERS))
    return _KNOWN_NAMES.sub(lambda found: found[1] + names, query)


def renamed(query: str, names: Mapping[str, str]) -> str:
    """The same query under other names."""
    return re.sub(r"@[\w.]+", lambda found: names.get(found[0], found[0]), query)


def zed_query() -> str:
    """The query under Zed's names."""
    return renamed(_written().read_text(encoding="utf-8"), _ZED)


def emacs_query(query: str) -> str:
    """The same query with faces as names, and matching as Emacs 29 has it.

    It knows no other regular expressions than its own, and no matching not: the first pattern that colours a word
    is the one that counts.
    """
    query = _MATCH.sub(lambda found: f'(#match "^\\\\({_any_of(found[2])}\\\\)$" {found[1]})', query)
    faces = {name: f"@font-lock-{face}-face" for name, face in _EMACS.items()}
    return renamed(_NO_MATCH.sub("", query), faces)


def _any_of(words: str) -> str:
    return words.replace("|", r"\\|")


def _written() -> Path:
    """The query that is written by hand."""
    return grammar_folder() / "queries" / "highlights.scm"


def queries() -> dict[Path, str]:
    """What each file of the query should hold."""
    path = _written()
    query = query_with_names(path.read_text(encoding="utf-8"))
    own = {"helix": renamed(query, _HELIX), "emacs": emacs_query(query)}
    return {path: query, **{path.parent / editor / path.name: text for editor, text in own.items()}}


if __name__ == "__main__":
    text = with_words(GRAMMAR.read_text(encoding="utf-8"))
    for path in places():
        path.write_text(text, encoding="utf-8")
    for path, text in (queries() | jupyterlab.files()).items():
        path.write_text(text, encoding="utf-8")
