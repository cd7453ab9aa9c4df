"""Configuration files as data that knows its lines. Nothing in a file is run: Python files are read for literals."""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

from layerlr_dsl.importers.description import LeftOut, Line, SourceFault
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import first_line, shown
from layerlr_dsl.tools.words import install

LARGEST = 4_000_000
"""Characters; no configuration that a person wrote has more."""
_DEEPEST = 60
_MOST = 10**15
"""Steps, epochs, layers: more than these is a slip of the pen."""
_LARGEST_NUMBER = 1e300
Data: TypeAlias = Any


class Unread(str):
    """An expression of a Python file that is no literal, as it stands there."""


@dataclass(slots=True)
class Node:
    """A value and the line where it begins; the entries of mappings and lists are nodes too."""

    value: Any
    line: Line = None

    def plain(self) -> Data:
        """The value without its lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass
class Section:
    """A mapping of the source, read key by key: what nobody asked for can be told at the end."""

    node: Node
    name: str = ""
    taken: set[str] = field(default_factory=set)

    def __contains__(self, key: str) -> bool:
        return key in self.node.value

    def line(self, key: str) -> Line:
        """The line of an entry; of the section where there is none."""
        found = self.node.value.get(key)
        return self.node.line if found is None else found.line

    def take(self, key: str, default: Any = None) -> Any:
        """A value, plain; the default where it is absent or null."""
        self.taken.add(key)
        found = self.node.value.get(key)
        if found is None or found.value is None:
            return default
        return found.plain()

    def number(self, key: str, default: Any = None, least: float = -inf) -> Any:
        """A finite number of `least` or more. Raises SourceFault for anything else."""
        value = self.take(key, default)
        if value is None:
            return None
        value = self._number(key, value, self.line(key))
        if value < least:
            raise SourceFault(f"`{shown(self._path(key))}` must be {spelled(least)} or more", self.line(key))
        return value

    def whole(self, key: str, default: Any = None, least: float = 0) -> Any:
        """A whole number of `least` or more. Raises SourceFault for anything else."""
        value = self.number(key, default, least)
        if value is not None and (value != int(value) or abs(value) > _MOST):
            raise SourceFault(f"`{shown(self._path(key))}` must be a whole number", self.line(key))
        return None if value is None else int(value)

    def numbers(self, key: str, default: tuple[float, ...] = ()) -> tuple[Any, ...]:
        """A list of finite numbers. Raises SourceFault for anything else, and for an empty list."""
        found = self.nodes(key)
        if not found and key in self and self.node.value[key].value is not None:
            raise SourceFault(f"`{shown(self._path(key))}` must not be empty", self.line(key))
        return tuple(self._number(key, node.plain(), node.line) for node in found) or default

    def text(self, key: str, default: Any = None) -> Any:
        """A text. Raises SourceFault for anything else."""
        value = self.take(key, default)
        if value is not None and not isinstance(value, str):
            raise SourceFault(f"`{shown(self._path(key))}` must be a text", self.line(key))
        return value

    def texts(self, key: str) -> list[Node]:
        """A list of texts, each with its line. Raises SourceFault for anything else."""
        found = self.nodes(key)
        for node in found:
            if not isinstance(node.value, str):
                told = f"`{shown(self._path(key))}` must be a list of texts, and this is {_kind(node.value)}"
                raise SourceFault(told, node.line)
        return found

    def _number(self, key: str, value: Any, line: Line) -> int | float:
        told = f"`{shown(self._path(key))}`"
        if isinstance(value, Unread):
            raise SourceFault(f"{told} is `{shown(value, 60)}`, which is no plain number", line)
        value = _number(value) if isinstance(value, str) else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SourceFault(f"{told} must be a number", line)
        if not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:
            raise SourceFault(f"{told} must be a finite number", line)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A boolean. Raises SourceFault for anything else."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise SourceFault(f"`{shown(self._path(key))}` must be true or false", self.line(key))
        return value

    def section(self, key: str) -> Section | None:
        """A mapping in the mapping, None where it is absent. Raises SourceFault for anything else."""
        self.taken.add(key)
        found = self.node.value.get(key)
        if found is None or found.value is None:
            return None
        if not isinstance(found.value, dict):
            raise SourceFault(f"`{shown(self._path(key))}` must be a mapping", found.line)
        return Section(found, self._path(key))

    def nodes(self, key: str) -> list[Node]:
        """The entries of a list; a mapping or value that stands alone is one. Empty where it is absent."""
        self.taken.add(key)
        found = self.node.value.get(key)
        if found is None or found.value is None:
            return []
        return found.value if isinstance(found.value, list) else [found]

    def sections(self, key: str) -> list[Section]:
        """A list of mappings. Raises SourceFault for anything else."""
        return [as_section(node, f"{self._path(key)}[{n}]") for n, node in enumerate(self.nodes(key))]

    def ignore(self, *keys: str) -> None:
        """What has no bearing on rates, decay or freezing."""
        self.taken.update(keys)

    def refused(self, known: Mapping[str, str] | None = None) -> Iterator[LeftOut]:
        """What was given, matters and cannot be said: `known` maps a key to what is to be told of it."""
        for key, reason in (known or {}).items():
            if key in self and self.take(key) not in (None, False, 0, "", [], {}):
                yield LeftOut(f"`{self._path(key)}`: {reason}", self.line(key))

    def unknown(self, known: tuple[str, ...] = ()) -> Iterator[LeftOut]:
        """Keys that nobody asked for, each at its place, with the near miss."""
        for key, node in self.node.value.items():
            if key not in self.taken and key not in known:
                near = nearest(key, [*self.taken, *known])
                hint = f"did you mean `{near}`?" if near else "not known here, and left alone"
                yield LeftOut(f"`{self._path(key)}`: {hint}", node.line)

    def misspelled(self, known: tuple[str, ...] = ()) -> Iterator[LeftOut]:
        """As `unknown`, but only keys that look like one that was asked for: the rest is about other things.

        Raises SourceFault where nobody asked for any of the keys: that is about other things altogether.
        """
        told = [*self.unknown(known)]
        if len(told) == len(self.node.value):
            raise SourceFault("has nothing that is known here", self.node.line, _first_of(told))
        for entry in told:
            if "did you mean" in entry.what:
                yield entry

    def _path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def _first_of(told: list[LeftOut]) -> str | None:
    near = [entry for entry in told if "did you mean" in entry.what]
    return near[0].what if near else None


def as_section(node: Node, name: str = "") -> Section:
    """A node that must be a mapping. Raises SourceFault."""
    if not isinstance(node.value, dict):
        raise SourceFault(f"`{shown(name or 'the file')}` must be a mapping of names to values", node.line)
    return Section(node, name)


def _kind(value: Any) -> str:
    """A value of the wrong kind in words."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "empty" if value is None else f"`{shown(str(value), 30)}`"


