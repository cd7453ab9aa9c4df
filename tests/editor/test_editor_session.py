"""What is shown at once, what comes later, and what stays while it is waited for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from rule_edits import EDITS, INCLUDED, TEXTS, cut

from layerlr_dsl.editor.analysis import Models, Request, analyse
from layerlr_dsl.editor.findings import Elsewhere, Finding, Here
from layerlr_dsl.editor.hover import hover
from layerlr_dsl.editor.session import LARGE, Session

HEAD = 'model "m.json"\nepochs 10\n'


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


@pytest.fixture(scope="module")
def document(folder: Path) -> Path:
    (folder / "inc.lr").write_text(INCLUDED)
    return folder / "main.lr"


def asked(session: Session, models: Models) -> dict[str, Any]:
    """What the analyst says of the present text."""
    request = Request(session.text.content, session.name, str(session.path), known=session.model_key)
    return analyse(request, models)


def fresh(text: str, document: Path, models: Models) -> Session:
    """A document just opened, of which everything is known."""
    session = Session("", document, text)
    session.work()
    session.absorb(asked(session, models), session.snapshot())
    session.work()
    return session


def shown(session: Session) -> list[tuple[object, ...]]:
    def place(where: Here | Elsewhere | None) -> tuple[object, ...]:
        return (where.start, where.end) if isinstance(where, Here) else (where,)

    def plain(where: Here, finding: Finding) -> tuple[object, ...]:
        change = finding.change
        edits = [] if change is None else [(*place(here), new) for here, new in change.edits]
        related = [(message, *place(other)) for message, other in finding.related]
        words = (finding.code, finding.severity, finding.message, finding.help or "")
        return (*place(where), *words, tuple(related), tuple(edits))

    return sorted((plain(where, finding) for where, finding in session.findings()), key=repr)


def codes(session: Session) -> list[str]:
    return [finding.code for _, finding in session.findings()]


@settings(max_examples=60)
@given(TEXTS, EDITS)
def test_after_any_edits_everything_is_shown_as_after_opening(
    document: Path, models: Models, text: str, edits: list[tuple[float, int, str]]
) -> None:
    """Once the analyst has answered, nothing is left of the way on which the text came about."""
    session = fresh(HEAD + text, document, models)
    text = session.text.content
    for edit in edits:
        start, end, new = cut(text, edit)
        text = text[:start] + new + text[end:]
        session._edit(start, end, new)
        session.work(0)
    session.work()
    session.absorb(asked(session, models), session.snapshot())
    session.work()
    assert shown(session) == shown(fresh(text, document, models))


@settings(max_examples=60)
@given(TEXTS)
def test_what_is_shown_is_what_validate_finds(document: Path, models: Models, text: str) -> None:
    """The findings of an open document are those of the analysis, which is `layerlr validate`'s."""
    session = fresh(HEAD + text, document, models)
    everything = asked(session, models)["findings"]
    told = [(f.code, f.message, f.help or "") for _, f in session.findings()]
    assert sorted(told) == sorted((f["code"], f["message"], f["help"] or "") for f in everything)


def test_a_selector_that_matches_nothing_is_shown_at_once(document: Path, models: Models) -> None:
    """LR201 with its near miss does not wait for the analyst."""
    session = fresh(HEAD + "** -> lr 1\nlayers.0 -> lr 2\n", document, models)
    at = session.text.content.index("layers.0") + 5
    session._edit(at, at + 1, "")
    session.work()
    (place, finding), *_ = [(w, f) for w, f in session.findings() if f.code == "LR201"]
    assert session.text.content[place.start : place.end] == "layer.0"
    assert finding.help == "did you mean `layers.0`?"


def test_findings_of_the_model_move_with_their_statement(document: Path, models: Models) -> None:
    """A line inserted above shifts what the analyst said; it neither goes nor stays behind."""
    session = fresh(HEAD + "layers -> lr 1\n** -> lr 2\n", document, models)
    assert codes(session) == ["LR202"]
    session.replace((0, 0), (0, 0), "# 😀\n\n")
    session.work()
    (where, finding), *_ = session.findings()
    assert session.text.content[where.start : where.end] == "layers -> lr 1"
    place = finding.related[0][1]
    assert isinstance(place, Here)
    assert session.text.content[place.start : place.end] == "** -> lr 2"


