"""Resolving against a live model: the ratio to one `list(model.named_parameters())` in the same run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from measure import Row, best, print_table
from models import mixture
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory


def sixty_rules() -> str:
    """One rule for each layer."""
    lines = [f"layers.{i} -> lr {1e-4 * 0.9 ** (60 - i):.6g}" for i in range(60)]
    return "\n".join(["embedding, head -> lr 1e-3", *lines])


def thousand_rules(conditions: bool) -> str:
    """A thousand rules; with `conditions`, every other one asks for ndim, module and a capture."""
    lines = ["** -> lr 1e-4"]
    for k in range(1000):
        if k % 2 or not conditions:
            lines.append(f"layers.{k % 60}.experts.{k * 7 % 415} -> lr {1e-5 * (k + 1):.6g}")
        else:
            low = k % 60
            where = f"ndim == 2 and module is linear and i >= {low}"
            lines.append(f"layers.<i>.attention.{'qkvo'[k // 2 % 4]}_proj where {where} -> weight_decay {k * 1e-5:.6g}")
    return "\n".join(lines)


def broad_conditions() -> str:
    """A thousand rules, half of which look at every expert of every layer."""
    lines = ["** -> lr 1e-4"]
    for k in range(1000):
        if k % 2:
            lines.append(f"layers.{k % 60}.experts.{k * 7 % 415} -> lr {1e-5 * (k + 1):.6g}")
        else:
            where = f"ndim == {1 + k // 2 % 2} and module is linear and i >= {k % 60}"
            lines.append(f"layers.<i>.experts where {where} -> weight_decay {k * 1e-5:.6g}")
    return "\n".join(lines)


def regex_loop(model: nn.Module, patterns: list[str]) -> Callable[[], object]:
    """What people write by hand: ordered regular expressions, the last match wins."""
    compiled = [re.compile(p) for p in patterns]

    def run() -> dict[int, list[str]]:
        groups: dict[int, list[str]] = {}
        for name, _ in model.named_parameters():
            winner = -1
            for number in range(len(compiled) - 1, -1, -1):
                if compiled[number].match(name):
                    winner = number
                    break
            groups.setdefault(winner, []).append(name)
        return groups

    return run


def rows() -> list[Row]:
    model = mixture()
    floor = best(lambda: list(model.named_parameters()))
    out = [Row("list(named_parameters()), 99,963 tensors", floor, floor, None)]

    def add(name: str, text: str, target: float | None) -> None:
        rules = layerlr.parse(text)
        out.append(Row(name, best(lambda: rules.resolve(model)), floor, target))

    out.append(Row("Inventory.of(model)", best(lambda: Inventory.of(model)), floor, 1.2))
    add("layerlr, 60 rules", sixty_rules(), 2.0)
    loop = regex_loop(model, [rf"layers\.{i}\." for i in range(60)])
    out.append(Row("ordered regex loop, 60 patterns", best(loop), floor, None))
    add("layerlr, 1,000 rules", thousand_rules(False), 3.0)
    add("layerlr, 1,000 rules, `where` in half", thousand_rules(True), 3.0)
    add("layerlr, 1,000 rules, broad `where` in half", broad_conditions(), 3.0)
    return out


if __name__ == "__main__":
    print_table("Resolving 99,963 tensors on meta", rows())
    sys.exit(0)
