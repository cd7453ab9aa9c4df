"""A small network under rules of every kind, and its page read back."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from bisect import bisect_right
from typing import Any

from torch import nn

import layerlr_dsl as layerlr

TEXT = """\
optimizer adamw(weight_decay=0.1)
schedule cosine(warmup=1 epochs)
** -> lr 1e-3
blocks.<i>.** -> lr 1e-3 * 0.5 ^ (3 - i)
**.bias -> weight_decay 0
blocks.3 -> lr *= 0.1 from epoch 6
freeze stem until epoch 4 warmup 1 epochs
freeze blocks.0
"""


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)


class Net(nn.Module):
    def __init__(self, blocks: int = 4) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(blocks))
        self.head = nn.Linear(4, 2)
        self.act = nn.ReLU()
        self.token = nn.Parameter(nn.Linear(4, 1).weight.detach())


def plan_of(text: str = TEXT, model: nn.Module | None = None, **run: Any) -> layerlr.Plan:
    return layerlr.parse(text).resolve(model or Net(), **{"epochs": 10, **run})


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r"let data = (.*);\n", page)
    assert found is not None
    data = json.loads(found[1])
    if isinstance(data, str):
        data = json.loads(zlib.decompress(b64decode(data)))
    return data  # type: ignore[no-any-return]


def tensors(data: dict[str, Any], number: int | None = None, prefix: str = "") -> dict[str, tuple[int, int]]:
    """Every tensor of the page by name: its elements and its kind."""
    structure, kinds, children = data["blocks"][data["root"] if number is None else number]
    _, own, segments, _, _ = data["structures"][structure]
    found = {prefix + t[0]: (t[2], kind) for t, kind in zip(own, kinds, strict=True)}
    for segment, child in zip(segments, children, strict=True):
        found |= tensors(data, child, f"{prefix}{segment}.")
    return found


def value(data: dict[str, Any], option: str, group: int, at: float) -> float:
    measure = next(one for one in data["measures"] if one["option"] == option)
    height, number = measure["of"][group]
    shape = data["shapes"][number]
    place = bisect_right(data["times"], at) - 1
    return float(height * shape[place if len(shape) > 1 else 0])
