"""The one canonical layout: same meaning, same comments, and nothing left to do the second time."""

from __future__ import annotations

from typing import Any

import pytest
import strategies
from hypothesis import HealthCheck, given, settings

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.trees import same

quick = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def formatted(text: str) -> str:
    return format_text(Source("file.lr", text))


def tree(text: str) -> tuple[Any, ...]:
    return parse(Source("file.lr", text))[0].statements


@quick
@given(strategies.untidy_files(most=4))
def test_formatting_keeps_trees_and_comments_and_is_idempotent(text: str) -> None:
    """The tree and the comments are those of the original, and a second run changes nothing."""
    once = formatted(text)
    assert same(tree(once), tree(text))
    assert [c.text.rstrip() for c in parse(Source("a", text))[0].comments] == [
        c.text for c in parse(Source("b", once))[0].comments
    ]
    assert formatted(once) == once


@quick
@given(strategies.untidy_files(most=4))
def test_formatted_text_is_tidy(text: str) -> None:
    """No tabs, carriage returns, trailing blanks or two blank lines, and one newline at the end."""
    once = formatted(text)
    assert "\r" not in once
    assert "\n\n\n" not in once
    assert once == "" or (once.endswith("\n") and not once.endswith("\n\n") and not once.startswith("\n"))
    assert all(line == line.rstrip() for line in once.split("\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n\n\n", ""),
        ("# alone", "# alone\n"),
        ("a->lr   1e-3", "a -> lr 1e-3\n"),
        ("a -> lr 1\r\nbb -> lr 2\r\n", "a  -> lr 1\nbb -> lr 2\n"),
        ("a -> lr 1\n\n\n\nbb -> lr 2", "a -> lr 1\n\nbb -> lr 2\n"),
        ("a -> lr 1\n# own\nbb -> lr 2", "a -> lr 1\n# own\nbb -> lr 2\n"),
        ("a -> lr 1; bb -> lr 2;;", "a  -> lr 1\nbb -> lr 2\n"),
        ("a -> lr 1;bb -> lr 2  # both", "a -> lr 1; bb -> lr 2  # both\n"),
        ("a -> lr 1 # one\nlet b = 2    # two", "a -> lr 1  # one\nlet b = 2  # two\n"),
        ("a -> lr 1 # one\n\nlet long_name = 2 # two", "a -> lr 1  # one\n\nlet long_name = 2  # two\n"),
        ("a \\\n -> lr 1", "a -> lr 1\n"),
        ("a -> lr -1,x (-n)^-2*( - 3 )", "a -> lr -1, x (-n) ^ -2 * (-3)\n"),
        ("a -> lr max( 1,2 )+shape [ 0 ]", "a -> lr max(1, 2) + shape[0]\n"),
        ("a -> betas(0.9,0.99)", "a -> betas (0.9, 0.99)\n"),
        ("optimizer adamw ( lr = 1 , betas = ( .9,1 ), )", "optimizer adamw(lr=1, betas=(.9, 1),)\n"),
        ("let x=1", "let x = 1\n"),
        ("group g=a,b except c", "group g = a, b except c\n"),
        ("freeze a until epoch(2)", "freeze a until epoch (2)\n"),
        ("freeze a until (2*n)%", "freeze a until (2 * n)%\n"),
        ("** where not(tied)and ndim==1 -> lr 1", "** where not (tied) and ndim == 1 -> lr 1\n"),
        ("expect trainable<10%", "expect trainable < 10%\n"),
        ("  # indented\n   a -> lr 1", "# indented\na -> lr 1\n"),
        ("a -> lr (1 +\n2)", "a -> lr (1 + 2)\n"),
        ("a,\n  b -> lr 1", "a, b -> lr 1\n"),
        ("a, # first\n  # own\n\n b -> lr 1 # last", "a,  # first\n    # own\n    b -> lr 1  # last\n"),
        (
            "optimizer adamw(\n lr=1, # c\n\n weight_decay = 2\n)",
            "optimizer adamw(\n    lr=1,  # c\n    weight_decay=2\n)\n",
        ),
        ('model  "a  b"', 'model "a  b"\n'),
        ("/a  b/, @g->lr 1", "/a  b/, @g -> lr 1\n"),
        ("optimizer critic=adam( lr=1 )", "optimizer critic = adam(lr=1)\n"),
        ("schedule a for 3 epochs then\n  b", "schedule a for 3 epochs then b\n"),
        ("schedule a for 3 epochs then # why\n  b", "schedule a for 3 epochs then  # why\n    b\n"),
        ("freeze statistics \\\n\tof  a", "freeze statistics of a\n"),
        ("unfreeze a.<i>   by i  descending every 1 epoch", "unfreeze a.<i> by i descending every 1 epoch\n"),
        ('fc->"rank"  *=2', 'fc -> "rank" *= 2\n'),
        ("let x=last( @g.i )+T [ -1 ]", "let x = last(@g.i) + T[-1]\n"),
        ("let x=ramp( ( 0% ,1 ),shape = cosine )", "let x = ramp((0%, 1), shape=cosine)\n"),
        ("stage a ,fresh  optimizer", "stage a, fresh optimizer\n"),
        ("stage x;stage y", "stage x\n\nstage y\n"),
        ("stage x; a -> lr 1 # both", "stage x; a -> lr 1  # both\n"),
        ("a -> lr 1 # a\nstage x # x\n  bb -> lr 2", "a -> lr 1  # a\n\nstage x  # x\nbb -> lr 2\n"),
        ("a -> lr 1\n# about\n# x\nstage x", "a -> lr 1\n\n# about\n# x\nstage x\n"),
        ("a -> lr 1\n# about a\n\n# x\nafter  stages", "a -> lr 1\n# about a\n\n# x\nafter stages\n"),
        ("# the file\nstage x", "# the file\nstage x\n"),
    ],
)
def test_layout(text: str, expected: str) -> None:
    """Each case is laid out as shown, and stays so."""
    assert formatted(text) == expected
    assert formatted(expected) == expected


