"""The Pygments lexer as tables for JavaScript: what the extension of JupyterLab colours `%%layerlr` cells by.

Both are one machine: states, and regular expressions that are tried in order. The expressions are spelled anew where
the two languages mean different things by the same sign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from layerlr_dsl.editor.lexer import LayerlrLexer
from layerlr_dsl.render.rule_colours import style

FOLDER = Path(__file__).resolve().parents[2] / "editors" / "jupyterlab"
"""In a checkout; a wheel puts it where Jupyter looks."""
_TABLES = re.compile(r"  const RULES = .*?(?=  // end of tables)", re.S)
_ADDRESS = re.compile(r"remoteEntry\.js\?v=\w+")
_IN_CLASS = {
    r"\w": r"\p{L}\p{N}_",
    r"\s": r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
_OUTSIDE = {
    r"[^\W\d]": r"[\p{L}\p{Nl}\p{No}_]",
    r"\d": r"\p{Nd}",
    "$": r"(?![^\n])",
    ".": r"[^\n]",
    **{sign: f"[{spelling}]" for sign, spelling in _IN_CLASS.items()},
}
"""What JavaScript means other things by: Python knows the letters of every script, and ends a line at `\n` alone."""
_PARTS = re.compile(r"\[\^\\W\\d\]|\[(?:\\.|[^\]\\])*\]|\\.|.", re.S)
_PLAIN = "color:var(--jp-content-font-color1);font-weight:normal;font-style:normal"
"""What Python's colours must not be seen through."""


def files() -> dict[Path, str]:
    """What each file that is made of the lexer should hold."""
    script, about = FOLDER / "static" / "remoteEntry.js", FOLDER / "package.json"
    text = with_tables(script.read_text(encoding="utf-8"))
    return {script: text, about: _addressed(about.read_text(encoding="utf-8"), text)}


def with_tables(script: str) -> str:
    """The text of the script with the tables of today's lexer."""
    text, places = _TABLES.subn(lambda _: "".join(_tables()), script)
    assert places == 1, "there is no one place for the tables"
    return text


def _addressed(about: str, script: str) -> str:
    """With an address of its own for each script: browsers keep what they have loaded for very long."""
    return _ADDRESS.sub(f"remoteEntry.js?v={sha256(script.encode()).hexdigest()[:12]}", about)


def _tables() -> Iterator[str]:
    states, rules = _machine()
    kinds = sorted({kind for rule in rules for kind in rule.kinds} | {"Error", "Text.Whitespace"})
    yield _const("RULES", "[", (_json(rule.written()) for rule in rules), "]")
    yield _const("STATES", "{", (f"{_json(name)}: {_json(tried)}" for name, tried in states.items()), "}")
    yield _const("STYLES", "{", (f"{_json(kind)}: {_json(_style(kind))}" for kind in kinds), "}")


def _const(name: str, begins: str, lines: Iterable[str], ends: str) -> str:
    return f"  const {name} = {begins}\n" + "".join(f"    {line},\n" for line in lines) + f"  {ends};\n"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _style(kind: str) -> str:
    """Nothing of the colour, weight and slant that the same characters have as Python."""
    return f"{_PLAIN};{style(kind)}".rstrip(";")


# ---------------------------------------------------------------- the machine


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is tried: an expression, the kinds of token it gives, and what the states become."""

    pattern: str
    kinds: tuple[str, ...]
    by_group: bool
    then: tuple[str, ...]

    def written(self) -> list[Any]:
        return [
            self.pattern,
            list(self.kinds) if self.by_group or not self.kinds else self.kinds[0],
            self.then,
        ]


def _machine() -> tuple[dict[str, list[int]], list[_Rule]]:
    """The rules without repetition, and by state the places of those that are tried there."""
    lexer: Any = LayerlrLexer()  # its compiled rules have no public name
    places: dict[_Rule, int] = {}
    states = {
        name: [places.setdefault(_rule(*tried), len(places)) for tried in rules]
        for name, rules in lexer._tokens.items()
    }
    return states, list(places)


def _rule(match: Any, action: Any, then: Any) -> _Rule:
    """match: the bound method of a compiled expression; action: a kind, a callback with `kinds`, or nothing."""
    groups = getattr(action, "kinds", None)
    kinds = groups or (() if action is None else (action,))
    states = () if then is None else ("#pop",) if then == -1 else then
    return _Rule(_spelled(match.__self__.pattern), tuple(map(_name, kinds)), groups is not None, states)


def _name(kind: Any) -> str:
    return ".".join(kind)


def _spelled(pattern: str) -> str:
    return "".join(_part(part) for part in _PARTS.findall(pattern))


def _part(part: str) -> str:
    if part in _OUTSIDE or not part.startswith("["):
        return _OUTSIDE.get(part, part)
    return re.sub(r"\\.", lambda sign: _IN_CLASS.get(sign[0], sign[0]), part)
