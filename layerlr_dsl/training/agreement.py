"""All processes go by one plan, and the parts that they hold make up the whole model."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

import torch.distributed as dist

from layerlr_dsl.training.binding import statistics_go_on, without_parameters
from layerlr_dsl.training.errors import ModelMismatch, RanksDiffer, listed
from layerlr_dsl.training.holding import is_part
from layerlr_dsl.training.parallel import ranks

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan


class Said(NamedTuple):
    """What a process tells the others.

    plan: the digest of it. fault: what is wrong with what it holds. held: packed by `packed`, None for all.
    """

    plan: str
    fault: str | None
    held: bytes | None


def require_agreement(plan: Plan, bound: Callable[[], Collection[str]] | None = None) -> None:
    """Raise RanksDiffer on every rank unless all hold the same plan, for models that are alike.

    bound: gives the names that this process holds, or raises ModelMismatch; what it raises is raised on all ranks,
    and so is ModelMismatch where there is a parameter of the plan that no process holds.
    """
    if ranks() == 1:
        return
    fault, held = None, None
    try:
        names = None if bound is None else bound()
        held = None if names is None or not is_part(plan, names) else packed(plan, names)
    except ModelMismatch as error:
        fault = error
    everyone = _told(Said(fingerprint(plan), None if fault is None else str(fault), held))
    _require_one_plan([said.plan for said in everyone])
    if fault is not None:
        raise fault
    if odd := [(rank, said.fault) for rank, said in enumerate(everyone) if said.fault is not None]:
        raise RanksDiffer(f"rank {odd[0][0]}: {odd[0][1]}")
    parts = [said.held for said in everyone]
    if lost := nobody_holds(plan, [part for part in parts if part is not None] if None not in parts else []):
        raise ModelMismatch(
            f"no process holds {listed(lost)}, for which the rules were resolved; every parameter must be in the part of "
            "some process, or the rules be resolved for a model without it"
        )


def _told(own: Said) -> list[Said]:
    """What every rank says, by rank."""
    everyone: list[Said] = [own] * ranks()
    dist.all_gather_object(everyone, own)
    return everyone


def _require_one_plan(digests: list[str]) -> None:
    odd = [str(rank) for rank, other in enumerate(digests) if other != digests[0]]
    if odd:
        raise RanksDiffer(
            f"rank {', '.join(odd)} and rank 0 hold different rules, models, epochs or steps_per_epoch; "
            "every process must resolve the same file against the same model and clock"
        )


def packed(plan: Plan, names: Collection[str]) -> bytes:
    """Which parameters of a plan a part holds: a bit for each in the order of the inventory, compressed."""
    bits = bytearray(len(plan.inventory) // 8 + 1)
    for row, name in enumerate(plan.inventory.names):
        if name in names:
            bits[row // 8] |= 1 << row % 8
    return zlib.compress(bits, 1)


def nobody_holds(plan: Plan, parts: Collection[bytes]) -> list[str]:
    """The parameters that are in none of the packed parts; none where there are no parts."""
    if not parts:
        return []
    held = 0
    for part in set(parts):
        held |= int.from_bytes(zlib.decompress(part), "little")
    missing = ~held & (1 << len(plan.inventory)) - 1
    if not missing:
        return []
    bits = missing.to_bytes(len(plan.inventory) // 8 + 1, "little")
    return [name for row, name in enumerate(plan.inventory.names) if bits[row // 8] >> row % 8 & 1]


def fingerprint(plan: Plan) -> str:
    """A digest of everything a plan does over time, equal on all ranks or the run makes no sense."""
    inventory = plan.inventory
    whole = hashlib.sha256()
    shapes = [tuple(shape) for shape in inventory.shapes]
    whole.update(repr((inventory.names, shapes, inventory.dtypes)).encode())
    whole.update(
        repr((plan.clock, [(c.called, sorted(c.settings.items())) for c in plan.optimizers])).encode()
    )
    for group in plan.groups:
        text = None if group.schedule is None else group.schedule.text()
        facts = (
            group.name,
            group.parameters,
            group.optimizer,
            text,
            group.kind,
            group.planned,
            sorted(group.given),
        )
        whole.update(repr(facts).encode())
    for event in plan.events:
        whole.update(repr((event.text, event.opens)).encode())
    fired = {event.index: 1 for event in plan.events}
    going_on = statistics_go_on(plan)
    for happened in ({}, fired):
        tick: int | None = 0
        while tick is not None:
            states = [
                (
                    sorted(map(repr, s.products.items())),
                    repr(s.schedule),
                    s.frozen,
                    s.statistics,
                    s.held,
                    s.warmup,
                )
                for s in plan.state(tick, happened)
            ]
            free = [name for name, behaviour in going_on if behaviour.freeze(tick, happened).statistics]
            whole.update(repr((tick, states, free)).encode())
            tick = plan.next_change(tick, happened)
        for module in without_parameters(plan):
            course = [(t, module.frozen(t, happened)) for t in (0, *module.behaviour.changes(happened))]
            whole.update(repr((module.name, course)).encode())
    return whole.hexdigest()
