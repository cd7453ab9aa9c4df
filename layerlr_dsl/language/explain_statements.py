"""Mistakes about whole statements: which one is meant, and what form it has."""

from __future__ import annotations

import re

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import replacing, shortened
from layerlr_dsl.language.phrasebook.phrase import OPTION
from layerlr_dsl.language.recovery import STATEMENT_WORDS
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.nearest import nearest

FORMS = {
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
    "STEPS": "steps 10_000",
    "STEPS_PER_EPOCH": "steps_per_epoch 500",
    "STAGE": "stage NAME for 5 epochs",
    "AFTER": "after stages",
}
_RULE = "write `SELECTOR -> OPTION VALUE`, as in `fc -> lr 1e-3`"
_OPTIONS = {"lr", "learning_rate", "weight_decay", "momentum", "betas", "eps"}
# What other languages call it.
_MEANT = {
    "import": "include",
    "set": "let",
    "var": "let",
    "const": "let",
    "define": "let",
    "def": "let",
    "val": "let",
    "assert": "expect",
    "thaw": "unfreeze",
}
# Layers are called so, however near a word of statements it is.
_LAYER = {"stem"}
# What follows a word that is near the names of many layers.
_FOLLOWED = {
    "steps": re.compile(r"[\d(]"),
    "stage": re.compile(r"\w+[ \t]*(?:$|[#;,]|(?:for|until)\b)"),
    "after": re.compile(r"stages?\b"),
}
_NO_SPACE = re.compile(r'[^\s"#;]+')
_BARE_PATH = re.compile(r"[ \t]*([^\s\"';#]+)")
_DOTTED = re.compile(r"(\w+\.)+(\w+)")
_NAME_RUN = re.compile(r"[\w.@-]+")


def misspelled_statement(f: Failure) -> Diagnostic | None:
    """LR004: the statement begins with a word that is nearly one of the language's."""
    if len(f.tokens) != 1 or f.first != "PATTERN" or f.found in {",", "->", ":", "=>", "="}:
        return None
    word = f.token_span(0)
    if word.text in _OPTIONS | _LAYER or not word.text.isidentifier():
        return None
    near = _MEANT.get(word.text) or nearest(word.text, _likely(f))
    if near is None:
        return None
    fix = replacing(word, near, safe=False)
    return error("LR004", f"unknown statement `{word.text}`", word, f"did you mean `{near}`?", fix=fix)


def _likely(f: Failure) -> list[str]:
    """The words of statements, but for those whose own form does not follow: layers are called `stages`."""
    rest = f.rest_of_line()
    return [word for word in STATEMENT_WORDS if word not in _FOLLOWED or _FOLLOWED[word].match(rest)]


def option_without_selector(f: Failure) -> Diagnostic | None:
    """LR005: `lr 1e-3`: for which parameters?"""
    if (
        len(f.tokens) != 1
        or f.tokens[0].text not in _OPTIONS
        or not (f.found[:1].isdigit() or f.found[:1] in {"=", ".", ":"})
    ):
        return None
    option = f.token_span(0)
    meant = f"** -> {OPTION.get(option.text, option.text)}"
    sign = len(f.found) if f.found in {"=", ":", ":=", "=="} else 0
    gap = re.match(r"[ \t]*", f.source.text[f.at + sign :])
    place = Span(f.source, f.start, f.at + sign + (gap.end() if gap else 0))
    fix = Fix(f"write `{meant}`", (Edit(place, f"{meant} "),))
    help_ = f"write `{meant} VALUE` for all parameters"
    return error("LR005", f"`{option.text}` is set for no parameters", option, help_, fix=fix)


def statement_with_equal(f: Failure) -> Diagnostic | None:
    """`epochs = 30`, `optimizer: adamw`."""
    if len(f.tokens) != 1 or f.first not in FORMS or f.found not in {"=", ":", ":=", "=="}:
        return None
    word = f.token_span(0)
    if f.first in {"LET", "GROUP"}:
        return error("LR005", f"`{word.text}` gives no name", word, f"write `{FORMS[f.first]}`")
    gap = Span(f.source, word.end, f.at + len(f.found))
    follows = f.source.text[gap.end : gap.end + 1]
    edits: tuple[Edit, ...] = (Edit(gap, "" if follows.isspace() else " "),)
    bare = _BARE_PATH.match(f.source.text, gap.end)
    if bare is not None and f.first in {"MODEL", "INCLUDE"}:
        edits += (Edit(Span(f.source, bare.start(1), bare.end()), f'"{bare[1]}"'),)
    fix = Fix(f"remove `{f.found}`", edits, safe=True)
    message = f"`{word.text}` takes no `{f.found}`"
    return error("LR001", message, f.span, f"write `{FORMS[f.first]}`", fix=fix)


