"""What may be written where, as the grammar's tables tell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from rule_edits import TEXTS
from strategies import rule_files

from layerlr_dsl.editor.completion_context import Context, context_at
from layerlr_dsl.language.parser import parse_keeping_tokens
from layerlr_dsl.language.source import Source

# A text (`~` stands for a blank at its end), what a name would be there, and some kinds of tokens.
CASES = """
                                    |            | PATTERN FREEZE LET
fre                                 |            | PATTERN FREEZE LET
layer4.0.con                        |            | PATTERN
fc,                                 |            | PATTERN GROUP_NAME
fc~                                 |            | ARROW WHERE EXCEPT
fc wher                             |            | ARROW WHERE EXCEPT
fc where~                           | value      | NOT TRUE
fc where ndim~                      |            | COMPARE AND ARROW
fc where module is~                 | class      | STRING
fc where dtype is fl                | class      | STRING
fc ->                               | option     | SCHEDULE
fc -> l                             | option     | OPTIMIZER
fc -> lr~                           | value      | TIMES_EQUAL NUMBER
fc -> lr 1e-3                       | value      | NUMBER
fc -> lr 1e-3~                      |            | FROM UNTIL COMMA
fc -> lr 1e-3 unt                   |            | FROM UNTIL COMMA
fc -> lr 1e-3,                      | option     | SCHEDULE
fc -> betas (0.9,                   | value      | NUMBER CLOSE
fc -> lr base *~                    | value      | NUMBER
fc -> lr 1 until~                   | moment     | NUMBER
fc -> lr 1 until epoch~             | count      | NUMBER STOPS
fc -> lr 1 until 5~                 | moment     | PERCENT
fc -> schedule~                     | factory    |
fc -> schedule cosine(              | argument   | CLOSE
fc -> schedule cosine(warmup=       | value      | NUMBER
fc -> optimizer muon(betas=(        | value      | NUMBER
freeze~                             |            | PATTERN REGEX
freeze fc~                          |            | UNTIL FROM UPDATING WARMUP
freeze fc until epoch 3~            |            | WARMUP
freeze fc until a stops falling for 3~ | patience | BY
freeze fc warmup 200~               | stretch    | PERCENT
unfreeze a then~                    |            | PATTERN
unfreeze a then b every 2~          | stretch    | STARTING
optimizer~                          | factory    |
optimizer adamw(weight_decay=0.1,   | argument   |
schedule cosine(warmup=5~           | stretch    | PERCENT
let x =                             | value      | NUMBER
let~                                | definition |
group a = fc except~                |            | PATTERN
model~                              |            | STRING
include "mod                        |            | STRING
expect fc~                          | option     | FROZEN TRAINS
expect fc lr~                       |            | COMPARE
freeze /a b                         |            | REGEX
freeze /a b/~                       |            | UNTIL
fc -> lr 1 / 2~                     |            | FROM
fc -> lr 1; fre                     |            | FREEZE LET
fc -> lr (1 +                       | value      | NUMBER
freeze statistics~                  |            | OF
freeze statistics of a~             |            | UNTIL WHERE
expect groups~                      |            | COMPARE
steps_per_epoch~                    | value      | NUMBER
stage~                              |            |
stage a~                            |            | FOR UNTIL COMMA
stage a for 3~                      | stretch    | PERCENT
stage a for 3 epochs until loss~    | count      | STOPS
stage a,~                           |            | FRESH
after~                              |            | STAGES
unfreeze a.<i> by~                  | capture    |
unfreeze a.<i> by i~                |            | DESCENDING THEN EVERY
unfreeze a.<i> by i then~           |            | PATTERN
schedule linear(x=1)~               |            | FOR
schedule linear for 3~              | stretch    | PERCENT
schedule linear for 3 epochs then~  | factory    |
schedule linear for 3 epochs then cosine( | argument | CLOSE
optimizer critic =~                 | factory    |
optimizer critic = adam(            | argument   |
let n = last(@                      | value      | GROUP_NAME
"""


def at(written: str) -> Context:
    context = context_at(written.replace("~", " "))
    assert context is not None
    return context


@pytest.mark.parametrize("case", [line for line in CASES.splitlines() if "|" in line])
def test_the_tokens_before_the_cursor_tell_what_may_follow(case: str) -> None:
    """What a name would be, and the kinds of tokens that the parser would take."""
    written, role, kinds = (part.strip() for part in case.split("|"))
    found = at(written)
    assert found.role == role
    assert set(kinds.split()) <= found.accepted


@given(rule_files())
def test_whatever_is_written_could_have_been_suggested(text: str) -> None:
    """In front of every token of a file, the kind of that token is among those that may follow."""
    _, _, statements = parse_keeping_tokens(Source("file.lr", text))
    for tokens in statements:
        for place, token in enumerate(tokens):
            found = context_at(text[tokens[0].start : token.start] + " ")
            assert found is not None
            assert token.kind in found.accepted
            assert [one.kind for one in found.tokens] == [one.kind for one in tokens[:place]]


@pytest.mark.parametrize("text", ["# a comment", "fc -> lr 1 # a comment", "fc lr 1 ", "fc -> lr 1 2 "])
def test_nothing_is_known_in_a_comment_or_behind_a_fault(text: str) -> None:
    """There is nothing to suggest where the parser does not come."""
    assert context_at(text) is None


@pytest.mark.parametrize(
    ("written", "kind", "phrases"),
    [
        ("freeze fc~", "UPDATING", ["updating statistics"]),
        ("fc -> lr 1 until loss~", "STOPS", ["stops falling for", "stops rising for"]),
        ("fc -> lr 1 until loss stops~", "FALLING", ["falling for"]),
        ("unfreeze a then b every 2 epochs~", "STARTING", ["starting at"]),
        ("freeze fc~", "UNTIL", ["until"]),
        ("unfreeze a.<i> by i~", "DESCENDING", ["descending"]),
        ("", "AFTER", ["after stages"]),
        ("", "FREEZE", ["freeze"]),
        ("stage a,~", "FRESH", ["fresh optimizer"]),
    ],
)
def test_a_word_comes_with_those_that_must_follow_it(written: str, kind: str, phrases: list[str]) -> None:
    """As far as the grammar leaves no choice but between words."""
    assert list(at(written).phrases(kind)) == phrases


def test_what_is_given_already_is_known() -> None:
    """So that it is not suggested again."""
    assert at("fc -> lr 1, betas (0.9, 0.9), ").given == {"lr", "betas"}
    assert at("optimizer adamw(lr=1, eps=max(1, 2), ").given == {"lr", "eps"}
    assert at("optimizer adamw(lr=1, betas=(0.9, ").factory == "adamw"
    assert at("optimizer critic = adam(lr=1, ").factory == "adam"
    assert at("schedule linear for 3 epochs then cosine(warmup=1, ").given == {"warmup"}
    assert at("fc -> lr max(1, ").factory == ""


@given(TEXTS)
def test_no_text_is_too_odd(text: str) -> None:
    """Whatever stands before the cursor, the word that is found ends there."""
    context = context_at(text)
    assert context is None or text[context.start :] == context.word
