"""What `layerlr diff` finds: equal differences gathered, and told by module."""

from __future__ import annotations

from layerlr_dsl.plan.diff import diff
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.starters.cover import cover
from layerlr_dsl.tools.records import record


@record
class Change:
    """One option that goes from one value to another for some parameters.

    `modules` are the fewest names whose subtrees hold exactly these parameters.
    """

    option: str
    old: str
    new: str
    parameters: tuple[str, ...]
    modules: tuple[str, ...]
    numel: int


@record
class Changes:
    """All changes, and how many parameters the model has."""

    found: tuple[Change, ...]
    differing: int
    total: int


def changes(old: Plan, new: Plan) -> Changes:
    """Every difference between two plans for one model."""
    gathered: dict[tuple[str, str, str], list[str]] = {}
    for one in diff(old, new):
        gathered.setdefault((one.option, one.old, one.new), []).append(one.parameter)
    differing = {name for names in gathered.values() for name in names}
    found = [_change(new, *key, names) for key, names in gathered.items()]
    rank = {option: place for place, option in enumerate(dict.fromkeys(change.option for change in found))}
    found.sort(key=lambda change: (change.option != "lr", rank[change.option]))
    return Changes(tuple(found), len(differing), len(new.inventory))


def _change(plan: Plan, option: str, old: str, new: str, names: list[str]) -> Change:
    inventory = plan.inventory
    rows = [inventory.index_of[name] for name in names if name in inventory.index_of]
    modules = cover(inventory, rows)
    if len(rows) == len(inventory):
        modules = ["**"]
    return Change(option, old, new, tuple(names), tuple(modules), sum(map(inventory.numel, rows)))
