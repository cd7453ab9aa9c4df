"""What may be written where, told from the words before the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from rule_edits import TEXTS

from layerlr_dsl.editor.completion_context import context_at

CASES = """
                                    | statement
fre                                 | statement
layer4.0.con                        | statement
fc,                                 | selector
fc~                                 | after selector
fc where~                           | where
fc where ndim~                      | after selector
fc where module is~                 | after is
fc where dtype is fl                | after is
fc ->                               | option
fc -> l                             | option
fc -> lr~                           | value
fc -> lr 1e-3                       | value
fc -> lr 1e-3~                      | after value
fc -> lr 1e-3,                      | option
fc -> betas (0.9,                   | value
fc -> lr base *~                    | value
fc -> lr 1 until~                   | moment
fc -> lr 1 until epoch~             | value
fc -> lr 1 until 5~                 | moment unit
fc -> schedule~                     | schedule
fc -> schedule cosine(              | schedule argument
fc -> optimizer muon(lr=            | argument value
freeze~                             | selector
freeze fc~                          | after selector
freeze fc until epoch 3~            | after time
freeze fc until val_loss~           | after metric
freeze fc until a stops falling for 3~ | duration unit
freeze fc warmup 200~               | duration unit
unfreeze a then~                    | selector
unfreeze a then b every 2~          | duration unit
optimizer~                          | optimizer
optimizer adamw(                    | optimizer argument
optimizer adamw(weight_decay=0.1,   | optimizer argument
schedule cosine(warmup=5~           | duration unit
let x =                             | value
let~                                | name
group a =                           | selector
group a = fc except~                | selector
model~                              | model
include "                           | path
expect fc lr ==                     | value
# a comment                         | nothing
fc -> lr 1 # a comment              | nothing
freeze /a b/~                       | after selector
freeze statistics of~               | selector
freeze statistics of a~             | after selector
freeze statistics~                  | after selector
steps~                              | value
steps_per_epoch~                    | value
stage~                              | name
stage a~                            | heading
stage a for~                        | value
stage a for 3~                      | duration unit
stage a for 3 epochs~               | heading
stage a for 5%~                     | heading
stage a until~                      | nothing
stage a for 3 epochs until loss~    | after metric
stage a until loss stops falling for 3 epochs~ | heading
stage a,~                           | heading
after~                              | heading
unfreeze a.<i> by~                  | capture
unfreeze a.<i> by i~                | after capture
unfreeze a.<i> by i then~           | selector
unfreeze a.<i> by i every 2~        | duration unit
schedule linear(x=1)~               | after schedule
schedule linear for~                | value
schedule linear for 3~              | duration unit
schedule linear for 3 epochs~       | after schedule
schedule linear for 3 epochs then~  | schedule
schedule linear for 3 epochs then cosine( | schedule argument
fc -> schedule linear for 3 epochs then cosine( | schedule argument
optimizer critic =~                 | optimizer
optimizer critic = adam(            | optimizer argument
let n = last(@                      | value
fc -> lr 1 / 2~                     | after value
"""


@pytest.mark.parametrize("case", [line for line in CASES.splitlines() if "|" in line])
def test_the_words_before_the_cursor_tell_what_may_follow(case: str) -> None:
    """Each line is a text (`~` stands for a blank at its end) and what may be written there."""
    written, _, kind = case.partition("|")
    written = written.rstrip()
    text = written[:-1] + " " if written.endswith("~") else written
    assert context_at(text).kind == kind.strip()


def test_what_is_given_already_is_known() -> None:
    """So that it is not suggested again."""
    assert context_at("fc -> lr 1, betas (0.9, 0.9), ").given == {"lr", "betas"}
    assert context_at("optimizer adamw(lr=1, eps=max(1, 2), ").given == {"lr", "eps"}


@given(TEXTS)
def test_no_text_is_too_odd(text: str) -> None:
    """Whatever stands before the cursor, there is an answer, and its word ends at the cursor."""
    context = context_at(text)
    assert text.endswith(context.word)
    assert context.kind == "nothing" or context.start == len(text) - len(context.word)
