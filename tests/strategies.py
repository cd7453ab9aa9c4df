"""Hypothesis strategies for the language: syntax trees, and rule files as text.

Every form of the language joins here, so that what is tested over generated files is tested for it too.
`statements()` gives trees without places, `rule_files()` text with one statement a line, and
`untidy_files()` text with every liberty that the language allows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import writing
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.source import Source, Span

NOWHERE = Span(Source("nowhere", ""), 0, 0)

# Words of the language stand among the names wherever names may stand.
STATEMENT_WORDS = ["version", "model", "epochs", "steps", "steps_per_epoch", "include", "let", "group", "optimizer",
                   "schedule", "freeze", "unfreeze", "expect", "stage", "after"]  # fmt: skip
INNER_WORDS = [
    "from",
    "until",
    "warmup",
    "at",
    "then",
    "every",
    "epoch",
    "step",
    "by",
    "for",
    "is",
    "mod",
    "lr",
    "statistics",
    "of",
    "stages",
    "fresh",
    "descending",
]
NAMES = [
    "base",
    "i",
    "ndim",
    "numel",
    "x1",
    "_private",
    "größe",
    "freezer",
    "untilepoch",
    "epoch",
    "steps",
    "e3",
]
OPTIONS = ["lr", "weight_decay", "betas", "momentum", "eps", "nesterov", "frozenness"]
OPERATORS = ["==", "!=", "<", "<=", ">", ">="]
SEGMENTS = ["layer1", "fc", "*", "**", "?", "layer[12]", "[!a]b", "{a,b}", "{0..5}", "layer<i>", "0", "weight",
            "conv-1", "größe", "last_", "<j>x", "[a-c]*", *INNER_WORDS[:4], *STATEMENT_WORDS[:3]]  # fmt: skip


def numbers(percent: SearchStrategy[bool] | None = None) -> SearchStrategy[s.Number]:
    texts = st.sampled_from(["0", "1", "3", "30", "0.1", ".5", "5.", "1e-4", "1E+3", "2.5e-05", "007"])
    return st.builds(s.Number, st.just(NOWHERE), texts, st.booleans() if percent is None else percent)


@cache
def texts() -> SearchStrategy[str]:
    """Contents of strings: anything on one line but control characters."""
    return st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=12)


@cache
def names() -> SearchStrategy[s.Name]:
    return st.builds(s.Name, st.just(NOWHERE), st.sampled_from(NAMES))


@cache
def words() -> SearchStrategy[str]:
    return st.sampled_from(NAMES)


# ---------------------------------------------------------------- expressions


@cache
def expressions() -> SearchStrategy[Any]:
    """Any expression, conditions included."""
    leaves = st.one_of(
        numbers(),
        names(),
        st.builds(s.Boolean, st.just(NOWHERE), st.booleans()),
        st.builds(s.String, st.just(NOWHERE), texts()),
    )
    return st.recursive(leaves, _larger_expressions, max_leaves=6)


def _calls(inner: SearchStrategy[Any]) -> SearchStrategy[s.Call]:
    """Calls of expressions and groups, with keywords behind; a call takes something."""
    at = st.just(NOWHERE)
    group = st.builds(s.GroupCapture, at, words(), st.none() | words())
    functions = st.sampled_from(["max", "min", "last", "count", "rank", "cosine"])
    values = st.lists(st.one_of(inner, inner, group), min_size=1, max_size=3).map(tuple)
    keywords = st.lists(_arguments(inner), min_size=1, max_size=2).map(tuple)
    none = st.just(())
    return st.one_of(
        st.builds(s.Call, at, functions, at, values, none | keywords),
        st.builds(s.Call, at, functions, at, none, keywords),
    )


def _ramps(inner: SearchStrategy[Any]) -> SearchStrategy[s.Call]:
    """`ramp` alone takes tuples with stretches of time in them."""
    at = st.just(NOWHERE)
    share = st.builds(s.Duration, at, names(), st.just("percent"))
    when = st.one_of(stretches(), numbers(st.just(True)), share)
    point = st.builds(lambda *items: s.Tuple(NOWHERE, items), when, inner)
    points = st.lists(point, min_size=1, max_size=3).map(tuple)
    keywords = st.lists(_arguments(inner), max_size=2).map(tuple)
    return st.builds(s.Call, at, st.just("ramp"), at, points, keywords)


def _larger_expressions(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    at = st.just(NOWHERE)
    arguments = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(s.Arithmetic, at, st.sampled_from(["+", "-", "*", "/", "^", "mod"]), inner, inner),
        st.builds(s.Comparison, at, st.sampled_from(OPERATORS), inner, inner),
        st.builds(s.Logic, at, st.sampled_from(["and", "or"]), inner, inner),
        st.builds(s.Not, at, inner),
        st.builds(s.Negative, at, inner),
        st.builds(s.Is, at, inner, st.sampled_from(["norm", "Conv2d", "torch.nn.Linear"]), at),
        st.builds(s.Matches, at, inner, regexes()),
        st.builds(s.Tuple, at, arguments),
        _calls(inner),
        st.deferred(lambda: _ramps(inner)),
        st.builds(s.Subscript, at, st.sampled_from(["shape", "rates"]), inner),
    )


# ---------------------------------------------------------------- selectors


@cache
def regexes() -> SearchStrategy[s.Regex]:
    # A space at the start would read as a division to a person, and to what skips damaged statements.
    patterns = st.sampled_from([r"bias$", r"^layer\d+\.", "a/b", "[;#]", r"\(", "x y", "->", r"\\", '"'])
    return st.builds(s.Regex, st.just(NOWHERE), patterns)


@cache
def patterns() -> SearchStrategy[s.Pattern]:
    dotted = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map(".".join)
    bare = st.builds(s.Pattern, st.just(NOWHERE), dotted.filter(_may_be_bare), st.just(False))
    quoted = st.builds(s.Pattern, st.just(NOWHERE), st.one_of(dotted, texts()), st.just(True))
    return st.one_of(bare, bare, quoted)


def _may_be_bare(text: str) -> bool:
    return text not in STATEMENT_WORDS and text not in INNER_WORDS


@cache
def items() -> SearchStrategy[Any]:
    refs = st.builds(s.GroupRef, st.just(NOWHERE), words())
    return st.one_of(patterns(), patterns(), regexes(), refs)


@cache
def selectors() -> SearchStrategy[s.Selector]:
    several = st.lists(items(), min_size=1, max_size=3).map(tuple)
    excluded = st.one_of(st.just(()), several)
    return st.builds(s.Selector, st.just(NOWHERE), several, excluded, st.none() | expressions())


# ---------------------------------------------------------------- time


@cache
def counts() -> SearchStrategy[Any]:
    plain = numbers(st.just(False))
    negative = st.builds(s.Negative, st.just(NOWHERE), plain)
    return st.one_of(plain, names(), negative, expressions().filter(_needs_parentheses))


def _needs_parentheses(node: Any) -> bool:
    """A count is a number, a name, or an expression in parentheses that could not do without."""
    return not isinstance(node, s.Number | s.Name) and not (
        isinstance(node, s.Negative) and isinstance(node.operand, s.Number)
    )


@cache
def moments() -> SearchStrategy[s.Moment]:
    return st.builds(s.Moment, st.just(NOWHERE), st.sampled_from(["epoch", "step", "percent"]), counts())


@cache
def conditions() -> SearchStrategy[s.Condition]:
    metrics = st.sampled_from(["val_loss", "val/loss", "top-1 error", "epoch loss"])
    directions = st.sampled_from(["falling", "rising"])
    return st.builds(s.Condition, st.just(NOWHERE), metrics, directions, counts(), st.none() | counts())


@cache
def times() -> SearchStrategy[Any]:
    return st.one_of(moments(), conditions())


@cache
def durations() -> SearchStrategy[s.Duration]:
    return st.builds(s.Duration, st.just(NOWHERE), counts(), st.sampled_from(["epochs", "steps", "percent"]))


@cache
def stretches() -> SearchStrategy[s.Duration]:
    """Durations that are none of the numbers: not `5%`."""
    return st.builds(s.Duration, st.just(NOWHERE), counts(), st.sampled_from(["epochs", "steps"]))


@cache
def windows() -> SearchStrategy[s.Window]:
    some = st.tuples(st.none() | times(), st.none() | times()).filter(any)
    return some.map(lambda ends: s.Window(NOWHERE, *ends))


# ---------------------------------------------------------------- statements


def _arguments(values: SearchStrategy[Any]) -> SearchStrategy[s.Argument]:
    """`NAME=VALUE`, the value one of `values` or stretches of time."""
    at = st.just(NOWHERE)
    stretch = st.deferred(lambda: stretches())
    several = st.lists(stretch, min_size=1, max_size=3).map(tuple)
    value = st.one_of(values, stretch, several)
    return st.builds(s.Argument, at, st.sampled_from(["lr", "warmup", "at", "shape"]), at, value, at)


@cache
def arguments() -> SearchStrategy[s.Argument]:
    return _arguments(expressions())


@cache
def factories() -> SearchStrategy[s.Factory]:
    kinds = st.sampled_from(["adamw", "muon", "cosine", "step", "multistep"])
    return st.builds(
        s.Factory, st.just(NOWHERE), kinds, st.just(NOWHERE), st.lists(arguments(), max_size=3).map(tuple)
    )


@cache
def sequences() -> SearchStrategy[s.ScheduleSequence]:
    """Schedules: all but the last of a sequence have a length."""
    timed = st.builds(s.SchedulePart, st.just(NOWHERE), factories(), durations())
    last = st.builds(s.SchedulePart, st.just(NOWHERE), factories())
    first = st.one_of(st.just([]), st.lists(timed, max_size=2))
    return st.builds(lambda parts, end: s.ScheduleSequence(NOWHERE, (*parts, end)), first, last)


@cache
def settings() -> SearchStrategy[s.Setting]:
    at = st.just(NOWHERE)
    plain = st.just(False)
    return st.one_of(
        st.builds(s.Setting, at, st.sampled_from(OPTIONS), at, st.booleans(), expressions()),
        st.builds(s.Setting, at, texts(), at, st.booleans(), expressions(), st.just(True)),
        st.builds(s.Setting, at, st.just("optimizer"), at, plain, factories()),
        st.builds(s.Setting, at, st.just("schedule"), at, plain, sequences()),
        st.just(s.Setting(NOWHERE, "frozen", NOWHERE, False, None)),
    )


@cache
def rules() -> SearchStrategy[s.RuleStatement]:
    several = st.lists(settings(), min_size=1, max_size=3).map(tuple)
    return st.builds(s.RuleStatement, st.just(NOWHERE), leading_selectors(), several, st.none() | windows())


@cache
def leading_selectors() -> SearchStrategy[s.Selector]:
    """Selectors of rules: their first layer may bear the name of any word of the language."""
    named = st.sampled_from(STATEMENT_WORDS + INNER_WORDS + ["except", "where", "not", "true"])
    word = named.map(lambda name: s.Selector(NOWHERE, (s.Pattern(NOWHERE, name),)))
    return st.one_of(selectors(), selectors(), word)


@cache
def turns() -> SearchStrategy[s.Turn]:
    at = st.just(NOWHERE)
    by = st.builds(s.Turn, at, selectors(), words(), at, st.booleans())
    return st.one_of(st.builds(s.Turn, at, selectors()), by)


@cache
def headings() -> SearchStrategy[Any]:
    """Stages; `after stages` stands once and is among what files have one of."""
    at = st.just(NOWHERE)
    length, until = st.none() | durations(), st.none() | conditions()
    return st.builds(s.StageStatement, at, words(), at, length, until, st.booleans())


@cache
def freezing() -> SearchStrategy[Any]:
    at = st.just(NOWHERE)
    warmup = st.none() | durations()
    several = st.lists(turns(), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(s.FreezeStatement, at, selectors(), st.booleans(), st.none() | windows(), warmup),
        st.builds(s.FreezeStatisticsStatement, at, selectors(), st.none() | windows()),
        st.builds(s.UnfreezeStatement, at, selectors(), st.none() | times(), warmup),
        st.builds(s.UnfreezeSequenceStatement, at, several, durations(), st.none() | times(), warmup),
    )


@cache
def expectations() -> SearchStrategy[Any]:
    at = st.just(NOWHERE)
    operators, when = st.sampled_from(OPERATORS), st.none() | times()
    subjects = st.sampled_from(["groups", "trainable"])
    return st.one_of(
        st.builds(
            s.ExpectOption, at, selectors(), st.sampled_from(OPTIONS), at, operators, expressions(), when
        ),
        st.builds(s.ExpectState, at, selectors(), st.booleans(), when),
        st.builds(s.ExpectCount, at, subjects, operators, expressions(), when),
    )


@cache
def definitions() -> SearchStrategy[Any]:
    at = st.just(NOWHERE)
    strings = st.builds(s.String, at, texts())
    return st.one_of(
        st.builds(s.IncludeStatement, at, strings),
        st.builds(s.LetStatement, at, words(), at, expressions()),
        st.builds(s.GroupStatement, at, words(), at, selectors()),
        st.builds(s.OptimizerStatement, at, factories(), words(), at),
    )


@cache
def statements() -> SearchStrategy[Any]:
    """Any statement that may stand more than once."""
    return st.one_of(rules(), rules(), freezing(), expectations(), definitions(), headings())


@st.composite
def files(draw: st.DrawFn, most: int = 6) -> list[Any]:
    """The statements of a whole file, in an order that the language allows."""
    at = NOWHERE
    strings = st.builds(s.String, st.just(at), texts())
    single = [
        draw(st.none() | st.builds(s.ModelStatement, st.just(at), strings)),
        draw(st.none() | st.builds(s.EpochsStatement, st.just(at), expressions())),
        draw(st.none() | st.builds(s.StepsStatement, st.just(at), expressions())),
        draw(st.none() | st.builds(s.StepsPerEpochStatement, st.just(at), expressions())),
        draw(st.none() | st.builds(s.OptimizerStatement, st.just(at), factories())),
        draw(st.none() | st.builds(s.ScheduleStatement, st.just(at), sequences())),
        draw(st.none() | st.builds(s.AfterStagesStatement, st.just(at))),
    ]
    body = [node for node in single if node is not None] + draw(st.lists(statements(), max_size=most))
    version = [s.VersionStatement(at, s.Number(at, "1"))] if draw(st.booleans()) else []
    return version + draw(st.permutations(body))


def rule_files(most: int = 6) -> SearchStrategy[str]:
    """Whole rule files, one statement a line, tidily spaced."""
    return files(most).map(lambda nodes: "".join(writing.text(node) + "\n" for node in nodes))


# ---------------------------------------------------------------- untidy text

_COMMENTS = ["# a comment", "#", '#; -> ( "', "# größe  "]


@st.composite
def untidy(draw: st.DrawFn, nodes: list[Any]) -> str:
    """The text of `nodes` with odd blanks, comments, line breaks and separators wherever they may be."""
    ends = ["\n", "\r\n", ";", " ; ", "\n\n\n", "\n  ", "  # c\n", "\n# own line\n", "\t\n"]
    out = draw(st.sampled_from(["", "\n", "# first\n\n", ";;"]))
    for node in nodes:
        written = writing.tokens(node)
        depth = 0
        for index, token in enumerate(written):
            depth += token.count("(") * (token == "(") - (token[:1] == ")")
            out += token
            if index + 1 < len(written):
                goes_on = token == "," or (token == "then" and index > 0)
                out += draw(_joints(depth, token, written[index + 1], goes_on))
        out += draw(st.sampled_from(ends))
    return out


def _joints(depth: int, left: str, right: str, goes_on: bool) -> SearchStrategy[str]:
    """What may stand between two tokens; behind some a statement goes on in the next line."""
    options = [" ", "  ", "\t", " \\\n ", "\\ \r\n"]
    if goes_on or depth > 0:
        options += ["\n  ", f" {_COMMENTS[0]}\n\t", f"\n {_COMMENTS[2]}\n\n  ", "\r\n  "]
    if depth > 0:
        options += ["\n", f"{_COMMENTS[3]}\n" if left != "/" else "\n"]
    if {left, right} & {"(", ")", ","}:
        options.append("")
    # Blanks are drawn more often than breaks, so that lines stay readable.
    return st.sampled_from([" "] * 3 + options)


def untidy_files(most: int = 5) -> SearchStrategy[str]:
    """Whole rule files in any layout."""
    return files(most).flatmap(untidy)
