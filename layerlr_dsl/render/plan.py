"""The text form of `layerlr plan`: groups as a table, freezing as lanes, phases as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plots import characters
from layerlr_dsl.plots.labels import Labels
from layerlr_dsl.plots.series import Picture, picture
from layerlr_dsl.render.overview import Overview, PhaseRow, described, overview
from layerlr_dsl.render.table import Column, table
from layerlr_dsl.tools.cells import cells, pad, shorten, wrap
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.screen import Screen
from layerlr_dsl.tools.words import share, short

FREE = 72


def render(plan: Plan, spec: str, screen: Screen) -> list[str]:
    """All lines of the overview."""
    view = overview(plan)
    return [
        *_title(plan, spec, screen),
        "",
        *_groups(view, screen),
        *_common(view, plan, screen),
        "",
        *_timeline(plan, view, screen),
    ]


def _title(plan: Plan, spec: str, screen: Screen) -> list[str]:
    total = sum(group.numel for group in plan.groups)
    clock = plan.clock
    length = "length of the run unknown"
    if clock.run_epochs is not None:
        length = plural(clock.run_epochs, "epoch")
    elif clock.steps is not None:
        length = plural(clock.steps, "step")
    if clock.steps_per_epoch is not None:
        length += f" of {plural(clock.steps_per_epoch, 'step')}"
    size = f"{short(total)} parameters in {plural(len(plan.inventory), 'tensor')}"
    lines = wrap(f"{escape(spec)}: {size}; {length}", screen.width, 0, "  ")
    return [screen.paint(line, "bold") for line in lines]


def _groups(view: Overview, screen: Screen) -> list[str]:
    columns = [Column("group", elastic=True), Column("tensors", right=True), Column("params", right=True)]
    columns += [Column("share", right=True), *(Column(name) for name in view.varying)]
    if view.optimizers_differ:
        columns.append(Column("optimizer"))
    if view.schedules_differ:
        columns.append(Column("schedule", elastic=True))
    rows = []
    for group in view.groups:
        row = [group.name, f"{group.tensors:,}", short(group.numel), share(group.share)]
        row += [_then(option, screen) for option in group.options]
        if view.optimizers_differ:
            row.append(group.optimizer)
        if view.schedules_differ:
            row.append(_then(group.schedule, screen))
        rows.append(row)
    return table(columns, rows, screen)


def _then(course: str, screen: Screen) -> str:
    return course if screen.unicode else course.replace("→", "->")


def _common(view: Overview, plan: Plan, screen: Screen) -> list[str]:
    said: dict[str, list[str]] = {"": []}
    for whose, name, option in view.common:
        said.setdefault(whose, []).append(f"{name} {_then(option, screen)}")
    if not view.optimizers_differ and plan.optimizers:
        said[""].insert(0, f"optimizer {plan.optimizers[0].info.name}")
    schedules = {row.schedule for row in view.groups if row.schedule}
    if not view.schedules_differ and schedules:
        schedule = schedules.pop()
        said[""].append("no schedule" if schedule == "none" else f"schedule {_then(schedule, screen)}")
    lines = [""]
    for whose, words in said.items():
        if words:
            lines += wrap(f"{whose or 'all groups'}: {', '.join(words)}", screen.width, 0, "  ")
    return lines if len(lines) > 1 else []


# ---------------------------------------------------------------- time


def _timeline(plan: Plan, view: Overview, screen: Screen) -> list[str]:
    if len(view.phases) == 1 and not view.phases[0].frozen and not view.phases[0].held:
        return ["nothing is frozen at any time"]
    lines: list[str] = []
    if plan.clock.total is not None and len(view.phases) > 1:
        lines += [*_lanes(picture(plan, ""), plan, screen), ""]
    lines += _phases(view, plan, screen)
    for stage in plan.timeline.calendar.stages:
        if stage.fresh:
            lines += wrap(f"{escape(stage.name)} begins with a fresh optimizer", screen.width, 0, "  ")
    for row in view.phases:
        if row.backward is not None and row.backward.straggler is not None:
            said = (
                f"phase {row.epochs}: {row.backward.straggler} trains in front of what is frozen, so gradients "
                f"still pass through {share(row.backward.wasted)} of the model for it"
            )
            lines += ["", *wrap(said, screen.width, 0, "  ")]
    return lines


def _lanes(shown: Picture, plan: Plan, screen: Screen) -> list[str]:
    """One lane for all groups that are frozen at the same times, which are called by their layers."""
    patterns: dict[tuple[bool, ...], list[int]] = {}
    for group, one in enumerate(shown.series):
        patterns.setdefault(one.frozen, []).append(group)
    labels = _labels(plan, patterns.values())
    unit = "epoch" if plan.clock.knows_epochs else "step"
    beside = min(max(map(cells, [unit, *labels])), max(screen.width // 3, 12))
    across = max(min(screen.width, FREE + beside) - beside - 2, 8)
    lines = [f"{pad(unit, beside)}  {characters.axis(shown, across)}"]
    for groups, label in zip(patterns.values(), labels, strict=True):
        drawn = characters.lane(shown, shown.series[groups[0]], across, screen.unicode)
        lines.append(f"{pad(shorten(label, beside, screen.ellipsis), beside)}  {_painted(drawn, screen)}")
    known = characters.signs(screen.unicode)
    legend = f"{known.solid} trains  {known.frozen} frozen"
    margin = min(beside + 2, max(screen.width - cells(legend), 0))
    return [*lines, " " * margin + screen.paint(legend, "dim")]


def _labels(plan: Plan, patterns: Iterable[Sequence[int]]) -> list[str]:
    """What the groups of each pattern are called together."""
    rows: list[list[int]] = [[] for _ in plan.groups]
    for row, group in enumerate(plan.group_of):
        rows[group].append(row)
    known = Labels(plan.inventory)
    return [escape(known.of([row for group in groups for row in rows[group]]).whole) for groups in patterns]


def _painted(lane: str, screen: Screen) -> str:
    known = characters.signs(screen.unicode)
    styles = {known.solid: "good", known.frozen: "dim"}
    return "".join(screen.paint("".join(run), styles[sign]) for sign, run in groupby(lane))


def _phases(view: Overview, plan: Plan, screen: Screen) -> list[str]:
    unit = "epochs" if plan.clock.knows_epochs else "steps"
    columns = [Column(unit, elastic=True), Column("trains", right=True), Column("share", right=True)]
    notes = _notes(view)
    rows = [[notes.get(row.epochs, row.epochs), short(row.numel), share(row.share)] for row in view.phases]
    passes = [described(row.backward) for row in view.phases if row.backward is not None]
    if passes:
        columns.append(Column("backward pass"))
        rows = [[*row, told] for row, told in zip(rows, passes, strict=True)]
    columns.append(Column("frozen", elastic=True))
    frozen = [_frozen(row, told) for row, told in zip(view.phases, _phase_labels(plan), strict=True)]
    lines = table(columns, [[*row, told] for row, told in zip(rows, frozen, strict=True)], screen)
    below = [f"{sign.removeprefix('when ')} {text}" for text, sign in notes.items()]
    below += [f"{_HELD} the statistics of what trains stand still too"] * any(row.held for row in view.phases)
    return [*lines, *(line for text in below for line in wrap(text, screen.width, 0, "  "))]


def _notes(view: Overview) -> dict[str, str]:
    """Phases that wait for a metric by their conditions, which are too long for a column, and their signs."""
    waiting = (row.epochs for row in view.phases if row.waits)
    return {told: f"when [{number}]" for number, told in enumerate(dict.fromkeys(waiting), 1)}


def _phase_labels(plan: Plan) -> list[str]:
    """What is frozen in each phase, called by its layers."""
    index = {group.name: place for place, group in enumerate(plan.groups)}
    return _labels(plan, [[index[name] for name in phase.frozen] for phase in plan.phases])


def _frozen(row: PhaseRow, label: str) -> str:
    return (label if row.frozen else "nothing") + (f" {_HELD}" if row.held else "")


_HELD = "*"
"""Marks phases in which statistics are held; whose, the file says: names would fill the line."""
