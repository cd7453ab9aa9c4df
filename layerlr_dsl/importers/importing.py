"""From a source to the text of a rule file, with everything that is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layerlr_dsl.api import Plan, parse
from layerlr_dsl.importers.clocks import clocked
from layerlr_dsl.importers.description import Description, LeftOut, SourceFault
from layerlr_dsl.importers.fitting import fitted
from layerlr_dsl.importers.geometric import CLOSE
from layerlr_dsl.importers.live import Live, describe, read_optimizer
from layerlr_dsl.importers.reading import Node, read
from layerlr_dsl.importers.registry import Kind, kind_of, kinds
from layerlr_dsl.importers.writing import text_of_description
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.resolve import resolve
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import first_line, shown
from layerlr_dsl.tools.records import record

if TYPE_CHECKING:
    import torch
    from torch import nn


@record
class Imported:
    """Rules made of another tool's configuration.

    text: the rule file. left_out: what it does not say, each with its line in the source. checked: what the
    groups were compared with, None where that was not possible. differences: where they differ, a line a parameter.
    """

    text: str
    kind: str
    left_out: tuple[LeftOut, ...]
    checked: str | None
    differences: tuple[str, ...]


def import_text(
    text: str,
    name: str,
    kind: str | None = None,
    model: nn.Module | Inventory | None = None,
    build: Callable[[str], nn.Module | Inventory | None] | None = None,
    spec: str | None = None,
    steps_per_epoch: int | None = None,
) -> Imported:
    """Rules of a configuration.

    name: of the file, whose ending tells the format. kind: one of `kinds()`, guessed where not given.
    model: a module (then the rules are held against the tool's own groups, where it is installed) or an
    inventory. build: makes the model that the source itself names, where none is given.
    spec: how the file may name the model. steps_per_epoch: needed by schedules that count steps in a run
    that counts epochs. Raises SourceFault.
    """
    root = read(text, name)
    chosen = _chosen(kind, root)
    told = chosen.describe(root)
    if model is None and build is not None and told.model is not None:
        model = build(told.model)
    told = replace(told, model=spec or told.model)
    module = None if isinstance(model, Inventory) else model
    if module is not None:
        again = chosen.describe(root, module)
        told = replace(again, model=spec or again.model)
    inventory = model if isinstance(model, Inventory) else None if model is None else Inventory.of(model)
    if inventory is not None:
        told = fitted(told, inventory)
    told = clocked(told, steps_per_epoch)
    live = None if module is None else _own(chosen, root, module)
    return _finished(told, name, live, chosen.KIND)


def import_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, name: str = "a live optimizer"
) -> Imported:
    """The fewest rules that give what an optimizer does with a model's parameters. Raises SourceFault."""
    live = read_optimizer(optimizer, model)
    return _finished(describe(live), name, live, "the optimizer itself")


def _chosen(kind: str | None, root: Node) -> Kind:
    if kind is None:
        return kind_of(root)
    if kind not in kinds():
        raise SourceFault(f"there is no kind `{kind}`", help=f"there are: {', '.join(kinds())}, torch")
    return kinds()[kind]


def _own(kind: Any, root: Node, model: nn.Module) -> Live | None:
    """What the tool's own code does; None where it is not installed or has no say."""
    make = getattr(kind, "own", None)
    if make is None:
        return None
    try:
        optimizer = make(root, model)
    except (ImportError, ModelError):
        return None
    except SourceFault:
        raise
    except Exception as fault:
        raise SourceFault(f"{kind.KIND} itself refuses this: {first_line(fault)}") from None
    return None if optimizer is None else read_optimizer(optimizer, model)


def _finished(told: Description, name: str, live: Live | None, against: str) -> Imported:
    text = text_of_description(told, name)
    if live is None:
        return Imported(text, told.kind, told.left_out, None, ())
    return Imported(text, told.kind, told.left_out, against, tuple(differences(text, live)))


# ---------------------------------------------------------------- held against the groups it came from


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
