"""Highlighting: nothing is lost and nothing is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, Token
from rule_edits import TEXTS

from layerlr_dsl.editor.lexer import LayerlrLexer
from layerlr_dsl.language.resources import recipes_path

RECIPES = sorted(recipes_path().rglob("*.lr"))


def tokens(text: str) -> list[tuple[object, str]]:
    return [(kind, written) for _, kind, written in LayerlrLexer().get_tokens_unprocessed(text)]


@given(st.one_of(TEXTS, st.text(max_size=60)))
def test_every_character_comes_out_again(text: str) -> None:
    """Whatever the text, the tokens joined are the text."""
    assert "".join(written for _, written in tokens(text)) == text


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_no_error_token(path: Path) -> None:
    """Every shipped rule file is understood from beginning to end."""
    found = tokens(path.read_text(encoding="utf-8"))
    assert found
    assert not [written for kind, written in found if kind in (Error, Token.Text)]


def test_words_are_told_apart_by_where_they_stand() -> None:
    """A layer called `freeze` is a name, and `lr` is an option behind the arrow only."""
    text = (
        "freeze layer1 until epoch 2  # note\nfreeze -> lr 1e-3\n/a b/, @g where ndim <= 1 -> lr *= last(i)\n"
    )
    found = [(kind, written) for kind, written in tokens(text) if written.strip()]
    assert found[:6] == [
        (Keyword, "freeze"),
        (Name.Tag, "layer1"),
        (Keyword, "until"),
        (Keyword.Type, "epoch"),
        (Number, "2"),
        (Comment.Single, "# note"),
    ]
    assert found[6:10] == [
        (Name.Tag, "freeze"),
        (Operator, "->"),
        (Name.Attribute, "lr"),
        (Number, "1e-3"),
    ]
    assert (String.Regex, "/a b/") in found
    assert (Name.Label, "@g") in found
    assert (Name.Builtin, "ndim") in found
    assert (Name.Function, "last") in found


def test_stages_sequences_and_turns_are_told_apart() -> None:
    """A heading is a declaration, each schedule of a sequence a class, also in the next line."""
    text = (
        "stage head for 1_000 steps, fresh optimizer\n"
        "schedule linear for 3 epochs then\n  cosine(warmup=1 epoch)\n"
        "freeze statistics of **.bn until step 5\n"
        "unfreeze a then b.<i> by i descending every 1 epoch\n"
        "optimizer critic = adam(lr=last(@g.i))\n"
        'fc -> "rank" 128\n'
        "stage.0 -> lr 1\nafter stages\n"
    )
    found = [(kind, written) for kind, written in tokens(text) if written.strip()]
    for wanted in [
        (Keyword.Declaration, "stage"), (Name.Namespace, "head"), (Number, "1_000"), (Keyword, "fresh"),
        (Name.Class, "linear"), (Operator.Word, "then"), (Name.Class, "cosine"), (Keyword, "statistics"),
        (Name.Tag, "**.bn"), (Keyword, "descending"), (Name.Label, "critic"), (Name.Class, "adam"),
        (Name.Label, "@g.i"), (Name.Attribute, '"rank"'), (Name.Tag, "stage.0"),
        (Keyword.Declaration, "after stages"),
    ]:  # fmt: skip
        assert wanted in found
    assert not [written for kind, written in found if kind in (Error, Token.Text)]


def test_pygments_finds_it_by_name_and_by_file() -> None:
    """Through the entry point of the installed package."""
    assert isinstance(get_lexer_by_name("layerlr"), LayerlrLexer)
    assert isinstance(get_lexer_for_filename("rules/resnet18.lr"), LayerlrLexer)