def test_arrows_line_up_within_a_block_of_rules() -> None:
    """Blank lines, comments and other statements end a block; one very long selector does not stretch it."""
    long = "a_selector_that_is_much_longer_than_any_other.in_this_block"
    text = f"""\
a -> lr 1
layer1.* -> lr 2
{long} -> lr 3
bb -> lr 4
# a comment
ccc -> lr 5
freeze x
d -> lr 6

eeee -> lr 7
"""
    assert (
        formatted(text)
        == f"""\
a        -> lr 1
layer1.* -> lr 2
{long} -> lr 3
bb       -> lr 4
# a comment
ccc -> lr 5
freeze x
d -> lr 6

eeee -> lr 7
"""
    )


def test_long_lists_wrap_behind_commas() -> None:
    """No line is longer than 100 columns where a comma allows it, and the next line is indented."""
    names = [f"encoder.layer{n}.attention" for n in range(12)]
    text = "group all = " + ", ".join(names) + "\n"
    once = formatted(text)
    lines = once.splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 100 for line in lines)
    assert all(line.endswith(",") for line in lines[:-1])
    assert all(line.startswith("    encoder") for line in lines[1:])
    assert formatted(once) == once
    assert same(tree(once), tree(text))


def test_long_sequences_wrap_behind_then() -> None:
    """Turn by turn, as late as can be."""
    turns = " then ".join(f"encoder.layer.{n}.attention" for n in range(8))
    once = formatted(f"unfreeze {turns} every 2 epochs")
    *first, last = once.splitlines()
    assert len(first) == 3
    assert all(line.endswith(" then") for line in first)
    assert last.startswith("    encoder")
    assert all(len(line) <= 100 for line in once.splitlines())
    assert formatted(once) == once


def test_a_file_with_errors_is_left_alone() -> None:
    """What cannot be read cannot be laid out: the findings are raised, all of them."""
    with pytest.raises(RuleError) as raised:
        formatted("fc => lr 1\na -> lr 1\nfreze x\n")
    assert [d.code for d in raised.value.diagnostics] == ["LR001", "LR004"]
