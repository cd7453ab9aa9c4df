"""Going through syntax trees of any depth, and comparing them by what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.tools.numbers import respelled


def walk(*roots: object) -> Iterator[Any]:
    """Every node below and including `roots`, in the order of the text or nearly so."""
    waiting: list[object] = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(reversed(node))
            continue
        parts = _parts(type(node))
        if parts is not None:
            yield node
            waiting.extend(value for part in reversed(parts) if not _is_leaf(value := getattr(node, part)))


def same(left: object, right: object) -> bool:
    """Whether two trees say the same, wherever they stand: neither spans nor spellings of numbers count."""
    waiting = [(left, right)]
    while waiting:
        a, b = waiting.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            waiting.extend(zip(a, b, strict=True))
            continue
        parts = _parts(type(a))
        if parts is None:
            if a != b:
                return False
            continue
        if isinstance(a, s.Number) and isinstance(b, s.Number):
            waiting.append((_said(a), _said(b)))
            continue
        waiting.extend((getattr(a, part), getattr(b, part)) for part in parts)
    return True


def _said(number: s.Number) -> str:
    """Which number it is, however it is spelled; `5` and `5.0` are different ones."""
    return respelled(number.text + "%" * number.percent)


def _is_leaf(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int)


_KNOWN: dict[type, tuple[str, ...] | None] = {}


def _parts(kind: type) -> tuple[str, ...] | None:
    """The fields of a kind of node that say something; None for what is no node."""
    if kind not in _KNOWN:
        is_node = is_dataclass(kind) and kind not in (Span, Source)
        _KNOWN[kind] = _saying_fields(kind) if is_node else None
    return _KNOWN[kind]


def _saying_fields(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if not (f.name.endswith("span") or f.name == "source"))
