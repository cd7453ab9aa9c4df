"""Damaged files: nothing is raised, every fault is found, and what is whole stays whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.syntax import File
from layerlr_dsl.language.trees import same

quick = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])

# Statements that may stand any number of times, so that a repetition is no fault of its own.
LINES = [
    "fc -> lr 1e-3",
    "layer<i>.* -> lr *= 0.5 ^ (last(i) - i + 1), weight_decay 0 until epoch 2",
    "** where ndim <= 1 or module is norm -> weight_decay 0",
    "a, /x;y/, \"q;#q\" except @b, c.* where name matches /bias$/ -> betas (0.9, 0.999)",
    "freeze layer1 updating statistics from epoch 1 until 50% warmup 1 epoch",
    'freeze layer2 until "val/loss" stops falling for 3 epochs by 0.01',
    "unfreeze layer4 then layer3 every 2 epochs starting at epoch 3 warmup 200 steps",
    "unfreeze layer3 at step (2 * 100)",
    "expect layer4.0.conv1.weight lr == 1e-4 at epoch 2",
    "expect trainable < 10% at epoch 0",
    "group stem = conv1, bn1  # a comment; with (signs",
    "let base = max(1e-3, 2 * (3 - 1))",
    'include "common/no_decay.lr"',
    "stage all for 20 epochs until val_loss stops falling for 3 epochs, fresh optimizer",
    "stage head until accuracy stops rising for 2 epochs",
    "unfreeze classifier then layers.<i> by i descending then stem every 500 steps starting at 5%",
    "freeze statistics of **.bn, /norm;/ from epoch 1",
    "unfreeze layer1",
    "** -> lr ramp((0%, 1e-3), (300 steps, 2e-3), shape=power(2)), \"rank\" 128 until 50%",
    "fc -> schedule linear(start_factor=0.1) for 5 epochs then cosine(warmup=3 steps)",
    "optimizer critic = adam(lr=1e-4)",
    "let n = last(@stem.i) + rates[-1] * 10_000",
    "head -> optimizer muon(lr=0.02), schedule multistep(at=(30 epochs, 60 epochs), gamma=0.1)",
]  # fmt: skip
JUNK = ["(", ")", "[", "]", "{", '"', "'", "/", "#", ";", ",", "->", "=>", "=", "==", "*=", "%", "@", "\\", "$", "|",
        "until", "where", "except", "lr", "1e-4x", "5", "!", "\x00", "\u00a0", "“", "freeze", "then", "for", "stage", "by", "of", "not", "^", "\t", "\n"]  # fmt: skip


def read(text: str) -> tuple[File, tuple[Diagnostic, ...]]:
    return parse(Source("file.lr", text))


@st.composite
def damaged_line(draw: st.DrawFn) -> str:
    """One of LINES with some of its tokens or characters lost, changed, doubled or put in."""
    line = draw(st.sampled_from(LINES))
    pieces = draw(st.sampled_from([list(line), line.split(" ")]))
    joint = "" if len(pieces) == len(line) else " "
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(pieces) - 1))
        action = draw(st.sampled_from(["drop", "insert", "replace", "double", "cut"]))
        if action == "drop" and len(pieces) > 1:
            del pieces[at]
        elif action == "insert":
            pieces.insert(at, draw(st.sampled_from(JUNK)))
        elif action == "replace":
            pieces[at] = draw(st.sampled_from(JUNK))
        elif action == "double":
            pieces.insert(at, pieces[at])
        else:
            pieces = pieces[: at + 1]
    return joint.join(pieces)


@quick
@given(
    st.lists(st.sampled_from(LINES), max_size=3), damaged_line(), st.lists(st.sampled_from(LINES), max_size=3)
)
def test_damage_breeds_no_error_outside_itself(before: list[str], damaged: str, after: list[str]) -> None:
    """Whatever happens to one line, every other is read as if it stood alone, and blamed for nothing."""
    head = "".join(line + "\n" for line in before)
    text = head + damaged + "\n" + "".join(line + "\n" for line in after)
    file, diagnostics = read(text)
    end = len(head) + len(damaged) + 1
    # A backslash at the end of the line takes the next one in; then that is damaged too.
    joins = damaged.rstrip(" \t").endswith("\\") and after
    if joins:
        end += len(after[0]) + 1
    for finding in diagnostics:
        assert finding.span is not None
        assert len(head) <= finding.span.start <= end
    intact = before + after[1 if joins else 0 :]
    whole = [parse(Source("line.lr", line))[0].statements[0] for line in intact]
    kept = [s for s in file.statements if not len(head) <= s.span.start < end]
    assert same(tuple(kept), tuple(whole))


@quick
@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    """Any text at all is answered with a tree and findings that lie within it."""
    file, diagnostics = read(text)
    for finding in diagnostics:
        assert finding.span is not None
        assert 0 <= finding.span.start <= finding.span.end <= len(text)
        assert finding.code.startswith(("LR0", "LR106"))
        assert finding.message
    assert len(file.statements) + len(file.damaged) <= len(text)


@quick
@given(st.lists(st.sampled_from([*JUNK, *" ".join(LINES).split(" "), "\n", "\n  "]), max_size=60))
def test_no_heap_of_tokens_raises(pieces: list[str]) -> None:
    """Tokens of the language in any order are answered, and every text that is not read is accounted for."""
    text = " ".join(pieces)
    file, diagnostics = read(text)
    assert bool(file.damaged) <= bool(diagnostics)
    assert all(d.severity == "error" for d in diagnostics)
    spans = sorted([n.span for n in file.statements] + [n.span for n in file.damaged], key=lambda s: s.start)
    assert all(left.end <= right.start for left, right in pairwise(spans))


@quick
@given(st.lists(damaged_line(), min_size=1, max_size=2))
def test_safe_fixes_come_to_an_end(lines: list[str]) -> None:
    """Applied again and again, the safe fixes of a file leave none to apply."""
    text = "\n".join(lines) + "\n"
    for _ in range(20):
        edits = [e for d in read(text)[1] if d.fix and d.fix.safe for e in d.fix.edits]
        if not edits:
            return
        first = min(edits, key=lambda edit: edit.span.start)
        text = text[: first.span.start] + first.replacement + text[first.span.end :]
    pytest.fail(f"still something to fix: {text!r}")


def test_every_fault_of_a_file_is_found_in_one_run() -> None:
    """Eight faults in eight statements, some on one line: eight findings, and the rest is read."""
    text = """\
