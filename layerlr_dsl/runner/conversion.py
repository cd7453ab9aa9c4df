"""Weights saved under the names of another implementation, renamed and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from layerlr_dsl.runner.errors import RunnerError

# Blocks in each stage of EfficientNet-B0 and -Lite0 (Tan and Le 2019, table 1).
STAGES = (1, 2, 2, 3, 3, 4, 1)
_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage expands nothing, so its block has one convolution and one norm less.
_PLAIN_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def efficientnet_lite0(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The PyPI package's names (`_blocks.3._bn1.weight`) as timm's (`blocks.2.0.bn2.weight`).

    Raises RunnerError for a name that the published architecture does not have, or that is there twice.
    """
    renamed: dict[str, Any] = {}
    for name, value in tensors.items():
        new = _timm_name(name)
        if new is None or new in renamed:
            raise RunnerError(
                f"efficientnet-lite0: the file holds {name!r}, which EfficientNet-Lite0 does not have"
            )
        renamed[new] = value
    return renamed


def _timm_name(name: str) -> str | None:
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if match is None:
        module, _, leaf = name.partition(".")
        return f"{_OUTER[module]}.{leaf}" if module in _OUTER else None
    stage, position = _place(int(match[1]))
    module = (_PLAIN_BLOCK if stage == 0 else _BLOCK).get(match[2], "")
    return f"blocks.{stage}.{position}.{module}.{match[3]}" if module and stage < len(STAGES) else None


def _place(block: int) -> tuple[int, int]:
    """The stage of a block counted through, and its place in that stage."""
    for stage, length in enumerate(STAGES):
        if block < length:
            return stage, block
        block -= length
    return len(STAGES), block
