"""Mistakes in words and in the build of a statement: misspelled, missing, repeated or misplaced parts."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import replacing, shortened
from layerlr_dsl.language.nearest import nearest
from layerlr_dsl.language.recovery import STATEMENT_WORDS
from layerlr_dsl.language.source import Span

_SELECTING = {"FREEZE", "UNFREEZE", "EXPECT"}
# A layer may have any of these names, but right behind a statement word it rarely does.
_TIME_WORDS = {"from", "until", "at", "every", "warmup", "updating", "starting", "then"}
_WORD = re.compile(r"[^\W\d]\w*")
_NO_SPACE = re.compile(r'[^\s"#;]+')
_METRIC = re.compile(r"[\w./:@-]+(?=[ \t]+(stops|falling|rising)\b)")
_FORMS = {
    "VERSION": "version 1",
    "MODEL": 'model "torchvision:resnet18"',
    "EPOCHS": "epochs 30",
    "INCLUDE": 'include "common.lr"',
    "LET": "let NAME = VALUE",
    "GROUP": "group NAME = SELECTOR",
    "OPTIMIZER": "optimizer adamw(weight_decay=0.01)",
    "SCHEDULE": "schedule cosine(warmup=5%)",
    "FREEZE": "freeze SELECTOR until epoch 5",
    "UNFREEZE": "unfreeze SELECTOR at epoch 5",
    "EXPECT": "expect SELECTOR lr == 1e-4",
}


def misspelled_statement(f: Failure) -> Diagnostic | None:
    """LR004: the statement begins with a word that is nearly one of the language's."""
    if len(f.tokens) != 1 or f.first != "PATTERN" or f.found in {",", "->", ":", "=>", "="}:
        return None
    word = f.token_span(0)
    near = nearest(word.text, STATEMENT_WORDS) if _WORD.fullmatch(word.text) else None
    if near is None:
        return None
    fix = replacing(word, near, safe=False)
    return error("LR004", f"unknown statement `{word.text}`", word, f"did you mean `{near}`?", fix=fix)


def selector_missing(f: Failure) -> Diagnostic | None:
    """LR005: `-> lr 1`, `freeze until epoch 5`: nothing says which parameters."""
    if not f.tokens and f.found == "->":
        return error(
            "LR005", "this rule has no selector", f.span, "write `SELECTOR -> ...`; `**` selects everything"
        )
    if len(f.tokens) == 2 and f.first in _SELECTING and f.last == "PATTERN":
        word, place = str(f.tokens[0]), f.token_span(1)
        if place.text in _TIME_WORDS and not f.ended:
            help_ = f"write `{word} SELECTOR {place.text} ...`; a layer of this name stands in quotes"
            return error("LR005", f"`{word}` has no selector before `{place.text}`", place, help_)
    return None


def quotes_missing(f: Failure) -> Diagnostic | None:
    """`model torchvision:resnet18`, `include common.lr`."""
    if len(f.tokens) != 1 or f.first not in {"MODEL", "INCLUDE"} or f.ended or f.found[0] in "=:,->\"'":
        return None
    written = _NO_SPACE.match(f.source.text, f.at)
    if written is None:
        return None
    span = Span(f.source, f.at, written.end())
    what = "a model" if f.first == "MODEL" else "a path"
    fix = replacing(span, f'"{span.text}"', safe=True)
    return error(
        "LR001", f"{what} stands in double quotes", span, f'write `"{shortened(span.text)}"`', fix=fix
    )


def repeated_part(f: Failure) -> Diagnostic | None:
    """LR005: a second `except`, `where`, `from`, `until` or `warmup`."""
    kind = f.found.upper()
    if kind not in {"EXCEPT", "WHERE", "FROM", "UNTIL", "WARMUP"} or kind not in f.types:
        return None
    if kind in {"EXCEPT", "WHERE"} and "THEN" in f.types[f.types.index(kind) :]:
        return None
    help_ = {
        "EXCEPT": "list everything to leave out after one `except`, with commas",
        "WHERE": "join the conditions with `and` or `or` after one `where`",
    }.get(kind, "a statement has one time window; write a second statement for another")
    return error("LR005", f"`{f.found}` stands twice in this statement", f.span, help_)


def comma_after_where(f: Failure) -> Diagnostic | None:
    """LR006: `a where x, b`: does the condition hold for b?"""
    if f.found != "," or f.inside_parentheses() or f.first == "LET":
        return None
    parts = [kind for kind in f.types if kind in {"WHERE", "ARROW", "THEN", "UNTIL", "FROM", "AT"}]
    if not parts or parts[-1] != "WHERE":
        return None
    help_ = "name the part with `group NAME = ... where ...` and list it as `@NAME`"
    return error("LR006", "a comma cannot follow `where`", f.span, help_)


