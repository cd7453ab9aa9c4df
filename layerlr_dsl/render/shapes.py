"""How an option that moves goes, in a few words: `0.04 to 0.4 (cosine)`, `0 to 1e-3 to 1e-5`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, pairwise

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.plan.course import Product
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.numbers import in_words, plural

_LOOKED_AT = 1_000
"""So many ticks are looked at for where a value turns, and then those around each that does."""
_MOST_TURNS = 4


class Shapes:
    """The words for what moves in a plan. Parameters whose values differ by a factor share one look."""

    def __init__(self, plan: Plan) -> None:
        self._stretches = plan.timeline.stretches({})
        self._turns = cache(self._found)

    def words(self, product: Product, first: int, last: int) -> str:
        """From a tick to another, both included: where it starts, turns and ends. Raises Fault."""
        turns = self._turns(Product(None, product.movers), first, last)
        values = [product.at(tick, self._stretches) for tick in (first, *turns, last)]
        if len(turns) > _MOST_TURNS:
            return (
                f"{_words(values[0])} to {_words(values[-1])}, {plural(len(turns), 'turn')}{_between(values)}"
            )
        course = " to ".join(key for key, _ in groupby(map(_words, values)))
        shape = _shape(product)
        return f"{course} ({shape})" if shape and " to " in course else course

    def _found(self, bare: Product, first: int, last: int) -> tuple[int, ...]:
        """The ticks at which a value, or an element of it, stops rising or falling."""

        def along(ticks: Sequence[int]) -> list[Value]:
            return bare.along(ticks, self._stretches)

        every = max(-(-(last - first) // _LOOKED_AT), 1)
        ticks = [*range(first, last, every), last]
        near = {place for element in _elements(along(ticks)) for place in _turning(element)}
        found: set[int] = set()
        for place in near:
            around = range(ticks[place - 1], ticks[place + 1] + 1)
            found.update(around[at] for element in _elements(along(around)) for at in _turning(element))
        return tuple(sorted(found))


def _words(value: Value) -> str:
    return in_words(value, 4)


def _between(values: Sequence[Value]) -> str:
    """The least and the greatest of what lies at turns, where these are numbers."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < len(values):
        return ""
    return f" between {_words(min(numbers))} and {_words(max(numbers))}"


def _elements(values: Sequence[Value]) -> Iterator[list[float]]:
    """What is a number of some values, each element of tuples by itself."""
    for one in zip(*[value if isinstance(value, tuple) else (value,) for value in values], strict=True):
        if all(isinstance(number, (int, float)) for number in one):
            yield list(one)


def _turning(numbers: Sequence[float]) -> Iterator[int]:
    """The places of peaks and troughs; of a level one, where it begins."""
    rising: bool | None = None
    begins = 0
    for place, (before, now) in enumerate(pairwise(numbers), start=1):
        if now == before:
            continue
        if rising is not None and rising != (now > before):
            yield begins
        rising, begins = now > before, place


def _shape(product: Product) -> str | None:
    """What a value moves by, where that is one ramp with a shape or one schedule."""
    if len(product.movers) != 1:
        return None
    node = product.movers[0].expression
    if isinstance(node, s.Tuple):
        moving = [item for item in node.items if not isinstance(item, s.Number)]
        node = moving[0] if len(moving) == 1 else node
    if not isinstance(node, s.Call) or node.function in ("choose", "min", "max"):
        return None
    if node.function != "ramp":
        return node.function if node.keywords or not node.arguments else None
    shapes = (argument for argument in node.keywords if argument.name == "shape")
    return next((argument.value_span.excerpt for argument in shapes), None)
