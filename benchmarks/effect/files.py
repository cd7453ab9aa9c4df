"""The rule files of the arms: what `layerlr init` would write, or a file of this study, at the length that is run."""

from __future__ import annotations

import re
from pathlib import Path

from effect.design import Arm
from effect.networks import Network
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.starters import starter

HERE = Path(__file__).parent / "rules"


def text(arm: Arm, network: str, made: Network, epochs: int) -> str:
    """The rule file of an arm. Raises ValueError where a statement that it is to lack is not there."""
    if arm.file is not None:
        written = (HERE / network / arm.file).read_text("utf-8")
    else:
        assert arm.starter is not None
        written = starter(Inventory.of(made.model), arm.starter, made.spec or network, made.spec is not None)
    if arm.without is not None:
        if f"\n{arm.without}\n" not in written:
            raise ValueError(f"{arm.name}: there is no statement `{arm.without}`")
        written = written.replace(f"\n{arm.without}\n", "\n")
    return re.sub(r"(?m)^epochs .*$", f"epochs {epochs}", written)


def bare(rules: str) -> str:
    """Rules without comments and empty lines: what is said in them beside changes no trial."""
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in rules.splitlines()]
    return "\n".join(line for line in lines if line)
