"""The grammar's tables: made by Lark, saved beside this module, read back without it.

Run `python -m layerlr_dsl.language.tables` after a change of the grammar. Saved tables are used
only if they were made from the very grammar at hand; else they are made anew, which takes half a
second instead of some milliseconds.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.resources import grammar_path

SAVED = Path(__file__).with_name("tables.json")


@record
class Terminal:
    """`pattern` is a regular expression, or the very word if `literal`."""

    name: str
    pattern: str
    literal: bool
    priority: int


@record
class Rule:
    """Reduces its last `size` values to `origin` by the builder's method `method`.

    Without a method the one value stays as it is. `shape`, if any, puts None where an optional
    part is missing: the places of the values, None between them.
    """

    origin: str
    size: int
    method: str | None
    shape: tuple[int | None, ...] | None


@record
class Tables:
    """A LALR(1) automaton: per state and symbol a state to go to, or `~n` to reduce by rule n.

    State 0 is the first; in state `accepting`, reached at the end, the text is read. Terminals
    stand in the order in which the lexer tries them.
    """

    fingerprint: str
    accepting: int
    terminals: tuple[Terminal, ...]
    ignored: tuple[str, ...]
    rules: tuple[Rule, ...]
    states: tuple[dict[str, int], ...]


def load() -> Tables:
    """The tables of the grammar, saved ones if they fit."""
    grammar = grammar_path().read_text(encoding="utf-8")
    try:
        tables = _from_json(SAVED.read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError, TypeError):
        return make(grammar)
    return tables if tables.fingerprint == _fingerprint(grammar) else make(grammar)


def save() -> None:
    SAVED.write_text(to_json(make(grammar_path().read_text(encoding="utf-8"))), encoding="utf-8")


# ---------------------------------------------------------------- making


def make(grammar: str) -> Tables:
    """The tables of `grammar`, by Lark; the same grammar always gives the same tables."""
    from lark import Lark
    from lark.lexer import PatternStr, has_interegular

    # Strict mode refuses conflicts and colliding terminals; it needs `interegular`, a tool of development.
    parser: Any = Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        strict=has_interegular,
        keep_all_tokens=True,
        maybe_placeholders=True,
        postlex=_AlwaysSeparates(),
    )
    automaton = parser.parser.parser._parse_table
    order = sorted(
        parser.terminals, key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name)
    )
    states, accepting, rules = _numbered(automaton)
    return Tables(
        fingerprint=_fingerprint(grammar),
        accepting=accepting,
        terminals=tuple(
            Terminal(
                t.name,
                t.pattern.value if isinstance(t.pattern, PatternStr) else t.pattern.to_regexp(),
                isinstance(t.pattern, PatternStr),
                t.priority,
            )
            for t in order
        ),
        ignored=tuple(sorted(parser.ignore_tokens)),
        rules=tuple(_rule(rule) for rule in rules),
        states=states,
    )


class _AlwaysSeparates:
    """Keeps the terminal that ends statements, though no rule has a use for it."""

    always_accept = ("END",)

    def process(self, stream: Any) -> Any:
        return stream


def _numbered(automaton: Any) -> tuple[tuple[dict[str, int], ...], int, list[Any]]:
    """States and rules numbered as they are first met from the start, in the order of symbols."""
    from lark.parsers.lalr_analysis import Shift

    [start], [accepting] = automaton.start_states.values(), automaton.end_states.values()
    numbers: dict[Any, int] = {start: 0}
    rules: dict[Any, int] = {}
    rows: list[dict[str, int]] = []
    waiting = deque([start])
    while waiting:
        row: dict[str, int] = {}
        for symbol, (action, target) in sorted(automaton.states[waiting.popleft()].items()):
            if action is Shift:
                if target not in numbers:
                    numbers[target] = len(numbers)
                    waiting.append(target)
                row[symbol] = numbers[target]
            else:
                row[symbol] = ~rules.setdefault(target, len(rules))
        rows.append(row)
    return tuple(rows), numbers[accepting], list(rules)


def _rule(rule: Any) -> Rule:
    size = len(rule.expansion)
    missing = rule.options.empty_indices
    if size == 0 or rule.origin.name.startswith("_"):
        raise ValueError(
            f"the rule {rule.origin.name} is empty or inlined, which the tables do not provide for"
        )
    if size == 1 and rule.options.expand1 and not rule.alias:
        return Rule(rule.origin.name, size, None, None)
    return Rule(rule.origin.name, size, rule.alias or rule.origin.name, _shape(missing))


def _shape(missing: Any) -> tuple[int | None, ...] | None:
    if not missing or True not in missing:
        return None
    places = iter(range(len(missing)))
    return tuple(None if absent else next(places) for absent in missing)


# ---------------------------------------------------------------- saving


def to_json(tables: Tables) -> str:
    plain = asdict(tables)
    lines = [f' "{key}": {json.dumps(value)}' for key, value in plain.items() if key != "states"]
    states = ",\n  ".join(json.dumps(row, sort_keys=True) for row in tables.states)
    return "{\n" + ",\n".join(lines) + ',\n "states": [\n  ' + states + "\n ]\n}\n"


def _from_json(text: str) -> Tables:
    plain = json.loads(text)
    return Tables(
        fingerprint=plain["fingerprint"],
        accepting=plain["accepting"],
        terminals=tuple(Terminal(**terminal) for terminal in plain["terminals"]),
        ignored=tuple(plain["ignored"]),
        rules=tuple(
            Rule(r["origin"], r["size"], r["method"], tuple(r["shape"]) if r["shape"] else None)
            for r in plain["rules"]
        ),
        states=tuple(plain["states"]),
    )


def _fingerprint(grammar: str) -> str:
    return sha256(grammar.encode("utf-8")).hexdigest()


if __name__ == "__main__":
    save()
