"""What a word means where it stands: selectors, options, lets, groups, schedules, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from layerlr_dsl.catalogue import optimizers, schedules
from layerlr_dsl.catalogue.optimizers import OptimizerInfo
from layerlr_dsl.editor import vocabulary as v
from layerlr_dsl.editor.findings import Here
from layerlr_dsl.editor.mentions import path_to
from layerlr_dsl.editor.navigation import definition, home_of, occurrence_at, word_at
from layerlr_dsl.editor.session import Covered, Session
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Fault, Scope, evaluate
from layerlr_dsl.language.lets import Lets
from layerlr_dsl.language.names import TIME_NAMES
from layerlr_dsl.language.questions import is_constant
from layerlr_dsl.language.source import Span
from layerlr_dsl.language.trees import walk
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import short

_WORD = re.compile(r"[a-z][a-z_]*")
_NAMING = (s.Pattern, s.Regex, s.GroupRef, s.GroupCapture, s.String, s.Name)
"""Parts of a statement in which a word of the language is none."""


_ASKED = {**TIME_NAMES, "pi": "3.14159..."}
_OF_A_RAMP = {
    "shape": "how it goes from point to point: `linear`, `cosine`, `exponential`, `sqrt`, `power(n)` or `constant`",
    "endpoint": "whether the last point is reached at the last tick before it (default false)",
    "exact": "whether points lie where they are written, between two steps too (default false)",
}


@record
class Explained:
    """A piece of Markdown, and the range that it is about."""

    place: Here
    text: str


def hover(session: Session, offset: int) -> Explained | None:
    """What there is to say of the innermost thing at an offset."""
    piece = session.pieces.at(offset)
    if piece is None or piece.statement is None:
        return _in_a_broken_statement(session, offset)
    inside = offset - piece.fragment.start
    path = path_to(piece.statement, inside)
    asker = _Asker(session, piece.statement, inside)
    for node in reversed(path):
        text = asker.of(node)
        if text is not None:
            span = asker.span or node.span
            shift = piece.fragment.start
            return Explained(Here(None, span.start + shift, span.end + shift), text)
    return None


def _in_a_broken_statement(session: Session, offset: int) -> Explained | None:
    """What the word at an offset means by itself: a name of the file, or a word of the language."""
    found = word_at(session, offset)
    if found is None:
        return None
    word, place = found
    home = home_of(session, word)
    if home is not None:
        return Explained(place, f"```layerlr\n{home.statement.span.excerpt}\n```")
    for words in (v.OPTIONS, v.ATTRIBUTES, v.FUNCTIONS, v.KEYWORDS, v.OPENINGS):
        if word in words:
            return Explained(place, f"`{word}`: {words[word].removeprefix(f'`{word}`: ')}")
    return None


def coverage_text(covered: Covered) -> str:
    """`15 tensors, 8.4 M parameters`, and the first names."""
    lines = [f"{plural(covered.tensors, 'tensor')}, {short(covered.numel)} parameters"]
    lines += [f"- `{name}`" for name in covered.examples]
    more = covered.tensors - len(covered.examples)
    if more > 0 and covered.examples:
        lines.append(f"- and {more:,} more")
    return "\n".join([lines[0], "", *lines[1:]]) if len(lines) > 1 else lines[0]


class _Asker:
    """Asks each kind of node what it has to say; `span` is set where that is about a part of it."""

    def __init__(self, session: Session, statement: s.Statement, inside: int) -> None:
        self.session = session
        self.statement = statement
        self.inside = inside
        self.span: Span | None = None

    def of(self, node: Any) -> str | None:
        self.span = None
        for said in self._sayings(node):
            if said is not None:
                return said
        return None

    def _sayings(self, node: Any) -> Iterator[str | None]:
        if isinstance(node, (s.Pattern, s.Regex)):
            yield self._coverage(node.span)
        elif isinstance(node, (s.GroupRef, s.GroupCapture)):
            yield self._mention()
        elif isinstance(node, s.Selector):
            yield self._coverage(node.span)
        elif isinstance(node, (s.Setting, s.ExpectOption)):
            yield self._on(node.option_span, lambda: self._quoted(node) or self._option(node.option))
        elif isinstance(node, s.Factory):
            yield self._on(node.name_span, lambda: self._factory(node.name) or self._mention())
        elif isinstance(node, s.Argument):
            yield self._on(node.name_span, lambda: self._argument(node))
        elif isinstance(node, s.Call):
            yield self._on(
                node.function_span,
                lambda: _described(node.function, v.FUNCTIONS) or self._factory(node.function),
            )
            yield self._value(node)
        elif isinstance(node, (s.LetStatement, s.GroupStatement, s.OptimizerStatement)):
            yield None if node.name_span is None else self._on(node.name_span, self._mention)
        elif isinstance(node, s.StageStatement):
            yield self._on(node.name_span, lambda: v.STATEMENTS["stage"])
        elif isinstance(node, s.Name):
            yield self._mention() or self._name(node)
        elif isinstance(node, s.Is):
            yield self._on(node.word_span, lambda: _described(node.word, v.FAMILIES))
        elif isinstance(node, (s.Number, s.Arithmetic, s.Negative)):
            yield self._value(node)
        yield self._table(node.span)
        if node is self.statement:
            yield self._word()

    def _on(self, span: Span, say: Any) -> str | None:
        if not span.start <= self.inside <= span.end:
            return None
        self.span = span
        said: str | None = say()
        return said

    def _coverage(self, span: Span) -> str | None:
        shift = getattr(span.source, "start", 0)
        for covered in self.session.covered:
            place = covered.place
            if not place.gone and (place.start, place.end) == (span.start + shift, span.end + shift):
                return coverage_text(covered)
        return None

    def _table(self, span: Span) -> str | None:
        """What a value comes to, by capture and over time."""
        shift = getattr(span.source, "start", 0)
        for tabled in self.session.tabled:
            place = tabled.place
            if not place.gone and (place.start, place.end) == (span.start + shift, span.end + shift):
                return _markdown(tabled.head, tabled.rows)
        return None

    def _mention(self) -> str | None:
        shift = getattr(self.statement.span.source, "start", 0)
        found = occurrence_at(self.session, self.inside + shift)
        if found is None:
            return None
        mention = found.mention
        self.span = mention.span
        rules = self.session.checker.rules
        if mention.kind == "let":
            value = rules.lets.get(mention.name) if rules is not None else None
            return f"```layerlr\nlet {mention.name} = {_written(value)}\n```{self._worth(value)}{self._course(value)}"
        home = definition(self.session, mention)
        if mention.kind == "optimizer":
            return None if home is None else f"```layerlr\n{home.statement.span.excerpt}\n```"
        group = rules.groups.get(mention.name) if rules is not None else None
        text = f"```layerlr\ngroup {mention.name} = {_written(group)}\n```"
        covered = self._coverage(group.span) if group is not None and home is not None else None
        return f"{text}\n{covered}" if covered else text

    def _worth(self, value: s.Expression | None) -> str:
        if value is None or isinstance(value, s.Number):
            return ""
        worth = self._evaluated(value)
        return f"\n= {worth}" if worth else ""

    def _course(self, value: s.Expression | None) -> str:
        """What a value that moves comes to over the run."""
        table = None if value is None else self._table(value.span)
        return f"\n\n{table}" if table else ""

    def _value(self, node: s.Expression) -> str | None:
        worth = self._evaluated(node)
        return f"`{_written(node)}` = {worth}" if worth is not None and worth != _written(node) else None

    def _evaluated(self, node: s.Expression) -> str | None:
        rules = self.session.checker.rules
        lets = rules.lets if rules is not None else Lets()
        try:
            return spelled(evaluate(node, Scope(lets))) if is_constant(node, lets) else None
        except Fault:
            return None

    def _name(self, node: s.Name) -> str | None:
        return _described(node.name, v.ATTRIBUTES) or _described(node.name, _ASKED)

    @staticmethod
    def _quoted(node: s.Setting | s.ExpectOption) -> str | None:
        if not isinstance(node, s.Setting) or not node.quoted:
            return None
        return f'`"{node.option}"` is handed to the optimizer\'s group as it is, for optimizers that read such a key'

    def _option(self, name: str) -> str | None:
        for optimizer, options in self.session.options.items():
            if name in options:
                return f"`{name}` of {optimizer}: {options[name]}"
        for info in self._optimizers() if not self.session.blind else ():
            if name in info.options:
                return f"`{name}` of {info.name}: {v.option_text(info.options[name])}"
        return _described(name, v.OPTIONS)

    def _optimizers(self) -> Iterator[OptimizerInfo]:
        if isinstance(self.statement, s.RuleStatement):
            for setting in self.statement.settings:
                if setting.option == "optimizer" and isinstance(setting.value, s.Factory):
                    own = optimizers.find_unimported(setting.value.name)
                    if own is not None:
                        yield own
        rules = self.session.checker.rules
        if rules is not None:
            yield rules.optimizer.info

    def _factory(self, name: str) -> str | None:
        arguments = schedules.arguments_of(name)
        if arguments is not None:
            lines = [f"- `{key}`: {v.argument_text(info)}" for key, info in arguments.items()]
            return "\n".join([f"schedule `{name}`", "", *lines])
        info = optimizers.find_unimported(name)
        if info is None:
            told = [f"- `{key}`: {text}" for key, text in self.session.options.get(name, {}).items()]
            return "\n".join([f"optimizer `{name}`", "", *told]) if told else None
        lines = [f"- `{key}`: {v.option_text(o)}" for key, o in info.options.items() if o.algorithmic]
        return "\n".join([f"optimizer `{info.name}` (`{info.target.replace(':', '.')}`)", "", *lines])

    def _argument(self, node: s.Argument) -> str | None:
        for factory in path_to(self.statement, self.inside):
            if isinstance(factory, s.Factory):
                arguments = schedules.arguments_of(factory.name) or {}
                if node.name in arguments:
                    return f"`{node.name}`: {v.argument_text(arguments[node.name])}"
                info = optimizers.find_unimported(factory.name)
                if info is not None and node.name in info.options:
                    return f"`{node.name}`: {v.option_text(info.options[node.name])}"
            elif isinstance(factory, s.Call) and factory.keywords:
                arguments = schedules.arguments_of(factory.function) or {}
                if node.name in arguments:
                    return f"`{node.name}`: {v.argument_text(arguments[node.name])}"
                return _described(node.name, _OF_A_RAMP) if factory.function == "ramp" else None
        return None

    def _word(self) -> str | None:
        """What a word of the language means: the first of a statement, or one that is so by its place."""
        text, first = self.statement.span.source.text, self.statement.span.start
        word = next((w for w in _WORD.finditer(text, first) if w.start() <= self.inside <= w.end()), None)
        if word is None:
            return None
        self.span = Span(self.statement.span.source, *word.span())
        if word.start() == first and not isinstance(self.statement, s.RuleStatement):
            return v.OPENINGS.get(word[0])
        named = any(
            isinstance(x, _NAMING) and x.span.start < word.end() and word.start() < x.span.end
            for x in walk(self.statement)
        )
        return None if named else v.KEYWORDS.get(word[0])


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _described(name: str, words: dict[str, str]) -> str | None:
    return f"`{name}`: {words[name]}" if name in words else None


def _written(node: Any) -> str:
    return "?" if node is None else str(node.span.excerpt)