def trailing_comma(f: Failure) -> Diagnostic | None:
    """LR005: a comma and nothing behind it."""
    if not f.ended or f.last != "COMMA":
        return None
    help_ = "remove it, or indent the next line to go on there"
    return error("LR005", "nothing follows this comma", f.token_span(-1), help_)


def part_out_of_order(f: Failure) -> Diagnostic | None:
    """LR005: `except` behind `where`, `from` behind `until`, a window behind the warm-up."""
    kind = f.found.upper()
    order = {"EXCEPT": {"WHERE"}, "UPDATING": {"FROM", "UNTIL", "WARMUP"}, "FROM": {"UNTIL", "WARMUP"},
             "UNTIL": {"WARMUP"}, "STARTING": {"WARMUP"}}  # fmt: skip
    later = order.get(kind, set()) & set(f.types)
    if not later:
        return None
    other = next(str(token) for token in f.tokens if token.type in later)
    return error("LR005", f"`{f.found}` comes before `{other}`", f.span, f"move it in front of `{other}`")


def definition_without_equal(f: Failure) -> Diagnostic | None:
    """`let base 1e-3`, `group stem: conv1`, `let 3x = 1`."""
    if f.first not in {"LET", "GROUP"} or len(f.tokens) > 2:
        return None
    word = str(f.tokens[0])
    form = _FORMS[f.first]
    if len(f.tokens) == 1:
        if f.ended or f.found == "->":
            return None
        if f.found == "=":
            return error("LR005", f"`{word}` gives no name", f.token_span(0), f"write `{form}`")
        return error("LR001", f"`{shortened(f.found)}` cannot be a name", f.span,
                     f"write `{form}`; names are letters, digits and `_`")  # fmt: skip
    if f.ended:
        return error("LR005", f"`{word} {f.tokens[1]}` has no value", f.span, f"write `{form}`")
    if f.found in {":", ":=", "=="}:
        fix = replacing(f.span, " =" if f.at == f.token_span(1).end else "=", safe=True)
        return error("LR001", f"`{word}` takes `=`, not `{f.found}`", f.span, f"write `{form}`", fix=fix)
    fix = Fix("insert `=`", (Edit(f.gap(), " ="),))
    return error("LR001", "`=` is missing behind the name", f.token_span(1), f"write `{form}`", fix=fix)


def quoted_name(f: Failure) -> Diagnostic | None:
    """`optimizer "adamw"`: optimizers, schedules and options are bare words."""
    if not f.found.startswith('"') or len(f.found) < 3 or "STRING" in f.accepted or "NAME" not in f.accepted:
        return None
    bare = f.found[1:-1]
    if not _WORD.fullmatch(bare) or f.last not in {"OPTIMIZER", "SCHEDULE", "ARROW", "LET", "GROUP"}:
        return None
    fix = replacing(f.span, bare, safe=True)
    return error("LR001", "this name stands without quotes", f.span, f"write `{bare}`", fix=fix)


def metric_without_quotes(f: Failure) -> Diagnostic | None:
    """`until val/loss stops falling`: a metric that is no plain name."""
    if f.last != "NAME" or len(f.tokens) < 2 or f.types[-2] not in {"UNTIL", "FROM", "AT"}:
        return None
    metric = _METRIC.match(f.source.text, f.token_span(-1).start)
    if metric is None or _WORD.fullmatch(metric[0]):
        return None
    span = Span(f.source, metric.start(), metric.end())
    fix = replacing(span, f'"{span.text}"', safe=True)
    return error(
        "LR001", "a metric with such signs stands in double quotes", span, f'write `"{span.text}"`', fix=fix
    )


def positional_argument(f: Failure) -> Diagnostic | None:
    """`exponential(0.9)`, `adamw(lr: 0.1)`: arguments are given by name, with `=`."""
    if not {"OPTIMIZER", "SCHEDULE"} & set(f.types) or not f.inside_parentheses():
        return None
    if "EQUAL" in f.accepted and f.last == "NAME":
        name = f.source.text[f.token_span(-1).start : f.token_span(-1).end]
        if f.found in {":", ":=", "=="}:
            fix = replacing(f.span, "=", safe=True)
            return error(
                "LR001", f"an argument takes `=`, not `{f.found}`", f.span, f"write `{name}=VALUE`", fix=fix
            )
        return error(
            "LR001", f"the argument `{name}` has no value", f.token_span(-1), f"write `{name}=VALUE`"
        )
    if (
        f.last in {"OPEN", "COMMA"}
        and "NAME" in f.accepted
        and not f.expects_expression()
        and f.found[:1] != ")"
    ):
        return error("LR001", "arguments are given by name", f.span, "write `NAME=VALUE`, as in `gamma=0.9`")
    return None


