"""A model's body cut into a few stages, from the input to the output, each with a selector."""

from __future__ import annotations

from collections.abc import Sequence

from layerlr_dsl.language.printing import selector_of
from layerlr_dsl.model.anatomy import Anatomy, Blocks
from layerlr_dsl.model.cover import cover
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.records import record


@record
class Stage:
    """Some layers that are treated alike, and what to call them in a comment."""

    selector: str
    about: str


def stages(inventory: Inventory, parts: Anatomy, most: int) -> list[Stage]:
    """The numbered blocks in at most `most` stages; without blocks, the model's own children so."""
    if parts.blocks is not None:
        return [_of_blocks(parts.blocks, chunk) for chunk in chunks(parts.blocks.numbers, most)]
    if any(row in inventory.aliases for row in parts.rest):
        return []  # a tied tensor could stand in two stages
    names = cover(inventory, parts.rest)
    if len(names) < 2:
        names = _children(inventory, parts.rest)
    return [Stage(listed(chunk), chunk[0]) for chunk in chunks(names, most)]


def _of_blocks(blocks: Blocks, numbers: Sequence[int]) -> Stage:
    low, high = numbers[0], numbers[-1]
    spelled = str(low) if low == high else f"{{{low}..{high}}}"
    about = f"{blocks.pattern(str(low))}" if low == high else f"{blocks.pattern(str(low))} to {high}"
    return Stage(_block_selector(blocks, spelled), about)


def _block_selector(blocks: Blocks, number: str) -> str:
    """A block's selector; the name is quoted where its own characters need it."""
    plain = selector_of(blocks.pattern("0"))
    if plain.startswith('"'):
        return (
            '"'
            + "".join((quoted_part(blocks.prefix + blocks.before), number, quoted_part(blocks.after)))
            + '"'
        )
    return blocks.pattern(number)


def quoted_part(text: str) -> str:
    shown = selector_of(text)
    return shown[1:-1] if shown.startswith('"') else text


def every_block(blocks: Blocks) -> str:
    """The selector of all blocks, their number captured as `i`."""
    return _block_selector(blocks, "<i>")


def _children(inventory: Inventory, rows: Sequence[int]) -> list[str]:
    """The names one level below the segments that all parameters share."""
    split = [inventory.names[row].split(".") for row in rows]
    depth = 0
    while split and all(len(s) > depth + 2 and s[depth] == split[0][depth] for s in split):
        depth += 1
    return list(dict.fromkeys(".".join(segments[: depth + 1]) for segments in split))


def chunks(items: Sequence[object], most: int) -> list[list]:  # type: ignore[type-arg]
    """`items` in order, in at most `most` runs of nearly equal length, the longer ones first."""
    count = min(most, len(items))
    if count == 0:
        return []
    size, longer = divmod(len(items), count)
    cut: list[list[object]] = []
    at = 0
    for number in range(count):
        end = at + size + (number < longer)
        cut.append(list(items[at:end]))
        at = end
    return cut


def listed(names: Sequence[str]) -> str:
    """Names as a selector list, broken after commas where it grows long."""
    lines: list[str] = [""]
    for place, name in enumerate(names):
        piece = selector_of(name) + ("," if place < len(names) - 1 else "")
        if lines[-1] and len(lines[-1]) + len(piece) > 90:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + piece
    return "\n    ".join(lines)