_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*)?\.?[0-9]*([eE][-+]?[0-9]+)?")


def _number(text: str) -> Any:
    """`1e-5`, which YAML 1.1 takes for a text, as the number that everybody means."""
    if text and _FLOAT.fullmatch(text) and any(char.isdigit() for char in text):
        try:
            return float(text)
        except ValueError:
            return text
    return text


# ---------------------------------------------------------------- formats


def read(text: str, name: str) -> Node:
    """The data of a file, by the ending of its name, or by trying. Raises SourceFault."""
    if len(text) > LARGEST:
        raise SourceFault("is too large for a configuration")
    ending = Path(name).suffix.lower()
    reader = _READERS.get(ending)
    if reader is not None:
        return reader(text)
    for reader in (_json, _toml, _yaml):
        try:
            node = reader(text)
        except SourceFault:
            continue
        if isinstance(node.value, dict | list):
            return node
    raise SourceFault("is neither JSON, nor TOML, nor YAML", help="name the format by the ending of the file")


def _json(text: str) -> Node:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as fault:
        raise SourceFault(f"is no JSON: {fault.msg}", fault.lineno) from None
    except RecursionError:
        raise SourceFault("is nested too deeply") from None
    return _placed(data, _expression(text.replace("\\/", "/")))


def _expression(text: str) -> ast.expr | None:
    """JSON is Python but for three words; that tells the lines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(f"({text}\n)", mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        return None


def _placed(data: Any, place: ast.expr | None, depth: int = 0) -> Node:
    line = None if place is None else place.lineno
    if depth > _DEEPEST:
        raise SourceFault("is nested too deeply", line)
    if isinstance(data, dict):
        places = {}
        if isinstance(place, ast.Dict):
            keys = zip(place.keys, place.values, strict=True)
            places = {k.value: (k, v) for k, v in keys if isinstance(k, ast.Constant)}
        entries = {}
        for key, value in data.items():
            at, inside = places.get(key, (None, None))
            entries[key] = _placed(value, inside, depth + 1)
            entries[key].line = at.lineno if at is not None else line
        return Node(entries, line)
    if isinstance(data, list):
        within: list[Any] = place.elts if isinstance(place, ast.List) else [None] * len(data)
        return Node([_placed(d, p, depth + 1) for d, p in zip(data, within, strict=False)], line)
    return Node(data, line)


def _yaml(text: str) -> Node:
    try:
        import yaml
    except ImportError:
        raise SourceFault("YAML needs a package that is not installed", help=install("import")) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return Node({}) if root is None else _composed(root, yaml.SafeLoader(""), 0)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        problem = getattr(fault, "problem", None) or first_line(fault)
        raise SourceFault(f"is no YAML: {shown(problem)}", None if mark is None else mark.line + 1) from None
    except RecursionError:
        raise SourceFault("is nested too deeply") from None


def _composed(root: Any, loader: Any, depth: int) -> Node:
    line = root.start_mark.line + 1
    if depth > _DEEPEST:
        raise SourceFault("is nested too deeply", line)
    kind = type(root).__name__
    if kind == "MappingNode":
        entries = {}
        for key, value in root.value:
            word = str(key.value)
            entries[word] = _composed(value, loader, depth + 1)
            entries[word].line = key.start_mark.line + 1
        return Node(entries, line)
    if kind == "SequenceNode":
        return Node([_composed(item, loader, depth + 1) for item in root.value], line)
    if root.tag.startswith("tag:yaml.org,2002:python/"):
        return Node(Unread(root.value), line)
    try:
        value = loader.construct_object(root)
    except Exception:  # an object of somebody's own: never made
        return Node(Unread(root.value), line)
    plain = isinstance(value, str) and root.style is None
    return Node(_number(value) if plain else value, line)


def _toml(text: str) -> Node:
    if sys.version_info < (3, 11):
        raise SourceFault("TOML needs Python 3.11", help="give the same as JSON")
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"line (\d+)", str(fault))
        at = int(line[1]) if line else text.count("\n") + 1
        raise SourceFault(f"is no TOML: {first_line(fault)}", at) from None
    return _with_lines(data, _toml_lines(text), ())


_HEADING = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_ENTRY = re.compile(r"\s*([A-Za-z0-9_\-.\"']+)\s*=")


def _toml_lines(text: str) -> dict[tuple[Any, ...], int]:
    """Where tables and keys stand: by their path, the number of its entry for an array of tables."""
    lines: dict[tuple[Any, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    here: tuple[Any, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        heading, entry = _HEADING.match(line), _ENTRY.match(line)
        if heading:
            words = tuple(word.strip().strip("\"'") for word in heading[2].split("."))
            if heading[1] == "[[":
                counts[words] = counts.get(words, -1) + 1
            here = _numbered(words, counts)
            lines.setdefault(here, number)
        elif entry:
            key = (*here, *(word.strip("\"'") for word in entry[1].split(".")))
            lines.setdefault(key, number)
    return lines


def _numbered(words: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> tuple[Any, ...]:
    path: tuple[Any, ...] = ()
    for at, word in enumerate(words):
        path += (word,)
        if words[: at + 1] in counts:
            path += (counts[words[: at + 1]],)
    return path


def _with_lines(
    data: Any, lines: Mapping[tuple[Any, ...], int], path: tuple[Any, ...], above: Line = None
) -> Node:
    line = lines.get(path, above)
    if isinstance(data, dict):
        return Node({k: _with_lines(v, lines, (*path, k), line) for k, v in data.items()}, line)
    if isinstance(data, list):
        return Node([_with_lines(v, lines, (*path, n), line) for n, v in enumerate(data)], line)
    return Node(data, line)


# ---------------------------------------------------------------- Python, unexecuted


def _python(text: str) -> Node:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError) as fault:
        raise SourceFault(f"is no Python: {first_line(fault)}", getattr(fault, "lineno", None)) from None
    except (RecursionError, MemoryError):
        raise SourceFault("is nested too deeply") from None
    names: dict[str, Node] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = _literal(statement.value, names, 0)
                    names[target.id].line = statement.lineno
    return Node(names, 1)


def _literal(tree: ast.expr, names: Mapping[str, Node], depth: int) -> Node:
    """A literal, a name that stands for one, `dict(...)` of them, or arithmetic of numbers."""
    if depth > _DEEPEST:
        raise SourceFault("is nested too deeply", tree.lineno)
    if (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id == "dict"
        and not tree.args
    ):
        pairs = [(ast.Constant(k.arg, lineno=k.lineno), k.value) for k in tree.keywords]
        return _mapping(pairs, tree.lineno, names, depth)
    if isinstance(tree, ast.Dict):
        return _mapping(list(zip(tree.keys, tree.values, strict=True)), tree.lineno, names, depth)
    if isinstance(tree, ast.List | ast.Tuple):
        return Node([_literal(item, names, depth + 1) for item in tree.elts], tree.lineno)
    if isinstance(tree, ast.Name) and tree.id in names:
        return Node(names[tree.id].value, tree.lineno)
    return Node(_scalar(tree, names), tree.lineno)


def _mapping(pairs: list[Any], line: int, names: Mapping[str, Node], depth: int) -> Node:
    entries: dict[str, Node] = {}
    for key, value in pairs:
        found = _literal(value, names, depth + 1)
        word = getattr(key, "value", getattr(key, "arg", None))
        if word is None:  # `**other`
            entries.update(found.value if isinstance(found.value, dict) else {})
        else:
            found.line = getattr(key, "lineno", line)
            entries[str(word)] = found
    return Node(entries, line)


def _scalar(tree: ast.expr, names: Mapping[str, Node]) -> Any:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float | str | bool | None):
        return tree.value
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _scalar(tree.operand, names)
        return -inner if _is_number(inner) else Unread(ast.unparse(tree))
    if isinstance(tree, ast.BinOp) and type(tree.op) in _ARITHMETIC:
        left, right = _scalar(tree.left, names), _scalar(tree.right, names)
        if _is_number(left) and _is_number(right) and not (isinstance(tree.op, ast.Div) and right == 0):
            return _ARITHMETIC[type(tree.op)](left, right)
    if isinstance(tree, ast.Name) and tree.id in names:
        return names[tree.id].value
    return Unread(ast.unparse(tree))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ARITHMETIC: dict[type, Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_READERS = {".json": _json, ".yaml": _yaml, ".yml": _yaml, ".toml": _toml, ".py": _python}
