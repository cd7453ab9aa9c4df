"""What may be written at a place: real names of the model, options in force, words, units, names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from layerlr_dsl.catalogue import optimizers, schedules
from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.editor import other_optimizers
from layerlr_dsl.editor import vocabulary as v
from layerlr_dsl.editor.completion_context import Context, context_at
from layerlr_dsl.editor.mentions import captures_in
from layerlr_dsl.editor.session import Session
from layerlr_dsl.editor.tree import Leaf, Tree
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.machine import machine
from layerlr_dsl.language.names import (
    CAPTURE_FUNCTIONS,
    DTYPES,
    FUNCTIONS,
    GROUP_FUNCTIONS,
    LATER_FUNCTIONS,
    TIME_NAMES,
)
from layerlr_dsl.language.patterns import PatternFault, compile_pattern
from layerlr_dsl.language.trees import walk
from layerlr_dsl.plan.schedules.easing import NAMES as SHAPES
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import short

MOST = 1000
_OF_CONDITIONS = frozenset({"AND", "OR", "NOT", "IS", "MATCHES", "MOD"})
"""Words that may stand in any value by the grammar, and make sense in conditions alone."""


@record
class Suggestion:
    """One thing to write instead of `[start, cursor)`. `kind` is what an icon shows."""

    label: str
    kind: str
    start: int
    detail: str = ""
    text: str | None = None


def suggestions(session: Session, offset: int) -> list[Suggestion]:
    """What may be written at an offset of the document, at most `MOST` things."""
    begin = _statement_start(session, offset)
    at = context_at(session.text.content[begin:offset])
    if at is None:
        return []
    at = replace(at, start=at.start + begin)
    found = {s.label: s for s in _for_context(session, at)}
    return list(found.values())[:MOST]


def _statement_start(session: Session, offset: int) -> int:
    """Where the statement around an offset begins, the one being typed included."""
    piece = session.pieces.at(offset)
    if piece is not None and piece.start <= offset:
        return piece.start
    before = session.text.content[:offset]
    return max(before.rfind("\n"), before.rfind(";")) + 1


def _for_context(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.word.startswith("@") and "GROUP_NAME" in at.accepted:
        yield from _groups(session, at)
        return
    if "PATTERN" in at.accepted:
        yield from _names(session, at)
    if at.statement in ("model", "include") and "STRING" in at.accepted:
        yield from (_models if at.statement == "model" else _paths)(session, at)
        return
    own = _BY_ROLE[at.role](session, at)
    if at.role == "value":  # names are more often meant than `true` and `from`
        yield from own
    yield from _words_of_the_language(at)
    yield from own


def _words(at: Context, words: dict[str, str], kind: str) -> Iterator[Suggestion]:
    for word, about in words.items():
        yield Suggestion(word, kind, at.start, about)


def _pick(words: dict[str, str], chosen: Iterable[str]) -> dict[str, str]:
    return {word: words[word] for word in chosen}


def _words_of_the_language(at: Context) -> Iterator[Suggestion]:
    """The words and signs that the grammar takes here, each with those that must follow it."""
    if at.word and not at.word.isalpha():
        return
    for kind in sorted(_sensible(at)):
        for phrase in at.phrases(kind):
            yield Suggestion(phrase, "keyword", at.start, v.about(phrase))
    if "ARROW" in at.accepted and at.statement == "":
        yield Suggestion("->", "keyword", at.start, "the options of what is selected")
    if _compares(at):
        yield from _words(at, v.COMPARISONS, "keyword")
    if "COUNTED" in at.accepted:
        yield from _words(at, v.COUNTED, "keyword")
    if "HELD" in at.accepted:
        yield from _words(at, _pick(v.WORDS, ("statistics of",)), "keyword")


def _sensible(at: Context) -> Iterator[str]:
    """The words that are accepted, less those that a reader would wonder at."""
    unsensible: set[str] = set()
    if not at.has("WHERE") or at.has("ARROW"):
        unsensible |= _OF_CONDITIONS
    if at.role == "option":  # both are among the options
        unsensible |= {"OPTIMIZER", "SCHEDULE"}
    if at.statement and len(at.tokens) == 1:  # a layer may bear the name of such a word
        unsensible |= {"EXCEPT", "WHERE"}
    if at.tokens and at.tokens[-1].text in ("epoch", "step"):  # a metric may
        unsensible |= {"STOPS"}
    if at.factory_kind == "schedule" and "FOR" not in at.part:  # one without an end is the last
        unsensible |= {"THEN"}
    return iter(at.accepted & machine().words - unsensible)


def _compares(at: Context) -> bool:
    """Whether a comparison is what comes next, and not only what could follow any value."""
    return "COMPARE" in at.accepted and "PLUS" not in at.accepted


# ---------------------------------------------------------------- names of the model


def _names(session: Session, at: Context) -> Iterator[Suggestion]:
    """Groups, and the segments that may stand where the cursor is; nothing inside a regular expression."""
    if at.word.startswith("/"):
        return
    if not at.word:
        yield from _groups(session, at)
    if session.tree is not None:
        yield from _segments(session.tree, at)


def _groups(session: Session, at: Context) -> Iterator[Suggestion]:
    rules = session.checker.rules
    for name, group in (rules.groups if rules is not None else {}).items():
        yield Suggestion(f"@{name}", "group", at.start, group.span.excerpt)


def _segments(tree: Tree, at: Context) -> Iterator[Suggestion]:
    quote = at.word.startswith('"')
    path, dot, _ = at.word.rpartition(".")
    start = at.start + len(path) + len(dot) + (quote and not dot)
    path = path.removeprefix('"')
    below = _below(tree, path)
    numbers = [name for name in below if name.isdecimal()]
    if len(numbers) > 2:
        low, high = min(map(int, numbers)), max(map(int, numbers))
        yield Suggestion("*", "module", start, f"all of {low} to {high}")
        yield Suggestion("<i>", "module", start, f"{low} to {high}, bound to i")
        yield Suggestion(f"{{{low}..{high}}}", "module", start, "the numbers from and to, both in")
    if not path:
        yield Suggestion("**", "module", start, "any number of segments")
    for name, found in below.items():
        if isinstance(found, Leaf):
            shape = "" if found.shape is None else " x ".join(map(str, found.shape))
            yield Suggestion(name, "parameter", start, f"{shape} {found.dtype}".strip())
        else:
            node = tree.nodes[found]
            covers = f"{plural(node.tensors, 'tensor')}, {short(node.numel)}"
            if node.tensors:
                yield Suggestion(name, "module", start, f"{node.class_name}: {covers}")


def _below(tree: Tree, path: str) -> dict[str, int | Leaf]:
    """What stands right below the modules that a path names; behind `**`, everything."""
    if not path:
        return tree.children([0])
    if path.endswith("**"):
        return tree.children(range(len(tree.nodes)))
    try:
        return tree.children(tree.reached(compile_pattern(path)))
    except PatternFault:
        return {}


# ---------------------------------------------------------------- options and values


def _in_force(session: Session) -> list[OptimizerInfo]:
    rules = session.checker.rules
    own = rules.optimizer.info if rules is not None else optimizers.known("adamw")
    chosen = {own.name: own}
    for clause in rules.clauses if rules is not None else ():
        for setting in clause.settings:
            if setting.option == "optimizer":
                info = optimizers.find_unimported(str(setting.constant))
                if info is not None:
                    chosen[info.name] = info
    return list(chosen.values())


def _options(session: Session, at: Context) -> Iterator[Suggestion]:
    for options in session.options.values():
        for name, about in options.items():
            if name not in at.given:
                yield Suggestion(name, "option", at.start, about)
    for info in _in_force(session) if not session.blind else ():
        for option in info.options.values():
            if option.group and option.algorithmic and option.name not in at.given:
                yield Suggestion(option.name, "option", at.start, v.option_text(option))
    if at.statement != "expect":
        yield from _words(at, _pick(v.OPTIONS, {"schedule", "optimizer"} - at.given), "option")


def _factories(session: Session, at: Context) -> Iterator[Suggestion]:
    rules = session.checker.rules
    if at.factory_kind == "optimizer":
        names, own = other_optimizers.optimizer_names(), set(rules.optimizers if rules is not None else ())
    else:
        names, own = schedules.names(), rules.lets.moving if rules is not None else set()
    yield from (Suggestion(name, "constant", at.start, "named in this file") for name in sorted(own))
    yield from (Suggestion(name, "class", at.start) for name in names)


def _arguments(session: Session, at: Context) -> Iterator[Suggestion]:
    for name, about in _arguments_of(session, at).items():
        if name not in at.given:
            yield Suggestion(name, "option", at.start, about, f"{name}=")


def _arguments_of(session: Session, at: Context) -> dict[str, str]:
    """What the optimizer or schedule takes, and what each argument means."""
    if at.factory_kind == "schedule":
        taken = schedules.arguments_of(at.factory) or {}
        return {name: v.argument_text(argument) for name, argument in taken.items()}
    info = optimizers.find_unimported(at.factory)
    if info is None:
        return session.options.get(at.factory, {})
    return {option.name: v.option_text(option) for option in info.options.values()}


def _values(session: Session, at: Context) -> Iterator[Suggestion]:
    if _argument_at(at) in _SHAPED:
        yield from _words(at, dict.fromkeys(SHAPES, "the shape between two points"), "constant")
        return
    yield from _lets(session, at)
    captures = list(_captures(session, at))
    yield from captures
    yield from _keywords(at)
    if at.statement in ("", "expect") and not at.factory:
        yield from _words(at, v.ATTRIBUTES, "attribute")
    if not at.factory:
        yield from _words(at, {"pi": "3.14159..."}, "attribute")
    if _may_move(at):
        yield from _words(
            at, dict.fromkeys(schedules.CALLED, "its factor, as a function of time"), "function"
        )
        yield from _words(at, dict(TIME_NAMES), "attribute")
    bound = CAPTURE_FUNCTIONS if captures else GROUP_FUNCTIONS if _has_groups(session) else ()
    functions = (*FUNCTIONS, *LATER_FUNCTIONS, *bound)
    yield from _words(at, _pick(v.FUNCTIONS, functions), "function")


_SHAPED = frozenset({"shape", "warmup_type", "decay_type"})
_OF_RAMPS = {
    "shape": "how the value goes from point to point",
    "endpoint": "reached at the last tick before it",
}


def _argument_at(at: Context) -> str:
    """The argument whose value comes next."""
    behind = at.tokens[-2:]
    return behind[0].text if len(behind) == 2 and behind[1].text == "=" else ""


def _may_move(at: Context) -> bool:
    """Whether a value may change with time here: in rules behind the arrow, and in `let`."""
    return not at.factory and (at.statement == "let" or (at.statement == "" and at.has("ARROW")))


def _keywords(at: Context) -> Iterator[Suggestion]:
    """The arguments of the ramp, or of the schedule as a function, that the cursor is in."""
    called = _called_around(at) if _may_move(at) and not _argument_at(at) else ""
    taken = schedules.arguments_of(called) if called in schedules.CALLED else None
    about = {name: v.argument_text(info) for name, info in (taken or {}).items()}
    for name, text in (_OF_RAMPS if called == "ramp" else about).items():
        yield Suggestion(name, "option", at.start, text, f"{name}=")


def _called_around(at: Context) -> str:
    """The function whose parentheses are the innermost that stand open."""
    depth = 0
    for place in range(len(at.tokens) - 1, 0, -1):
        depth += {")": 1, "(": -1}.get(at.tokens[place].text[-1:], 0)
        if depth < 0:
            token = at.tokens[place]
            return at.tokens[place - 1].text if token.text == "(" else token.text[:-1]
    return ""


def _has_groups(session: Session) -> bool:
    rules = session.checker.rules
    return rules is not None and bool(rules.groups)


def _captures(session: Session, at: Context) -> Iterator[Suggestion]:
    statement = session.text.content[_statement_start(session, at.start) : at.start]
    for name in sorted(captures_in(statement)):
        yield Suggestion(name, "capture", at.start, "the number that the selector binds")


def _counts(session: Session, at: Context) -> Iterator[Suggestion]:
    yield from _lets(session, at)
    yield from _words(at, _pick(v.FUNCTIONS, FUNCTIONS), "function")


def _lets(session: Session, at: Context) -> Iterator[Suggestion]:
    rules = session.checker.rules
    for name, value in (rules.lets if rules is not None else {}).items():
        yield Suggestion(name, "constant", at.start, value.span.excerpt)


def _classes(session: Session, at: Context) -> Iterator[Suggestion]:
    if len(at.tokens) > 1 and at.tokens[-2].text == "dtype":
        yield from (Suggestion(name, "constant", at.start) for name in DTYPES)
        return
    yield from _words(at, v.FAMILIES, "class")
    for name in session.tree.class_names if session.tree is not None else ():
        yield Suggestion(name, "class", at.start, "a class of the model, or a base of one")


def _units(*units: str) -> Callable[[Session, Context], Iterator[Suggestion]]:
    return lambda session, at: _words(at, _pick(v.UNITS, units), "unit")


def _moments(session: Session, at: Context) -> Iterator[Suggestion]:
    """Units, and the metrics that the file waits for elsewhere or that the runner reports."""
    yield from _units("epoch", "step")(session, at)
    if at.statement == "expect" or (at.tokens and at.tokens[-1].text in v.UNITS):
        return
    statements = (statement for _, statement in session.pieces.statements())
    waited = {node.metric for found in statements for node in walk(found) if isinstance(node, s.Condition)}
    for metric in sorted(waited - v.METRICS.keys()):
        named = metric if metric.isidentifier() else f'"{metric}"'
        yield Suggestion(named, "metric", at.start, "a metric that this file waits for")
    yield from _words(at, v.METRICS, "metric")


def _nothing(session: Session, at: Context) -> Iterator[Suggestion]:
    return iter(())


_BY_ROLE: dict[str, Callable[[Session, Context], Iterator[Suggestion]]] = {
    "": _nothing,
    "option": _options,
    "factory": _factories,
    "argument": _arguments,
    "value": _values,
    "count": _counts,
    "moment": _moments,
    "stretch": _units("epochs", "steps"),
    "patience": _units("epochs"),
    "class": _classes,
    "capture": _captures,
    "definition": _nothing,
}


# ---------------------------------------------------------------- files


def _models(session: Session, at: Context) -> Iterator[Suggestion]:
    forms = {
        '"torchvision:': "a model of torchvision, such as torchvision:resnet18",
        '"timm:': "a model of timm, such as timm:vit_base_patch16_224",
        '"hf:': "a folder with a config.json of transformers, inside the rules root",
    }
    yield from _words(at, forms, "file")
    yield from _files(session, at, "*.json", lambda path: path.name not in ("package.json", "config.json"))


def _paths(session: Session, at: Context) -> Iterator[Suggestion]:
    yield from _files(session, at, "*.lr", lambda path: path != session.path)


def _files(session: Session, at: Context, pattern: str, wanted: object) -> Iterator[Suggestion]:
    """Files beside the document and in the folders right below, so that a large tree costs nothing."""
    assert callable(wanted)
    if session.path is None:
        return
    folder: Path = session.path.parent
    for path in sorted([*folder.glob(pattern), *folder.glob(f"*/{pattern}")])[:200]:
        if wanted(path):
            yield Suggestion(f'"{path.relative_to(folder).as_posix()}"', "file", at.start)
