"""Rates that go up or down by one factor from layer to layer, as the formula that gives them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.language import syntax as s
from layerlr_dsl.tools.numbers import spelled

CLOSE = 1e-14
"""Rates that differ by less, relative to their size, are those of one formula: the rounding of floats."""
_FEWEST = 3
_MOST_AHEAD = 4
_MOST_AHEAD_OF_A_KNOWN = 64
"""The layer nearest to the base may stand so many factors below it; further where the base stands elsewhere."""


def geometric(
    rates: Mapping[int, Hashable | None], last: int, first: int, known: Sequence[Any]
) -> s.Expression | None:
    """`base * factor ^ (last(i) - i + k)`, or None where that is not what the rates are.

    rates: by layer, None for a layer without one rate. last, first: the largest and smallest number that
    the selector matches. known: rates that stand elsewhere, one of which may be the base.
    """
    numbers = sorted(rates)
    numeric = [rates[n] for n in numbers]
    if len(numbers) < _FEWEST or not all(isinstance(r, float) and r > 0 for r in numeric):
        return None
    floats: list[float] = [float(r) for r in numeric]  # type: ignore[arg-type]
    if len(set(floats)) < len(floats):
        return None
    ends = [(floats[0], numbers[0]), (floats[-1], numbers[-1])]
    rising = floats[-1] > floats[0]
    factor = (min(floats[0], floats[-1]) / max(floats[0], floats[-1])) ** (1 / (ends[1][1] - ends[0][1]))
    distance = {n: last - n if rising else n - first for n in numbers}
    wanted = dict(zip(numbers, floats, strict=True))
    for ratio in _roundings(factor):
        found = _with_base(wanted, distance, ratio, known)
        if found is not None:
            base, ahead = found
            return _formula(base, ratio, rising, first, ahead)
    return None


def _roundings(factor: float) -> Iterator[float]:
    for digits in range(1, 13):
        rounded = float(f"{factor:.{digits}g}")
        if abs(rounded - factor) < 1e-9 * factor:
            yield rounded
            return


def _with_base(
    wanted: Mapping[int, float], distance: Mapping[int, int], ratio: float, known: Iterable[Any]
) -> tuple[float, int] | None:
    """The base rate and the factors ahead of the first layer, exact ones before those that are close."""
    nearest = min(distance, key=lambda n: distance[n])
    tried = []
    for ahead in range(_MOST_AHEAD_OF_A_KNOWN + 1):
        exact = wanted[nearest] / ratio ** (distance[nearest] + ahead)
        base = float(spelled(exact, 12))
        worst = max(_apart(base * ratio ** (distance[n] + ahead), wanted[n]) for n in wanted)
        if worst <= CLOSE:
            elsewhere = any(isinstance(k, float) and _apart(k, base) <= CLOSE for k in known)
            if not elsewhere and ahead > _MOST_AHEAD:
                continue
            tried.append((worst > 0, not elsewhere, len(repr(base)), ahead, base))
    if not tried:
        return None
    _, _, _, ahead, base = min(tried)
    return base, ahead


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(abs(one), abs(other))


def _formula(base: float, ratio: float, rising: bool, first: int, ahead: int) -> s.Expression:
    number = nodes.name("i")
    distance: s.Expression = nodes.arithmetic(nodes.call("last", number), "-", number) if rising else number
    if not rising:
        ahead -= first
    if ahead:
        distance = nodes.arithmetic(distance, "+" if ahead > 0 else "-", abs(ahead))
    return nodes.arithmetic(base, "*", nodes.arithmetic(ratio, "^", distance))