def option_without_name(f: Failure) -> Diagnostic | None:
    """`fc -> 1e-3`: a value for which option?"""
    if f.last not in {"ARROW", "COMMA"} or "ARROW" not in f.types or not f.found[:1].isdigit():
        return None
    help_ = f"write which option it is for, as in `lr {f.found}`"
    return error("LR005", f"`{shortened(f.found)}` is given to no option", f.span, help_)


def text_for_regex(f: Failure) -> Diagnostic | None:
    """`name matches "bias"`."""
    if f.last != "MATCHES" or not f.found.startswith('"'):
        return None
    written = "/" + f.found[1:-1].replace("/", "\\/") + "/"
    fix = replacing(f.span, written, safe=True)
    return error("LR001", "`matches` takes a regular expression between slashes", f.span,
                 f"write `{shortened(written)}`", fix=fix)  # fmt: skip


def number_missing(f: Failure) -> Diagnostic | None:
    """`until epoch`, `every epochs`: a unit without its number."""
    if (
        f.last != "NAME"
        or len(f.tokens) < 2
        or f.types[-2] not in {"UNTIL", "FROM", "AT", "EVERY", "WARMUP", "FOR"}
    ):
        return None
    unit = str(f.tokens[-1])
    if unit not in {"epoch", "epochs", "step", "steps"} or ("NUMBER" not in f.accepted and not f.ended):
        return None
    form = f"{unit.rstrip('s')} 5" if f.types[-2] in {"UNTIL", "FROM", "AT"} else f"2 {unit.rstrip('s')}s"
    return error("LR005", f"`{unit}` has no number", f.token_span(-1), f"write `{f.tokens[-2]!s} {form}`")


def misspelled_stops(f: Failure) -> Diagnostic | None:
    """`until val_loss stop falling`: the misspelled word was taken for a number's name."""
    if f.found not in {"falling", "rising"} or f.last != "NAME" or nearest(f.tokens[-1], ["stops"]) is None:
        return None
    word = f.token_span(-1)
    fix = replacing(word, "stops", safe=False)
    return error("LR004", f"unknown word `{word.text}`", word, "did you mean `stops`?", fix=fix)


def selection_behind_arrow(f: Failure) -> Diagnostic | None:
    """`fc -> lr 1 except fc.bias`: what narrows a selector stands in front of the arrow."""
    if f.found not in {"except", "where"} or "ARROW" not in f.types:
        return None
    help_ = f"write `SELECTOR {f.found} ... -> OPTION VALUE`"
    return error("LR005", f"`{f.found}` belongs in front of `->`", f.span, help_)


def incomplete_expectation(f: Failure) -> Diagnostic | None:
    """LR005: `expect fc`, `expect groups`: nothing is expected of it."""
    if f.first != "EXPECT" or not f.ended or len(f.tokens) < 2:
        return None
    span = Span(f.source, f.start, f.gap().start)
    subject = shortened(span.text.split(None, 1)[1])
    if subject in {"groups", "trainable"}:
        form = "groups == 3" if subject == "groups" else "trainable < 10%"
        return error("LR005", "this `expect` expects nothing", span, f"write `expect {form}`")
    if "TRAINS" in f.accepted:
        forms = f"write `expect {subject} lr == 1e-4`, `expect {subject} frozen` or `expect {subject} trains`"
        return error("LR005", "this `expect` expects nothing", span, forms)
    if "COMPARE" in f.accepted and f.last == "NAME":
        return error(
            "LR005", "this `expect` compares with nothing", span, f"write `expect {subject} == VALUE`"
        )
    return None


def misspelled_word(f: Failure) -> Diagnostic | None:
    """LR004: a word inside the statement that is nearly one that could stand there."""
    if not _WORD.fullmatch(f.found):
        return None
    if f.last == "NAME" and f.tokens[-1] == "not" and len(f.tokens) > 1 and f.types[-2] == "IS":
        span = f.token_span(-2).to(f.token_span(-1))
        help_ = "put `not` in front: `not module is norm`"
        return error("LR001", "there is no `is not`", span, help_)
    near = nearest(f.found, f.accepted_words())
    if near is None:
        return None
    fix = replacing(f.span, near, safe=False)
    return error("LR004", f"unknown word `{f.found}`", f.span, f"did you mean `{near}`?", fix=fix)


