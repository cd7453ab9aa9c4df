"""Checking only what changed comes to the same as checking everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from rule_edits import EDITS, INCLUDED, TEXTS, cut

from layerlr_dsl.api import Rules
from layerlr_dsl.editor import other_optimizers
from layerlr_dsl.editor.incremental_checking import Checker
from layerlr_dsl.editor.incremental_parsing import Pieces, document_offset
from layerlr_dsl.editor.other_optimizers import ForeignOptimizer
from layerlr_dsl.editor.session import Session
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checking")
    (folder / "inc.lr").write_text(INCLUDED)
    return folder / "main.lr"


def plain(found: Diagnostic) -> tuple[object, ...]:
    assert found.span is not None
    related = tuple((r.message, r.span.source.name, *document_offset(r.span)) for r in found.related)
    place = (found.span.source.name, *document_offset(found.span))
    return (*place, found.code, found.severity, found.message, found.help or "", related)


@settings(max_examples=100, deadline=None)
@given(TEXTS, EDITS)
def test_any_sequence_of_edits_is_checked_as_the_text_itself(
    document: Path, text: str, edits: list[tuple[float, int, str]]
) -> None:
    """After all edits the findings of the language are those of `Rules(check(text))`, one for one."""
    session = Session("", document, text)
    for edit in edits:
        start, end, new = cut(text, edit)
        text = text[:start] + new + text[end:]
        session._edit(start, end, new)
        session.work(0)
    assert session.work()
    everything = Rules(check(Source(document.name, text, document))).diagnostics
    assert sorted(map(plain, session.language())) == sorted(map(plain, everything))


def checked(text: str, path: Path | None = None) -> tuple[Pieces, Checker]:
    pieces = Pieces("x", path)
    checker = Checker(pieces, None)
    pieces.edit(0, 0, text)
    pieces.read()
    checker.notice()
    checker.check()
    return pieces, checker


def test_a_change_of_a_rule_leaves_the_others_unchecked() -> None:
    """The findings of every other rule stay the same objects."""
    pieces, checker = checked("let a = 1\n" + "fc -> lr b\n" * 40)
    before = [piece.checked for piece in pieces.pieces]
    at = pieces.text.rindex("lr b")
    pieces.edit(at + 3, at + 4, "a")
    pieces.read()
    checker.notice()
    assert sum(piece.pending for piece in pieces.pieces) == 1
    checker.check()
    after = [piece.checked for piece in pieces.pieces]
    assert all(old is new for old, new in zip(before[1:-1], after[1:-1], strict=True))
    assert before[-1]
    assert not after[-1]


def test_a_change_of_a_let_checks_every_rule_again() -> None:
    """What rules may say depends on the lets; 40 rules must not keep what an old let made of them."""
    pieces, checker = checked("let a = 1\n" + "fc -> lr b\n" * 40)
    pieces.edit(4, 5, "b")
    pieces.read()
    checker.notice()
    while not checker.check(0):
        pass
    assert not any(piece.checked for piece in pieces.pieces)


def test_an_include_is_read_again_only_when_its_file_has_changed(tmp_path: Path) -> None:
    """A let of an included file counts, and a change of that file on disk is noticed."""
    other = tmp_path / "other.lr"
    other.write_text("let a = 1\n")
    pieces, checker = checked('include "other.lr"\nfc -> lr a\n', tmp_path / "main.lr")
    assert not pieces.pieces[1].checked
    kept = pieces.pieces[0].included
    checker.notice()
    assert pieces.pieces[0].included is kept
    other.write_text("let other = 1\n")
    checker.notice()
    checker.check()
    assert [d.code for d in pieces.pieces[1].checked] == ["LR101"]


def test_a_let_that_is_being_written_is_no_unknown_name(tmp_path: Path) -> None:
    """In the document and in a file that it includes; what uses it is judged again when it is whole."""
    (tmp_path / "other.lr").write_text("let c = 1 +\n")
    text = 'include "other.lr"\nlet a = 1 +\n** -> lr a\nfc -> lr c\n'
    pieces, checker = checked(text, tmp_path / "main.lr")
    assert [d.code for piece in pieces.pieces[1:] for d in piece.checked] == []
    at = text.index("1 +")
    pieces.edit(at, at + 3, "-1")
    pieces.read()
    checker.notice()
    checker.check()
    assert [d.code for piece in pieces.pieces[1:] for d in piece.checked] == ["LR107"]


@pytest.fixture
def names_anew() -> Iterator[None]:
    """The names of optimizers are gathered again for this test, and for those after it."""
    for gathered in (other_optimizers.optimizer_names, other_optimizers._keys):
        gathered.cache_clear()
    yield
    for gathered in (other_optimizers.optimizer_names, other_optimizers._keys):
        gathered.cache_clear()


@pytest.mark.usefixtures("names_anew")
def test_an_optimizer_that_only_an_import_tells_of_is_not_imported(
    tmp_path: Path, registers: Callable[[str, str], None]
) -> None:
    """Checking stops before it would import its package; the analyst checks such a file."""
    (tmp_path / "made_somewhere.py").write_text(
        "raise RuntimeError('imported')\nMade = type('Made', (), {})\n"
    )
    registers("elsewhere", "made_somewhere:Made")
    with pytest.raises(ForeignOptimizer):
        checked("optimizer Else_Where(lr=1)\n")
    assert checked("optimizer adamw(lr=1)\n")[0].pieces[0].checked == ()


@pytest.mark.usefixtures("names_anew")
def test_an_optimizer_of_another_package_is_read_from_its_text(
    tmp_path: Path, registers: Callable[[str, str], None]
) -> None:
    """Its options are known here, and its package stays unimported."""
    text = "raise RuntimeError('imported')\nclass Ours:\n    def __init__(self, params, lr=1e-3, pull=0.5): ...\n"
    (tmp_path / "written_somewhere.py").write_text(text)
    registers("ours", "written_somewhere:Ours")
    pieces, _ = checked("optimizer ours(pull=1, pul=2)\n")
    [found] = pieces.pieces[0].checked
    assert (found.code, found.help) == ("LR120", "did you mean `pull`?")
