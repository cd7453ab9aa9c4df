"""Holding rules against the groups that they came from, parameter by parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layerlr_dsl.api import Plan, parse
from layerlr_dsl.importers.geometric import CLOSE
from layerlr_dsl.importers.live import Live
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.resolve import resolve
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import shown


def planned(text: str, inventory: Inventory) -> Plan:
    """The plan of a rule text, what depends on a length that nobody said left open."""
    rules = parse(text, filename="<import>")
    plan: Plan = resolve(
        rules.checked, inventory, rules.clock(), lenient=True, before=rules.diagnostics, kind=Plan
    )
    return plan


def findings(text: str, inventory: Inventory) -> tuple[Diagnostic, ...]:
    """What `validate` would say of a rule text, notes aside."""
    return tuple(d for d in planned(text, inventory).diagnostics if d.severity != "info")


def differences(text: str, live: Live) -> list[str]:
    """Where the rules and an optimizer's groups differ, one line a parameter; none where they are the same.

    Those of parameters that do not train are alike whatever they say.
    """
    plan = planned(text, live.inventory)
    if has_errors(plan.diagnostics):
        return [d.message for d in plan.diagnostics if d.severity == "error"]
    told = plan.to_json()["parameters"]
    frozen = {name: bool(options["frozen"]) for name, options in plan.at(epoch=0).items()}
    return [line for row in range(len(live.inventory)) for line in _differences(live, row, told, frozen)]


def _differences(live: Live, row: int, told: Mapping[str, Any], frozen: Mapping[str, bool]) -> Iterator[str]:
    name = live.inventory.names[row]
    trains = live.trains[row]
    if frozen[name] == trains:
        yield f"{shown(name)}: {'frozen by the rules' if trains else 'trained by the rules'}"
    if not trains:
        return
    ours = told[name]["options"]
    for option, value in (live.options[row] or {}).items():
        known = live.info.options.get(option)
        found = ours.get(option, None if known is None else known.default)
        if not _same(found, value):
            yield f"{shown(name)}: {option} {_spelled(found)}, not {_spelled(value)}"


def _spelled(value: object) -> str:
    return spelled(value, 17)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or abs(one - other) <= CLOSE * max(abs(one), abs(other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
