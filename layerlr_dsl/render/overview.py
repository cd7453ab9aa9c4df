"""What `layerlr plan` shows, worked out from a plan: plain data, nothing printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from layerlr_dsl.language.expressions import Value
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.course import Product
from layerlr_dsl.plan.plan import Group, GroupState, Phase, Plan
from layerlr_dsl.render.shapes import Shapes
from layerlr_dsl.tools.numbers import in_words, spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import share

THEN = " → "
"""Between what holds in one phase and in a later one."""


@record
class GroupRow:
    """One group: `options` holds what differs between groups; they and `schedule` go through the phases."""

    name: str
    tensors: int
    numel: int
    share: float
    options: tuple[str, ...]
    schedule: str
    optimizer: str


@record
class Backward:
    """The work of the backward pass in a phase.

    `skipped` is the share of parameters before the first one that trains, in the order in which a forward
    pass uses them: gradients need not reach them. `wasted` is the share that is frozen behind it, and `straggler`
    names a small trainable part that alone makes gradients pass through much that is frozen.
    """

    stops_at: str | None
    skipped: float
    wasted: float
    straggler: str | None


@record
class PhaseRow:
    epochs: str
    numel: int
    share: float
    frozen: tuple[str, ...]
    held: tuple[str, ...]
    """Groups that train while the running statistics of their layers stand still."""
    backward: Backward | None
    """None where the order in which the model runs is not known."""
    waits: bool = False
    """Whether it begins when a metric says so."""


@record
class Overview:
    varying: tuple[str, ...]
    """Options that differ between groups; lr is always among them."""
    common: tuple[tuple[str, str, str], ...]
    """What the file gives and no column shows: whose groups ("" for all), option, value."""
    schedules_differ: bool
    optimizers_differ: bool
    groups: tuple[GroupRow, ...]
    phases: tuple[PhaseRow, ...]
    conditions: tuple[str, ...]


def overview(plan: Plan) -> Overview:
    """Everything that the text form shows."""
    shapes = Shapes(plan)
    courses = [_courses(plan, place, shapes) for place in range(len(plan.groups))]
    varying = _varying(plan.groups, courses)
    total = sum(group.numel for group in plan.groups) or 1
    groups = tuple(
        _group_row(plan, group, course, varying, total)
        for group, course in zip(plan.groups, courses, strict=True)
    )
    live = [row for row, group in zip(groups, plan.groups, strict=True) if group.kind == "trains"]
    return Overview(
        varying=varying,
        common=_common(plan, courses, varying),
        schedules_differ=len({row.schedule for row in live}) > 1,
        optimizers_differ=len({row.optimizer for row in live}) > 1,
        groups=groups,
        phases=tuple(_phase_row(plan, phase) for phase in plan.phases),
        conditions=tuple(escape(event.text) for event in plan.events),
    )


def _courses(plan: Plan, place: int, shapes: Shapes) -> dict[str, str]:
    """Each option of a group as it goes through the phases: `0.01`, `0.01 → 0.001`, or `0.04 to 0.4` if it moves."""
    phases = [phase for phase in plan.phases if phase.when is None]
    spans = [(phase.start, _last_tick(plan, phase), plan.state(phase.start)[place]) for phase in phases]
    courses: dict[str, str] = {}
    for name in dict.fromkeys(name for _, _, state in spans for name in state.options):
        words: list[str] = []
        # A phase may begin for another reason, and what moves goes on.
        for made, alike in groupby(spans, key=lambda span: _made(span[2], name)):
            (first, last, _), *others = alike
            if isinstance(made, Product):
                words.append(shapes.words(made, first, others[-1][1] if others else last))
            else:
                words.append(in_words(made, 4))
        courses[name] = THEN.join(key for key, _ in groupby(words))
    return courses


def _made(state: GroupState, name: str) -> Product | Value:
    """What an option is made of where it moves, else its value."""
    product = state.products.get(name)
    return product if product is not None and product.movers else state.options[name]


def _last_tick(plan: Plan, phase: Phase) -> int:
    """The last tick of a phase, as far as the length of the run is known."""
    end = phase.end if phase.end is not None else plan.clock.total
    return phase.start if end is None else max(end - 1, phase.start)


def _varying(groups: Iterable[Group], courses: list[dict[str, str]]) -> tuple[str, ...]:
    """lr, and what differs between groups: options that the file gives, and weight decay in any case."""
    live = [(group, course) for group, course in zip(groups, courses, strict=True) if group.kind == "trains"]
    told = {"weight_decay"}.union(*(group.given for group, _ in live))
    names = dict.fromkeys(name for _, course in live for name in course if name != "lr" and name in told)
    return ("lr", *(name for name in names if len({course.get(name) for _, course in live} - {None}) > 1))


def _common(
    plan: Plan, courses: list[dict[str, str]], varying: tuple[str, ...]
) -> tuple[tuple[str, str, str], ...]:
    live = [
        (group, course) for group, course in zip(plan.groups, courses, strict=True) if group.kind == "trains"
    ]
    found: dict[tuple[str, str], str] = {}
    for group, course in live:
        for name in course:
            if name in group.given and name not in varying:
                shared = all(name in other for _, other in live)
                whose = "" if shared else plan.optimizers[group.optimizer].called
                found[whose, name] = course[name]
    return tuple((whose, name, option) for (whose, name), option in found.items())


def _group_row(
    plan: Plan, group: Group, course: dict[str, str], varying: tuple[str, ...], total: int
) -> GroupRow:
    trains = group.kind == "trains"
    return GroupRow(
        name=escape(group.name),
        tensors=len(group.parameters),
        numel=group.numel,
        share=group.numel / total,
        options=tuple(course.get(name, "-") for name in varying) if trains else ("",) * len(varying),
        schedule=_schedule(plan, group) if trains else "",
        optimizer=plan.optimizers[group.optimizer].called if trains else "",
    )


def _schedule(plan: Plan, group: Group) -> str:
    """What drives the rate of a group as it goes through the phases: `one_cycle → cosine`."""
    nominal = (phase.start for phase in plan.phases if phase.when is None)
    schedules = (group.behaviour.schedule_at(tick) for tick in nominal)
    return THEN.join(key for key, _ in groupby("none" if s is None else s.text() for s in schedules))


def _phase_row(plan: Plan, phase: Phase) -> PhaseRow:
    return PhaseRow(
        epochs=_span(plan, phase),
        numel=phase.trainable_numel,
        share=phase.trainable_share,
        frozen=tuple(escape(name) for name in phase.frozen),
        held=tuple(_held(plan, phase)),
        backward=backward(plan, frozenset(phase.frozen)),
        waits=phase.when is not None,
    )


def _held(plan: Plan, phase: Phase) -> Iterator[str]:
    """The groups that train in a phase while the running statistics of their layers stand still."""
    inventory = plan.inventory
    of_rows = zip(plan.group_of, inventory.owners, strict=True)
    counting = {group for group, owner in of_rows if owner in (inventory.statistics or ())}
    for place, state in enumerate(plan.state(phase.start, phase.fired)):
        if state.held and not state.frozen and place in counting:
            yield escape(plan.groups[place].name)


def _span(plan: Plan, phase: Phase) -> str:
    if phase.when is not None:
        return f"when {escape(phase.when)}"
    start = _place(plan, phase.start)
    span = f"{start} on" if phase.end is None else f"{start} to {_place(plan, phase.end)}"
    if phase.stage is None:
        return span
    return f"{escape(phase.stage)}: {span}{' (assumed)' if _assumed(plan, phase.start) else ''}"


def _place(plan: Plan, tick: int) -> str:
    return spelled(plan.clock.epoch_of(tick), 6) if plan.clock.knows_epochs else str(tick)


def _assumed(plan: Plan, tick: int) -> bool:
    """Whether a stage before this tick may end earlier, when a metric says so."""
    running = plan.stage(tick)
    return any(stage.until is not None for stage in plan.timeline.calendar.stages[: max(running - 1, 0)])


def backward(plan: Plan, frozen: frozenset[str]) -> Backward | None:
    """How far gradients must travel in a phase in which the groups of these names are frozen."""
    inventory = plan.inventory
    rows = inventory.running_rows
    if rows is None:
        return None
    of_group = [group.name in frozen for group in plan.groups]
    still = [of_group[plan.group_of[row]] for row in rows]
    sizes = [inventory.numel(row) for row in rows]
    total = sum(sizes) or 1
    if all(still):
        return Backward(None, 1.0, 0.0, None)
    first = still.index(False)
    skipped = sum(sizes[:first]) / total
    wasted = sum(size for size, kept in zip(sizes[first:], still[first:], strict=True) if kept) / total
    straggling = _straggling(still, sizes, first)
    return Backward(inventory.names[rows[first]], skipped, wasted, _named(inventory, rows, straggling))


def _straggling(still: list[bool], sizes: list[int], first: int) -> list[int]:
    """Places of the first trainable parameters, if they are few and much that is frozen follows right behind."""
    total = sum(sizes) or 1
    behind = 0
    before: list[int] = []
    for place in range(first, len(sizes)):
        if still[place]:
            behind += sizes[place]
        elif behind >= 0.2 * total:
            break
        else:
            before.append(place)
    few = sum(sizes[place] for place in before) <= 0.02 * total
    return before if few and behind >= 0.2 * total else []


def _named(inventory: Inventory, rows: list[int], places: list[int]) -> str | None:
    if not places:
        return None
    name = escape(inventory.names[rows[places[0]]])
    return name if len(places) == 1 else f"{name} and {len(places) - 1} more"


def described(backward: Backward) -> str:
    """`to layer4.0, skips 80%`: how far gradients go."""
    if backward.stops_at is None:
        return "none"
    if not backward.skipped:
        return "full" if backward.wasted < 0.005 else "full, skips nothing"
    owner = escape(backward.stops_at.rsplit(".", 1)[0])
    return f"to {owner}, skips {share(backward.skipped)}"
