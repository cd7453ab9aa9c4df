"""What lets and groups of a file are made of: in which order they can be worked out, and where none is first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.patterns import PatternFault, compile_pattern
from layerlr_dsl.language.questions import names_in

_BINDS = re.compile(r"<\s*([A-Za-z_]\w*)")


class Needs:
    """The names that each `let` is made of, and the groups that it counts; a group is called `@name` here.

    A group needs what its conditions ask: `last(@g)` hangs on every part of the group, though what the group
    leaves out is counted too, so that nobody has to think about which part of a circle is none.
    """

    def __init__(self, lets: Mapping[str, s.Expression], groups: Mapping[str, s.GroupStatement]) -> None:
        self._lets = lets
        self._groups = groups

    def sorted(self) -> tuple[list[str], list[list[str]]]:
        """Everything, each after what it needs, and the circles of more than groups within groups."""
        order: list[str] = []
        circles: list[list[str]] = []
        done: set[str] = set()
        for root in (*self._lets, *(f"@{name}" for name in self._groups)):
            if root in done:
                continue
            path = {root: 0}
            waiting = [self._of(root)]
            while waiting:
                other = next(waiting[-1], None)
                if other is None:
                    waiting.pop()
                    order.append(path.popitem()[0])
                    done.add(order[-1])
                elif other in path:
                    circles.append(list(path)[path[other] :])
                elif other not in done:
                    path[other] = len(path)
                    waiting.append(self._of(other))
        return order, _apart([circle for circle in circles if self._counts(circle)])

    def _of(self, node: str) -> Iterator[str]:
        if not node.startswith("@"):
            return iter(dict.fromkeys(self._asked(self._lets[node])))
        selector = self._groups[node[1:]].selector
        within = [f"@{item.name}" for item in _references(selector) if item.name in self._groups]
        asked = [] if selector.where is None else self._asked(selector.where)
        return iter(dict.fromkeys([*within, *asked]))

    def _asked(self, expression: s.Expression) -> Iterator[str]:
        for node in names_in(expression):
            if isinstance(node, (s.Name, s.Subscript)) and node.name in self._lets:
                yield node.name
            elif isinstance(node, s.GroupCapture) and node.group in self._groups:
                yield f"@{node.group}"

    def _counts(self, circle: list[str]) -> bool:
        """Whether it is more than groups that lie in each other, which is said where they are compiled."""
        steps = zip(circle, [*circle[1:], circle[0]], strict=True)
        return any(not node.startswith("@") or not self._lies_in(other, node) for node, other in steps)

    def _lies_in(self, inner: str, outer: str) -> bool:
        return any(f"@{item.name}" == inner for item in _references(self._groups[outer[1:]].selector))


def _references(selector: s.Selector) -> list[s.GroupRef]:
    return [item for item in (*selector.include, *selector.exclude) if isinstance(item, s.GroupRef)]


def _apart(circles: list[list[str]]) -> list[list[str]]:
    """Circles that share no name: breaking one of two that do is breaking both."""
    seen: set[str] = set()
    kept = []
    for circle in circles:
        if seen.isdisjoint(circle):
            kept.append(circle)
        seen.update(circle)
    return kept


def captures_of(groups: Mapping[str, s.GroupStatement]) -> dict[str, frozenset[str]]:
    """The captures that each group binds, those of groups in it included."""
    own = {name: own_captures(statement.selector) for name, statement in groups.items()}
    order, _ = Needs({}, groups).sorted()
    found: dict[str, frozenset[str]] = {}
    for node in order:
        name = node[1:]
        inner = [x.name for x in groups[name].selector.include if isinstance(x, s.GroupRef)]
        found[name] = own[name].union(*(found.get(one, frozenset()) for one in inner))
    return found


def own_captures(selector: s.Selector) -> frozenset[str]:
    """What the patterns of a selector bind; of one at fault, as far as it can be read."""
    found: set[str] = set()
    for item in selector.include:
        if isinstance(item, s.Pattern):
            try:
                found |= compile_pattern(item.text).captures
            except PatternFault:  # said where the selector is compiled, and once is enough
                found.update(_BINDS.findall(item.text))
    return frozenset(found)