def quotes_missing(f: Failure) -> Diagnostic | None:
    """`model torchvision:resnet18`, `include common.lr`."""
    if len(f.tokens) != 1 or f.first not in {"MODEL", "INCLUDE"} or f.ended or f.found[0] in "=:,->\"'":
        return None
    written = _NO_SPACE.match(f.source.text, f.at)
    if written is None:
        return None
    span = Span(f.source, f.at, written.end())
    what = "a model" if f.first == "MODEL" else "a path"
    quoted = f'"{span.text}"'
    fix = replacing(span, quoted, safe=True)
    return error("LR001", f"{what} stands in double quotes", span, f"write `{shortened(quoted)}`", fix=fix)


def definition_without_equal(f: Failure) -> Diagnostic | None:
    """`let base 1e-3`, `group stem: conv1`, `let my-rate = 1`."""
    if f.first not in {"LET", "GROUP"} or len(f.tokens) > 2:
        return None
    word, form = f.tokens[0].text, f"write `{FORMS[f.first]}`"
    if len(f.tokens) == 1:
        if f.ended or f.found == "->":
            return None
        return _no_name(f, f.at, form)
    if f.last in {"WHERE", "EXCEPT"}:
        return _no_name(f, f.token_span(1).start, form) if f.found == "=" else None
    if f.ended:
        return error("LR005", f"`{word} {f.tokens[1].text}` has no value", f.token_span(1), form)
    if f.touches() and f.found in {"-", ".", "@"}:
        return _no_name(f, f.token_span(1).start, form)
    if f.found in {":", ":=", "=="}:
        fix = replacing(f.span, " =" if f.touches() else "=", safe=True)
        return error("LR001", f"`{word}` takes `=`, not `{f.found}`", f.span, form, fix=fix)
    if f.found == ",":
        return error("LR001", f"each `{word}` gives one name", f.span, "write one statement for each")
    fix = Fix("insert `=`", (Edit(f.gap(), " ="),))
    return error("LR001", "`=` is missing behind the name", f.token_span(1), form, fix=fix)


def _no_name(f: Failure, start: int, form: str) -> Diagnostic:
    run = _NAME_RUN.match(f.source.text, start)
    span = Span(f.source, start, run.end() if run else start + len(f.found))
    message = f"`{shortened(span.text)}` cannot be a name"
    return error("LR001", message, span, f"{form}; names are letters, digits and `_`")


def quoted_name(f: Failure) -> Diagnostic | None:
    """`optimizer "adamw"`: optimizers, schedules and options are bare words."""
    if f.last not in {"OPTIMIZER", "SCHEDULE", "STAGE", "LET", "GROUP"} or not f.found.startswith('"'):
        return None
    bare = f.found[1:-1]
    if not bare.isidentifier():
        return None
    fix = replacing(f.span, bare, safe=True)
    return error("LR001", "this name stands without quotes", f.span, f"write `{bare}`", fix=fix)


def dotted_name(f: Failure) -> Diagnostic | None:
    """`optimizer torch.optim.AdamW`."""
    if f.kind(-2) not in {"OPTIMIZER", "SCHEDULE"} or f.found != "." or not f.touches():
        return None
    dotted = _DOTTED.match(f.source.text, f.token_span(-1).start)
    if dotted is None:
        return None
    span = Span(f.source, dotted.start(), dotted.end())
    fix = replacing(span, dotted[2], safe=False)
    what = f.kind(-2).lower()
    return error("LR001", f"an {what} is named without its module".replace("an s", "a s"), span,
                 f"write `{dotted[2]}`", fix=fix)  # fmt: skip


def second_optimizer(f: Failure) -> Diagnostic | None:
    """`optimizer adamw, sgd`."""
    if f.first not in {"OPTIMIZER", "SCHEDULE"} or f.found != "," or f.inside_parentheses():
        return None
    word = f.tokens[0].text
    help_ = f"write `SELECTOR -> {word} NAME` to give some parameters another"
    if f.first == "SCHEDULE":
        help_ += ", or `A for N epochs then B` for one after the other"
    return error("LR001", f"a file has one `{word}` for all", f.span, help_)


