"""What a selector that matches nothing was meant to say: the nearest real segment of the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from layerlr_dsl.language.faults import shortened
from layerlr_dsl.language.patterns import DOUBLE_STAR, CompiledPattern, Segment, segment_texts
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.nearest import nearest

_SHOWN = 6
_LONGEST = 100


class NearMisses:
    """Looks along the module tree for where a pattern leaves it."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    @cached_property
    def _children(self) -> dict[int, list[tuple[str, int]]]:
        """By module: its children's segments with their rows, parameters as -1."""
        children: dict[int, list[tuple[str, int]]] = defaultdict(list)
        inventory = self.inventory
        for row, (parent, segment) in enumerate(
            zip(inventory.module_parents, inventory.module_segments, strict=True)
        ):
            if parent >= 0:
                children[parent].append((segment, row))
        for owner, leaf in zip(inventory.owners, inventory.leaves, strict=True):
            children[owner].append((leaf, -1))
        return children

    @cached_property
    def _segments(self) -> list[str]:
        inventory = self.inventory
        return list(dict.fromkeys([*inventory.module_segments[1:], *inventory.leaves]))

    @cached_property
    def _has_parameters(self) -> list[bool]:
        inventory = self.inventory
        holds = [False] * len(inventory.module_parents)
        for owner in set(inventory.owners):
            holds[owner] = True
        for row in range(len(holds) - 1, 0, -1):
            if holds[row]:
                holds[inventory.module_parents[row]] = True
        return holds

    def help(self, text: str, pattern: CompiledPattern) -> str:
        """A sentence for `help:`."""
        reached = [0]
        path: list[str] = []
        written = segment_texts(text)
        for place, segment in enumerate(pattern.segments):
            if segment is DOUBLE_STAR:
                return self._anywhere(pattern.segments[place + 1 :], written)
            below = [(name, row) for module in reached for name, row in self._children.get(module, ())]
            found = [(name, row) for name, row in below if segment.match(name)]
            if not found:
                useful = [name for name, row in below if row < 0 or self._has_parameters[row]]
                return self._missing(written, place, useful, path)
            reached = list(dict.fromkeys(row for _, row in found if row >= 0))
            path.append(written[place] if place < len(written) else "")
        if reached and not any(self._has_parameters[row] for row in reached):
            return f"`{text}` is there but holds no parameters"
        return "`layerlr inspect` lists the names of the model"

    def _missing(self, written: list[str], place: int, names: Iterable[str], path: list[str]) -> str:
        word = written[place] if place < len(written) else ""
        names = list(dict.fromkeys(names))
        near = nearest(word, names)
        if near is not None:
            return f"did you mean `{'.'.join([*written[:place], near, *written[place + 1 :]])}`?"
        where = f"below `{shortened('.'.join(path), _LONGEST)}`" if path else "at the top"
        if not names:
            return f"there is nothing {where}"
        # A name from deeper down was often written without its path.
        if any(word == segment for segment in self._segments):
            meant = shortened(".".join(written[place:]), _LONGEST)
            return f"there is no `{word}` {where}; did you mean `**.{meant}`?"
        names.sort(key=lambda name: (len(name), name))
        shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"there is no `{shortened(word, _LONGEST)}` {where}: there are {shown}{more}"

    def _anywhere(self, rest: tuple[Segment, ...], written: list[str]) -> str:
        for segment in rest:
            if segment.literal is not None and segment.literal not in self._segments:
                near = nearest(segment.literal, self._segments)
                if near is not None:
                    meant = [near if word == segment.literal else word for word in written]
                    return f"did you mean `{'.'.join(meant)}`?"
                return f"no part of any name is called `{segment.literal}`"
        return "`layerlr inspect` lists the names of the model"
