"""What may be written at a place: real names of the model, options in force, words, units, names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from layerlr_dsl.editor import foreign
from layerlr_dsl.editor import vocabulary as v
from layerlr_dsl.editor.completion_context import Context, context_at
from layerlr_dsl.editor.nodes import captures_in
from layerlr_dsl.editor.session import Session
from layerlr_dsl.editor.tree import Leaf, Tree
from layerlr_dsl.language import optimizers
from layerlr_dsl.language.expressions import CAPTURE_FUNCTIONS, DTYPES, FUNCTIONS
from layerlr_dsl.language.numbers import plural
from layerlr_dsl.language.optimizers import OptimizerInfo
from layerlr_dsl.language.patterns import PatternFault, compile_pattern
from layerlr_dsl.plan import schedules
from layerlr_dsl.reports.words import short

MOST = 1000
_AFTER_SELECTOR = {
    "": ("except", "where"),
    "group": ("except", "where"),
    "freeze": ("except", "where", "updating statistics", "from", "until", "warmup"),
    "statistics": ("except", "where", "from", "until"),
    "unfreeze": ("except", "where", "by", "then", "at", "every", "starting at", "warmup"),
    "expect": ("except", "where", "frozen", "trains"),
}


@dataclass(frozen=True, slots=True)
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
    context = context_at(session.text.content[begin:offset])
    context.start += begin
    found = {s.label: s for s in _for_context(session, context)}
    return list(found.values())[:MOST]


def _statement_start(session: Session, offset: int) -> int:
    """Where the statement around an offset begins, the one being typed included."""
    piece = session.pieces.at(offset)
    if piece is not None and piece.start <= offset:
        inside = session.text.content[piece.start : offset]
        ended = offset >= piece.end and inside.rstrip(" \t").endswith(("\n", ";"))
        if not ended:
            return piece.start
    before = session.text.content[:offset]
    start = max(before.rfind("\n"), before.rfind(";")) + 1
    return start + len(before[start:]) - len(before[start:].lstrip())


def _for_context(session: Session, at: Context) -> Iterator[Suggestion]:
    kind = at.kind
    if kind == "statement":
        if at.word.isalpha() or not at.word:
            yield from _words(at, v.STATEMENTS, "keyword")
        yield from _names(session, at)
    elif kind == "selector":
        if at.statement == "expect" and not at.before:
            yield from _words(at, v.COUNTED, "keyword")
        if at.statement == "freeze" and not at.before:
            yield from _words(at, _pick(v.WORDS, ("statistics of",)), "keyword")
        yield from _names(session, at)
    elif kind == "after selector":
        yield from _behind_selector(session, at)
    elif kind in ("where", "value", "argument value"):
        yield from _values(session, at)
    elif kind in ("heading", "after schedule", "after capture"):
        yield from _phrases(at, _pick(v.WORDS, _behind_part(at)))
    elif kind == "capture":
        for name in sorted(captures_in(session.text.content[_statement_start(session, at.start) : at.start])):
            yield Suggestion(name, "capture", at.start, "the number that the selector binds")
    elif kind == "after is":
        yield from _classes(session, at)
    elif kind == "option":
        yield from _options(session, at)
    elif kind == "optimizer":
        yield from (Suggestion(name, "class", at.start) for name in foreign.optimizer_names())
    elif kind == "schedule":
        yield from (Suggestion(name, "class", at.start) for name in schedules.names())
    elif kind in ("optimizer argument", "schedule argument"):
        yield from _arguments(session, at)
    elif kind in ("moment", "moment unit", "duration unit"):
        yield from _units(session, at)
    elif kind == "after metric":
        yield from _phrases(at, v.CONDITIONS)
    elif kind in ("after value", "after time"):
        yield from _phrases(at, _pick(v.WORDS, _behind_time(at)))
    elif kind == "compared":
        yield from _words(at, v.COMPARISONS, "keyword")
    elif kind == "after comparison":
        yield from _words(at, _pick(v.WORDS, ("at",)), "keyword")
    elif kind == "model":
        yield from _models(session, at)
    elif kind == "path":
        yield from _paths(session, at)


def _words(at: Context, words: dict[str, str], kind: str) -> Iterator[Suggestion]:
    for word, about in words.items():
        yield Suggestion(word, kind, at.start, about)


def _pick(words: dict[str, str], chosen: Iterable[str]) -> dict[str, str]:
    return {word: words[word] for word in chosen}


def _phrases(at: Context, phrases: dict[str, str]) -> Iterator[Suggestion]:
    """The phrases, or the rest of those that have been begun."""

    def begun(parts: list[str]) -> int:
        return next((n for n in range(len(parts) - 1, 0, -1) if at.before[-n:] == tuple(parts[:n])), 0)

    most = max((begun(phrase.split()) for phrase in phrases), default=0)
    for phrase, about in phrases.items():
        parts = phrase.split()
        if begun(parts) == most:
            yield Suggestion(" ".join(parts[most:]), "keyword", at.start, about)


def _behind_time(at: Context) -> tuple[str, ...]:
    if at.kind == "after value":
        return ("from", "until") if not at.factory or at.statement == "" else ()
    by = ("by",) if "for" in at.before and "by" not in at.before else ()
    if at.statement == "":
        return (*by, "until") if at.option == "from" else by
    if at.statement == "expect":
        return by
    return (
        *by,
        *{
            "from": ("until", "warmup"),
            "until": ("warmup",),
            "at": ("warmup",),
            "every": ("starting at", "warmup"),
        }.get(at.option, ()),
    )


def _behind_part(at: Context) -> tuple[str, ...]:
    """What may follow a part of a heading, a schedule of a sequence, or the capture of a turn."""
    if at.kind == "after capture":
        return ("then", "every") if len(at.before) > 1 else ("descending", "ascending", "then", "every")
    if at.kind == "after schedule":
        window = () if at.statement == "schedule" else ("from", "until")
        return ("then" if at.option == "for" else "for", *window)
    if at.statement == "after":
        return ("stages",)
    if at.before[-1:] == (",",):
        return ("fresh optimizer",)
    return tuple(word for word in ("for", "until") if word not in at.before and "until" not in at.before)


# ---------------------------------------------------------------- names of the model


def _names(session: Session, at: Context) -> Iterator[Suggestion]:
    """Groups, and the segments that may stand where the cursor is; nothing inside a regular expression."""
    if at.word.startswith("/"):
        return
    if not at.word or at.word.startswith("@"):
        yield from _groups(session, at)
    if session.tree is not None and not at.word.startswith("@"):
        yield from _segments(session.tree, at)


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


def _behind_selector(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.option == "where":
        yield from _words(at, _pick(v.WORDS, ("and", "or", "is", "matches", "mod")), "keyword")
    past = {"where": ("except", "where"), "except": ("except",)}
    gone = {word for seen, words in past.items() if seen in at.before for word in words}
    words = [word for word in _AFTER_SELECTOR.get(at.statement, ()) if word not in gone]
    yield from _phrases(at, _pick(v.WORDS, words))
    if at.statement == "":
        yield Suggestion("->", "keyword", at.start, "the options of what is selected")
    if at.statement == "expect":
        yield from _options(session, at)


# ---------------------------------------------------------------- options and values


def _in_force(session: Session) -> list[OptimizerInfo]:
    rules = session.judge.rules
    own = rules.optimizer.info if rules is not None else optimizers.known("adamw")
    chosen = {own.name: own}
    for clause in rules.clauses if rules is not None else ():
        for setting in clause.settings:
            if setting.option == "optimizer":
                info = foreign.tabled(str(setting.constant))
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


def _arguments(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.kind == "schedule argument":
        for name, argument in (schedules.arguments_of(at.factory) or {}).items():
            if name not in at.given:
                yield Suggestion(name, "option", at.start, v.argument_text(argument), f"{name}=")
        return
    for name, about in session.options.get(at.factory, {}).items():
        if name not in at.given:
            yield Suggestion(name, "option", at.start, about, f"{name}=")
    info = foreign.tabled(at.factory)
    for option in info.options.values() if info is not None else ():
        if option.name not in at.given:
            yield Suggestion(option.name, "option", at.start, v.option_text(option), f"{option.name}=")


def _groups(session: Session, at: Context) -> Iterator[Suggestion]:
    rules = session.judge.rules
    for name, group in (rules.groups if rules is not None else {}).items():
        yield Suggestion(f"@{name}", "group", at.start, " ".join(group.span.text.split()))


def _values(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.word.startswith("@"):
        yield from _groups(session, at)
        return
    rules = session.judge.rules
    for name, value in (rules.lets if rules is not None else {}).items():
        yield Suggestion(name, "constant", at.start, " ".join(value.span.text.split()))
    if at.option in ("optimizer", "schedule") and not at.argument:
        return
    statement = session.text.content[_statement_start(session, at.start) : at.start]
    of_time = at.option in ("from", "until", "at")
    captures = [] if of_time else sorted(captures_in(statement))
    for name in captures:
        yield Suggestion(name, "capture", at.start, "the number that the selector binds")
    if at.kind == "where" or (at.kind == "value" and at.statement in ("", "expect") and not of_time):
        yield from _words(at, v.ATTRIBUTES, "attribute")
    if at.kind == "where":
        yield from _words(at, _pick(v.WORDS, ("not",)), "keyword")
    yield from _words(
        at, _pick(v.FUNCTIONS, (*FUNCTIONS, *(CAPTURE_FUNCTIONS if captures else ()))), "function"
    )
    if of_time:
        return
    yield from _words(at, {"true": "", "false": ""}, "keyword")


def _classes(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.option == "dtype":
        yield from (Suggestion(name, "constant", at.start) for name in DTYPES)
        return
    yield from _words(at, v.FAMILIES, "class")
    for name in session.tree.class_names if session.tree is not None else ():
        yield Suggestion(name, "class", at.start, "a class of the model, or a base of one")


def _units(session: Session, at: Context) -> Iterator[Suggestion]:
    if at.kind == "duration unit":
        units = ("epochs",) if at.option == "for" else ("epochs", "steps")
        yield from _words(at, _pick(v.UNITS, units), "unit")
    else:
        yield from _words(at, _pick(v.UNITS, ("epoch", "step")), "unit")


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