def options_of_another_statement(f: Failure) -> Diagnostic | None:
    """`freeze fc -> lr 1`: freezing and options are two statements."""
    if f.found != "->" or f.first not in FORMS or len(f.tokens) < 2 or f.expects_expression():
        return None
    word = f.tokens[0].text
    help_ = f"write two statements: `{word} ...` and `SELECTOR -> OPTION VALUE`"
    return error("LR001", f"`{word}` takes no options", f.span, help_)


def unfreeze_without_time(f: Failure) -> Diagnostic | None:
    """LR005: `unfreeze layer4` and no word of when."""
    if f.first != "UNFREEZE" or "EVERY" not in f.accepted:
        return None
    several = "THEN" in f.types or "BY" in f.types
    form = "unfreeze SELECTOR at epoch 5"
    if several:
        form = "unfreeze A then B every 2 epochs" if "THEN" in f.types else f"{f.read().text} every 2 epochs"
    if f.ended:
        return error("LR005", "this `unfreeze` does not say when", f.read(), f"write `{form}`")
    if several and f.found == "at":
        help_ = "write `every 2 epochs starting at ...`, or an `unfreeze` of its own for each"
        return error("LR001", "what is unfrozen one after the other takes `every`", f.span, help_)
    if f.found in {"from", "until", "after", "on", "in", "when", "before", "starting"}:
        fix = replacing(f.span, "at", safe=False)
        return error("LR001", f"`unfreeze` takes `at`, not `{f.found}`", f.span, f"write `{form}`", fix=fix)
    return None


def incomplete_expectation(f: Failure) -> Diagnostic | None:
    """LR005: `expect fc`, `expect groups`; LR004: `expect fc frozn`; `expect fc is frozen`."""
    if f.first != "EXPECT" or len(f.tokens) < 2:
        return None
    if f.found in {"frozen", "trains"} and f.tokens[-1].text in {"is", "not", "are"}:
        span = f.token_span(-1).to(f.span)
        meant = f.found if f.tokens[-1].text != "not" else {"frozen": "trains", "trains": "frozen"}[f.found]
        fix = replacing(span, meant, safe=False)
        return error("LR001", "a state stands right behind its selector", span, f"write `{meant}`", fix=fix)
    if f.tokens[-1].text in {"groups", "trainable"} and len(f.tokens) == 2 and f.found[:1].isdigit():
        help_ = f"write a comparison, as in `expect {f.tokens[1].text} == {f.found}`"
        return error("LR001", f"a comparison is missing before `{f.found}`", f.span, help_)
    if not f.ended:
        return None
    subject = shortened(f.source.text[f.tokens[0].end : f.tokens[-1].end].strip())
    if subject in {"groups", "trainable"}:
        form = "groups == 3" if subject == "groups" else "trainable < 10%"
        return error("LR005", "this `expect` expects nothing", f.read(), f"write `expect {form}`")
    if subject in {"frozen", "trains"}:
        return error("LR005", "this `expect` has no selector", f.read(), f"write `expect SELECTOR {subject}`")
    if "TRAINS" in f.accepted:
        forms = f"write `expect {subject} lr == 1e-4`, `expect {subject} frozen` or `expect {subject} trains`"
        return error("LR005", "this `expect` expects nothing", f.read(), forms)
    if "COMPARE" not in f.accepted or f.last != "NAME":
        return None
    if near := nearest(f.tokens[-1].text, ["frozen", "trains"]):
        fix = replacing(f.token_span(-1), near, safe=False)
        message = f"unknown word `{f.tokens[-1].text}`"
        return error("LR004", message, f.token_span(-1), f"did you mean `{near}`?", fix=fix)
    return error(
        "LR005", "this `expect` compares with nothing", f.read(), f"write `expect {subject} == VALUE`"
    )


def missing_arrow(f: Failure) -> Diagnostic | None:
    """`fc lr 1e-3`: a selector and an option, and no arrow between them."""
    if "ARROW" not in f.accepted or f.after_expression():
        return None
    if f.first in FORMS and len(f.tokens) == 1:
        word = f.tokens[0].text
        form = f"write `{FORMS[f.first]}`"
        if f.ended:
            return error("LR005", f"`{word}` is incomplete", f.read(), form)
        return error("LR001", f"unexpected `{shortened(f.found)}` after `{word}`", f.span, form)
    if f.ended:
        return error("LR005", "this rule has no options", f.read(), _RULE)
    fix = Fix("insert `->`", (Edit(f.gap(), " ->"),)) if f.word() else None
    return error("LR001", f"`->` is missing before `{shortened(f.found)}`", f.span, _RULE, fix=fix)
