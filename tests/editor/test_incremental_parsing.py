"""Reading again only what changed comes to the same as reading everything."""

from __future__ import annotations

from hypothesis import example, given, settings
from rule_edits import EDITS, TEXTS, cut

from layerlr_dsl.editor.incremental_parsing import Pieces, document_offset
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source

_WHOLE = {"LR008", "LR009", "LR010"}


def at_once(text: str) -> tuple[list[object], list[object]]:
    file, found = parse(Source("x", text))
    statements = [(type(s), s.span.start, s.span.end) for s in file.statements]
    return statements, sorted(
        (d.code, d.message, d.span.start, d.span.end) for d in found if d.span and d.code not in _WHOLE
    )


def piecewise(pieces: Pieces) -> tuple[list[object], list[object]]:
    statements = [(type(s), *document_offset(s.span)) for _, s in pieces.statements()]
    found = {}
    for piece in pieces.pieces:
        for d in piece.syntax:
            assert d.span is not None
            start, end = document_offset(d.span)
            found.setdefault((d.code, start), (d.code, d.message, start, end))
    return statements, sorted(f for f in found.values() if f[0] not in _WHOLE)


@settings(max_examples=150, deadline=None)
@given(TEXTS, EDITS)
@example("let a = 1e-3\n", [(0.0, 2, "let a = 1e-3\n"), (0.0, 5, "a,")])
@example("freeze a,\nb\n", [(0.99, 0, " -> lr 1"), (0.99, 8, "")])
@example("freeze a, # note\n\nb until epoch 2\nc\n", [(0.2, 3, "")])
def test_any_sequence_of_edits_reads_as_the_text_itself(
    text: str, edits: list[tuple[float, int, str]]
) -> None:
    """After each edit, statements, their places and the syntax errors are those of the whole text."""
    pieces = Pieces("x", None)
    pieces.edit(0, 0, text)
    for number, edit in enumerate(edits):
        start, end, new = cut(text, edit)
        text = text[:start] + new + text[end:]
        pieces.edit(start, end, new)
        pieces.read(0)  # a slice only, so that edits meet texts that are half read
        if number % 2:
            assert pieces.read()
            assert pieces.text == text
            assert piecewise(pieces) == at_once(text)
    pieces.read()
    assert piecewise(pieces) == at_once(text)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
@example("head -> lr 1 # a; b(c)\n")
@example("head -> lr 1 until epoch\\ \n=")
@example("head -> lr 1,\n# note\n  wd 0\n")
@example("head -> lr 1,\n\r\n  wd 0\n")
def test_a_text_typed_sign_by_sign_reads_as_the_text_itself(text: str) -> None:
    """Also where a sign gives those before it another meaning, as in a comment that goes on behind a `;`."""
    pieces = Pieces("x", None)
    for at, sign in enumerate(text):
        pieces.edit(at, at, sign)
        pieces.read()
    assert piecewise(pieces) == at_once(text)


def test_a_keystroke_reads_one_statement_again() -> None:
    """All other pieces stay the same objects, so that nothing about them has to be found out again."""
    pieces = Pieces("x", None)
    pieces.edit(0, 0, "".join(f"layer{n} -> lr 1e-{n}\n" for n in range(50)))
    pieces.read()
    before = list(pieces.pieces)
    at = pieces.text.index("layer20")
    pieces.edit(at + 5, at + 5, "7")
    pieces.read()
    changed = [n for n, (old, new) in enumerate(zip(before, pieces.pieces, strict=True)) if old is not new]
    assert changed == [20]
    assert not before[20].alive


def test_reading_stops_when_its_time_is_over() -> None:
    """A large paste is read in slices, between which the server listens."""
    pieces = Pieces("x", None)
    pieces.edit(0, 0, "fc -> lr 1\n" * 300)
    assert not pieces.read(0)
    assert len(pieces.pieces) == 1
    assert pieces.read()
    assert len(pieces.pieces) == 300
