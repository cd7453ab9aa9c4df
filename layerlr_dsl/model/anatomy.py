"""The parts of a model as people speak of them: stem, numbered blocks, what follows, head.

Found from names and sizes alone. Where a model has no numbered blocks or no head, the part is empty.
"""

from __future__ import annotations

import re
from collections import defaultdict

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.records import record

_DIGITS = re.compile(r"[0-9]+")
_HEAD = re.compile(
    r"^(.*_)?(fc|head|heads|classifier|class_embed|logits|lm_head|score|qa_outputs|cls|output_layer|last_linear|pre_logits)"
    r"[0-9]*$",
    re.IGNORECASE,
)
_LEAST_SHARE = 0.1  # of what is neither head nor embedding: less than that is no backbone


@record
class Blocks:
    """Numbered siblings: `prefix` + `before` + number + `after`, such as `encoder.layer.` + 0..11."""

    prefix: str
    before: str
    after: str
    numbers: tuple[int, ...]
    members: dict[int, tuple[int, ...]]
    """Rows of parameters by number."""

    def pattern(self, number: str) -> str:
        """The selector of the block(s) that `number` says: `<i>`, `3`, `{2..5}`."""
        return f"{self.prefix}{self.before}{number}{self.after}"


@record
class Anatomy:
    """Rows of parameters by part; together they are all of the model, each once."""

    stem: tuple[int, ...]
    blocks: Blocks | None
    rest: tuple[int, ...]
    head: tuple[int, ...]


def anatomy(inventory: Inventory) -> Anatomy:
    """Tell the parts of a model apart."""
    rows = range(len(inventory))
    head = _head(inventory)
    in_head = set(head)
    body = [row for row in rows if row not in in_head]
    blocks = _blocks(inventory, body)
    if blocks is None:
        return Anatomy((), None, tuple(body), tuple(head))
    taken = {row for member in blocks.members.values() for row in member}
    first = min(taken)
    others = [row for row in body if row not in taken]
    stem = [row for row in others if row < first or _is_early(inventory, row)]
    rest = [row for row in others if row not in set(stem)]
    return Anatomy(tuple(stem), blocks, tuple(rest), tuple(head))


_TOKEN = re.compile(
    r"\w*(cls|class|reg|register|dist|mask|prompt)_tokens?|class_token|\w*pos(ition)?_embed(ding|s)?(_\w+)?"
    r"|relative_position_bias_table|class_embedding|rel_pos(_[hw])?"
)


def _is_early(inventory: Inventory, row: int) -> bool:
    """Embeddings and learned tokens belong to the stem wherever they are registered."""
    return "embedding" in inventory.owner_class(row).families or is_token(inventory, row)


def is_token(inventory: Inventory, row: int) -> bool:
    """Whether a parameter is a learned token or position, which no module of a known kind owns.

    What timm's models list in `no_weight_decay`: class, register, distillation and mask tokens, position
    embeddings, and tables of relative positions.
    """
    return _TOKEN.fullmatch(inventory.leaves[row]) is not None


def _head(inventory: Inventory) -> list[int]:
    """The rows of the last subtree that is called like a head and ends the model."""
    names = inventory.names
    if not names:
        return []
    last = max((row for row in range(len(names)) if row not in inventory.aliases), default=0)
    segments = names[last].split(".")[:-1]
    for depth, segment in enumerate(segments):
        if _HEAD.match(segment) and not _stands_in_each(names, segments[: depth + 1]):
            prefix = ".".join(segments[: depth + 1]) + "."
            rows = [row for row, name in enumerate(names) if name.startswith(prefix)]
            return rows if len(rows) < len(names) and not _shared(inventory, rows) else []
    prefix = ".".join(segments) + "."
    rows = [row for row, name in enumerate(names) if name.startswith(prefix)]
    plain = "linear" in inventory.owner_class(last).families
    shallow = len(segments) <= 2 and not any(_DIGITS.search(segment) for segment in segments[:-1])
    return rows if plain and shallow and segments and len(rows) < len(names) else []


def _stands_in_each(names: list[str], segments: list[str]) -> bool:
    """Whether numbered siblings hold a part of that name each: `blocks.49.mlp.fc2` is no head."""
    own, unnumbered = ".".join(segments) + ".", _unnumbered(segments)
    return any(
        _unnumbered(name.split(".")[: len(segments)]) == unnumbered
        for name in names
        if not name.startswith(own) and name.count(".") >= len(segments)
    )


def _unnumbered(segments: list[str]) -> list[str]:
    return [_DIGITS.sub("#", segment) for segment in segments[:-1]] + segments[-1:]


def _shared(inventory: Inventory, rows: list[int]) -> bool:
    return any(row in inventory.aliases for row in rows)


def _blocks(inventory: Inventory, body: list[int]) -> Blocks | None:
    """The family of numbered siblings that holds most elements; the outer one of two that hold the same."""
    families: dict[tuple[str, str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in range(len(inventory)):
        if row in inventory.aliases:
            continue
        segments = inventory.names[row].split(".")
        for depth, segment in enumerate(segments[:-1]):
            found = _DIGITS.findall(segment)
            if len(found) != 1 or len(found[0]) > 6:
                continue
            before, after = segment.split(found[0], 1)
            prefix = "".join(part + "." for part in segments[:depth])
            families[prefix, before, after][int(found[0])].append(row)
    inside = set(body)
    best: Blocks | None = None
    most = _LEAST_SHARE * sum(inventory.numel(row) for row in body if not _is_early(inventory, row))
    for (prefix, before, after), members in families.items():
        size = sum(inventory.numel(row) for rows in members.values() for row in rows)
        if any(rows[0] not in inside for rows in members.values()):
            continue  # a selector of these blocks would cover the head too
        if len(members) < 2 or _spelled_twice(inventory, prefix, before, after, members):
            continue
        if size > most * 1.05:
            best = Blocks(
                prefix, before, after, tuple(sorted(members)), {n: tuple(r) for n, r in members.items()}
            )
            most = size
    return best if best is not None and _in_a_row(inventory, best, body) else None


def _in_a_row(inventory: Inventory, blocks: Blocks, body: list[int]) -> bool:
    """Whether nothing but embeddings stands between the blocks: else they alone are no backbone."""
    taken = {row for rows in blocks.members.values() for row in rows}
    between = range(min(taken), max(taken))
    inside = set(body)
    return all(row in taken or row not in inside or _is_early(inventory, row) for row in between)


def _spelled_twice(
    inventory: Inventory, prefix: str, before: str, after: str, members: dict[int, list[int]]
) -> bool:
    """Whether one number is spelled in two ways (`1` and `01`): a selector would not tell them apart."""
    start = len(prefix)
    for rows in members.values():
        if len({inventory.names[row][start:].split(".", 1)[0] for row in rows}) > 1:
            return True
    return any(
        inventory.names[rows[0]][start:].split(".", 1)[0] != f"{before}{number}{after}"
        for number, rows in members.items()
    )