def unfreeze_without_time(f: Failure) -> Diagnostic | None:
    """LR005: `unfreeze layer4` and no word of when."""
    if f.first != "UNFREEZE" or "EVERY" not in f.accepted:
        return None
    several = "THEN" in f.types
    form = "unfreeze A then B every 2 epochs" if several else "unfreeze SELECTOR at epoch 5"
    if f.ended:
        return error("LR005", "this `unfreeze` does not say when", Span(f.source, f.start, f.gap().start),
                     f"write `{form}`")  # fmt: skip
    if several and f.found == "at":
        help_ = "write `every 2 epochs starting at ...`, or an `unfreeze` of its own for each"
        return error("LR001", "what is unfrozen one after the other takes `every`", f.span, help_)
    if f.found in {"from", "until", "after", "on", "in", "when", "before", "starting"}:
        fix = replacing(f.span, "at", safe=False)
        return error("LR001", f"`unfreeze` takes `at`, not `{f.found}`", f.span, f"write `{form}`", fix=fix)
    return None


def options_of_another_statement(f: Failure) -> Diagnostic | None:
    """`freeze fc -> lr 1`: freezing and options are two statements."""
    if f.found != "->" or f.first not in _SELECTING or len(f.tokens) < 2:
        return None
    word = str(f.tokens[0])
    help_ = f"write two statements: `{word} ...` and `SELECTOR -> OPTION VALUE`"
    return error("LR001", f"`{word}` takes no options", f.span, help_)


def missing_arrow(f: Failure) -> Diagnostic | None:
    """`fc lr 1e-3`: a selector and an option, and no arrow between them."""
    if "ARROW" not in f.accepted:
        return None
    if f.ended:
        span = Span(f.source, f.start, f.gap().start)
        if f.first in _FORMS and len(f.tokens) == 1:
            word = str(f.tokens[0])
            return error("LR005", f"`{word}` is incomplete", span, f"write `{_FORMS[f.first]}`")
        return error(
            "LR005",
            "this rule has no options",
            span,
            "write `SELECTOR -> OPTION VALUE`, as in `fc -> lr 1e-3`",
        )
    if f.first in _FORMS and len(f.tokens) == 1:
        word = str(f.tokens[0])
        return error(
            "LR001", f"unexpected `{shortened(f.found)}` after `{word}`", f.span, f"write `{_FORMS[f.first]}`"
        )
    fix = Fix("insert `->`", (Edit(f.gap(), " ->"),)) if _WORD.fullmatch(f.found) else None
    return error("LR001", f"`->` is missing before `{shortened(f.found)}`", f.span,
                 "a rule is written `SELECTOR -> OPTION VALUE`", fix=fix)  # fmt: skip


def missing_comma(f: Failure) -> Diagnostic | None:
    """`lr 1e-3 weight_decay 0`: options, arguments and items are listed with commas."""
    if "COMMA" not in f.accepted or f.ended:
        return None
    if not (_WORD.fullmatch(f.found) or f.found[0].isdigit() or f.found[0] in '."@'):
        return None
    fix = Fix("insert `,`", (Edit(f.gap(), ","),))
    return error("LR001", f"`,` is missing before `{shortened(f.found)}`", f.span,
                 "what is listed is separated by commas", fix=fix)  # fmt: skip


def chained_comparison(f: Failure) -> Diagnostic | None:
    """`1 < ndim < 4`."""
    if f.found not in {"<", "<=", ">", ">=", "==", "!=", "is", "matches"} or "COMPARE" not in f.types:
        return None
    if not f.after_expression():
        return None
    return error("LR001", "comparisons cannot be chained", f.span, "join two comparisons with `and`")


def ends_too_early(f: Failure) -> Diagnostic | None:
    """LR005: the statement, or what stands before its arrow, stops where something must follow."""
    if not f.tokens or not (f.ended or f.found == "->"):
        return None
    last = f.token_span(-1)
    if len(f.tokens) == 1 and f.first in _FORMS:
        return error("LR005", f"`{last.text}` is incomplete", last, f"write `{_FORMS[f.first]}`")
    needed = {
        "ARROW": ("this rule has no options", "write `SELECTOR -> OPTION VALUE`, as in `fc -> lr 1e-3`"),
        "EXCEPT": ("`except` has no selector", "write what to leave out"),
        "WHERE": ("`where` has no condition", "write one, as in `where ndim <= 1`"),
        "FROM": ("`from` has no time", "write `from epoch N`, `from step N` or `from N%`"),
        "UNTIL": ("`until` has no time", "write `until epoch N`, `until step N` or `until N%`"),
        "AT": ("`at` has no time", "write `at epoch N`, `at step N` or `at N%`"),
        "WARMUP": ("`warmup` has no length", "write `warmup N steps`, `warmup N epochs` or `warmup N%`"),
        "EVERY": ("`every` has no length", "write `every N epochs`"),
        "THEN": ("`then` has no selector", "write what is unfrozen next"),
        "UPDATING": ("`updating` is incomplete", "write `updating statistics`"),
    }.get(f.last)
    if needed:
        return error("LR005", needed[0], last, needed[1])
    if f.expects_expression():
        return error("LR005", f"a value is missing after `{shortened(last.text)}`", last)
    return None
