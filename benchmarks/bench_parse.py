"""What reading a rule file costs: per line, as files grow, and where somebody wants it to hang.

python benchmarks/bench_parse.py

Beside it, in the same run and in turns: Lark alone over the same grammar and lines, making its own
trees with positions and none of ours, and Python's tokenizer over the same text.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from lark import Lark, Token
from measure import Row, in_turns, report

from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.resources import grammar_path

LINES = """\
let base = 1e-3
group stem = conv1, bn1
** -> lr base
layer<i> -> lr *= 0.5 ^ (last(i) - i + 1)
layer4.* -> lr 1e-4, weight_decay 0
** where ndim <= 1 or module is norm -> weight_decay 0
fc -> lr 1e-2 until epoch 2
freeze layer1 until epoch 5
unfreeze layer4 then layer3 then layer2 every 2 epochs
expect layer4.0.conv1.weight lr == 1e-4
"""


def text_of(lines: int) -> str:
    return LINES * (lines // LINES.count("\n"))


def best_of(rounds: int, *functions: Callable[[], Any]) -> list[float]:
    """The shortest time of each function, in seconds, the functions taking turns."""
    times = [float("inf")] * len(functions)
    for _ in range(rounds):
        for place, function in enumerate(functions):
            start = perf_counter()
            function()
            times[place] = min(times[place], perf_counter() - start)
    return times


class _Separators:
    always_accept = ("END",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def lark_alone() -> Lark:
    grammar = grammar_path().read_text(encoding="utf-8")
    grammar = grammar.replace("start: statement", "start: (statement END)*", 1)
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True, keep_all_tokens=True)


def per_line() -> None:
    text = text_of(2000)
    plain = lark_alone()
    ours, theirs, tokens = best_of(
        9,
        lambda: parse(Source("file.lr", text)),
        lambda: plain.parse(text),
        lambda: list(tokenize.generate_tokens(io.StringIO(text.replace("->", ":")).readline)),
    )
    print(f"{'2,000 lines':24} {'ms a line':>10} {'ratio':>6}")
    for name, seconds in (
        ("this parser", ours),
        ("Lark's own trees", theirs),
        ("Python's tokenizer", tokens),
    ):
        print(f"{name:24} {seconds / 2000 * 1e3:10.4f} {seconds / ours:6.2f}")


def rows() -> list[Row]:
    """What the table shows: the time of a line, and that it does not grow with the file."""
    short, long, huge = text_of(2_000), text_of(10_000), text_of(100_000)
    plain = lark_alone()
    seconds = in_turns(
        {"ours": lambda: parse(Source("file.lr", short)), "lark": lambda: plain.parse(short)}, 5
    )
    each = seconds["ours"] / 2_000
    grown = [
        in_turns({"": lambda t=text: parse(Source("file.lr", t))}, rounds)[""] / lines  # type: ignore[misc]
        for text, lines, rounds in ((long, 10_000, 2), (huge, 100_000, 1))
    ]
    return [
        Row("parse 2,000 lines, one line of it", each, 0.15e-3, "0.15 ms", 1.0),
        Row("parse 10,000 lines, one line of it", grown[0], each, "one of 2,000", None),
        Row("parse 100,000 lines, one line of it", grown[1], each, "one of 2,000", 1.3),
        Row("peer: Lark's own trees, one line", seconds["lark"] / 2_000, 0.15e-3, "0.15 ms", None),
    ]


def growth() -> None:
    print(f"\n{'lines':>10} {'ms a line':>10} {'to 1,000':>9}")
    first = 0.0
    for lines in (1_000, 10_000, 100_000):
        text = text_of(lines)
        [seconds] = best_of(3 if lines < 100_000 else 1, lambda text=text: parse(Source("file.lr", text)))  # type: ignore[misc]
        each = seconds / lines * 1e3
        first = first or each
        print(f"{lines:10,} {each:10.4f} {each / first:9.2f}")


def extremes() -> None:
    cases = {
        "10 MB on one line": "x" * 10_000_000,
        "10 MB of open parentheses": "a -> lr " + "(" * 10_000_000,
        "an open quote of 10 MB": 'model "' + "x" * 10_000_000,
        "100,000 items": ", ".join(["layer1.*"] * 100_000) + " -> lr 1",
        "a sum of 100,000 terms": "let x = " + " + ".join(["1"] * 100_000),
        "a selector of 10,000 signs": "a." * 5_000 + "b -> lr 1",
        "100,000 broken lines": "x\n" * 100_000,
        "1 MB of null bytes": "\x00\n" * 500_000,
    }
    print(f"\n{'extremes':28} {'seconds':>8} {'findings':>9}")
    for name, text in cases.items():
        start = perf_counter()
        _, found = parse(Source("file.lr", text))
        print(f"{name:28} {perf_counter() - start:8.2f} {len(found):9}")


def start_up() -> None:
    code = """
from time import perf_counter
t0 = perf_counter()
import lark
t1 = perf_counter()
from layerlr_dsl.language import parser
from layerlr_dsl.language.source import Source
t2 = perf_counter()
parser.parse(Source("a", "fc -> lr 1"))
print(t1 - t0, t2 - t1, perf_counter() - t2)
"""
    runs = [
        [
            float(x)
            for x in subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True
            ).stdout.split()
        ]
        for _ in range(7)
    ]
    lark, ours, first = (min(column) * 1e3 for column in zip(*runs, strict=True))
    print(
        f"\nstart: import lark {lark:.0f} ms, import the parser {ours:.0f} ms, first statement {first:.0f} ms"
    )


if __name__ == "__main__":
    if "--json" in sys.argv:
        report(rows())
        sys.exit()
    per_line()
    growth()
    extremes()
    start_up()