def test_findings_of_a_statement_go_when_it_changes(document: Path, models: Models) -> None:
    """What was said of a rule is not shown about another text; findings of other rules stay."""
    session = fresh(HEAD + "layers -> lr 1\nhead -> lr 1\n** -> lr 2\n", document, models)
    assert codes(session) == ["LR202", "LR202"]
    session.replace((2, 14), (2, 14), "0")
    session.work()
    assert codes(session) == ["LR202"]


def test_an_answer_about_an_older_text_is_placed_in_the_new_one(document: Path, models: Models) -> None:
    """While the analyst thinks the user types on: what it says of untouched statements still counts."""
    session = Session("", document, HEAD + "layers -> lr 1\nhead -> lr 1\n** -> lr 2\n")
    session.work()
    snapshot, answer = session.snapshot(), asked(session, models)
    session.replace((2, 0), (2, 6), "embedding")
    session.replace((0, 0), (0, 0), "# new\n")
    session.work()
    session.absorb(answer, snapshot)
    session.work()
    (where, _), *more = session.findings()
    assert session.text.content[where.start : where.end] == "head -> lr 1"
    assert not more


def test_findings_in_an_included_file_are_shown_at_the_include(document: Path, models: Models) -> None:
    """With the file and the line in front, and the very place beside it."""
    session = fresh(HEAD + '** -> lr 1\ninclude "inc.lr"\n', document, models)
    found = [(where, f) for where, f in session.findings() if isinstance(f.place, Elsewhere)]
    assert found
    for where, finding in found:
        assert session.text.content[where.start : where.end].strip() == 'include "inc.lr"'
        assert isinstance(finding.place, Elsewhere)
        assert finding.place.name == "inc.lr"


def test_a_crash_of_checking_leaves_the_rest_standing(
    document: Path, models: Models, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Syntax errors are shown, the analyst is believed for all others, and the fault is logged."""
    from layerlr_dsl.editor import incremental_checking

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr(incremental_checking, "check_expanded", broken)
    session = fresh(HEAD + "** -> lr 1\nhead -> wd 1\nhead ->\n", document, models)
    assert sorted(codes(session)) == ["LR005", "LR103"]
    assert "a fault of our own" in caplog.text


def test_a_very_large_document_is_left_to_the_analyst(document: Path, models: Models) -> None:
    """Its text is kept in step at no cost, and its findings come all at once."""
    text = HEAD + "** -> lr 1\nhead -> wd 1\n"
    text += "# padding\n" * (LARGE // 10)
    session = Session("", document, text)
    start = time.perf_counter()
    session.replace((3, 0), (3, 0), "x")
    assert session.work(0)
    assert time.perf_counter() - start < 1
    assert session.findings() == []
    session.absorb(asked(session, models), session.snapshot())
    session.work()
    assert sorted(codes(session)) == ["LR103", "LR201"]


def test_a_whole_new_text_keeps_what_is_common(document: Path) -> None:
    """Clients may send the full text at every change; only what differs is read again."""
    session = Session("", document, "".join(f"layers.{n} -> lr 1\n" for n in range(20)))
    session.work()
    before = list(session.pieces.pieces)
    session.replace_all(session.text.content.replace("layers.7 ->", "layers.77 ->"))
    session.work()
    kept = [old is new for old, new in zip(before, session.pieces.pieces, strict=True)]
    assert kept.count(False) == 1


@pytest.mark.parametrize(
    ("statement", "word", "said"),
    [
        ("steps_per_epoch 10", "steps_per_epoch", "The optimizer steps in an epoch"),
        ("** -> lr 1e-3 * progress", "progress", "the share of the run"),
        ("** -> lr ramp((0%, 1), (50%, 0.1), shape=cosine)", "shape", "from point to point"),
        ("let x = inverse_sqrt(timescale=10 steps)", "inverse_sqrt", "schedule `inverse_sqrt`"),
        ("let x = inverse_sqrt(timescale=10 steps)", "timescale", "how slowly it falls"),
        ("** where module is depthwise -> lr 1", "depthwise", "convolutions whose groups"),
    ],
)
def test_words_of_time_and_of_families_are_explained(statement: str, word: str, said: str) -> None:
    """Also where a schedule is called in a value, and where a word has an underscore."""
    session = Session("", None, statement + "\n")
    session.work()
    found = hover(session, statement.index(word) + 1)
    assert found is not None
    assert said in found.text