freze layer1
fc -> lr = 1e-3; layer4 -> lr 1e-4; head => lr 1
model "resnet
layer1 where ndim > 1, b -> lr 1
conv1 -> lr (1 + 2
bn1 -> lr 1e-4x
freeze stem until 5
expect fc
fc.bias -> lr 2
"""
    file, diagnostics = read(text)
    found = [(d.span.first.line, d.code) for d in diagnostics if d.span]
    assert found == [
        (1, "LR004"), (2, "LR001"), (2, "LR001"), (3, "LR002"), (4, "LR006"), (5, "LR002"), (6, "LR003"),
        (7, "LR106"), (8, "LR005"),
    ]  # fmt: skip
    assert [s.span.text for s in file.statements] == ["layer4 -> lr 1e-4", "fc.bias -> lr 2"]


def test_two_faults_of_one_statement_are_both_found() -> None:
    """A malformed number does not hide the missing unit behind it."""
    _, diagnostics = read("fc -> lr 1e-4x until 5\n")
    assert [d.code for d in diagnostics] == ["LR003", "LR106"]


@pytest.mark.parametrize(
    ("text", "read_on"),
    [
        ('a -> lr "x; y\nb -> lr 1\n', ["b -> lr 1"]),
        ("frze /x;y/\nb -> lr 1\n", ["b -> lr 1"]),
        ("a, /x;y/ lr 2 # c; d -> lr 3\nb -> lr 1\n", ["b -> lr 1"]),
        ('a => "x;y"; b -> lr 1\n', ["b -> lr 1"]),
        ("optimizer adamw(\n  lr=1e-4x,\n  betas=(0.9, 0.99)\n)\nb -> lr 1\n", ["b -> lr 1"]),
        ("optimizer adamw(\nlr 1e-4,\nbetas=(0.9, 0.99)\n)\nb -> lr 1\n", ["b -> lr 1"]),
        ("optimizer adamw(lr=1\n\nb -> lr 1\nc -> lr (2)\n", ["b -> lr 1", "c -> lr (2)"]),
        ("a -> lr (1 + (2)\nfreeze b\nc -> lr (2)\n", ["freeze b", "c -> lr (2)"]),
        ("a -> lr (1 + 2; b -> lr 1\n", ["b -> lr 1"]),
        ("a => lr 1,\n   wd 2\nb -> lr 1\n", ["b -> lr 1"]),
        ("a -> lr (1,\nb,\n  c -> lr 1\nd -> lr 1", ["b,\n  c -> lr 1", "d -> lr 1"]),
        ("a -> lr 1,\nb -> lr 1\n", ["b -> lr 1"]),
    ],
)
def test_reading_goes_on_behind_a_damaged_statement(text: str, read_on: list[str]) -> None:
    """The end of a damaged statement is found past texts, patterns, comments and parentheses."""
    file, diagnostics = read(text)
    assert len(diagnostics) == 1
    assert [s.span.text for s in file.statements] == read_on


def test_a_lost_definition_is_remembered_by_name() -> None:
    """The names that damaged `let` and `group` statements would give are known to those who read on."""
    file, _ = read("let base = 1e-4x\ngroup stem: conv1\nlte rate = 3\nfreze x\n")
    assert [d.defines for d in file.damaged] == ["base", "stem", "rate", None]


def test_reading_ends_after_ten_thousand_faults() -> None:
    """A file that is no rule file is given up on, and says so."""
    _, diagnostics = read("x\n" * 12_000)
    assert len(diagnostics) == 10_001
    assert "10,000" in diagnostics[-1].message
