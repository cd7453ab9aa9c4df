"""Rules x inventory x clock -> plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import prod

from layerlr_dsl.language.checked import CheckedRules, CheckedSelector, GroupItem, PatternItem
from layerlr_dsl.language.collector import collector_paused
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.expressions import show
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.behaviour import Behaviour, BehaviourBuilder
from layerlr_dsl.plan.cascade import Cascade, CascadeBuilder
from layerlr_dsl.plan.choosing import Chooser
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.factories import factories, make_schedule
from layerlr_dsl.plan.naming import group_name, told_apart
from layerlr_dsl.plan.plan import Group, GroupKind, Plan
from layerlr_dsl.plan.selection import Decider, Matcher, Matches
from layerlr_dsl.plan.timeline import NOMINAL_EPOCHS, Timeline


@dataclass
class Resolution:
    """Everything on the way from rules to a plan, for the findings to look at."""

    rules: CheckedRules
    inventory: Inventory
    clock: Clock
    nominal: bool
    timeline: Timeline
    matcher: Matcher
    matches: Matches
    decider: Decider
    builder: CascadeBuilder
    cascades: list[Cascade]
    behaviours: list[Behaviour]
    behaviour_of_class: list[int]
    groups: list[Group]
    group_of: list[int]
    found: list[Diagnostic]


def resolve(rules: CheckedRules, inventory: Inventory, clock: Clock, *, lenient: bool = False) -> Plan:
    """The plan, with every finding in its `diagnostics`; it is of use only where none is an error.

    `lenient` leaves unchecked what is relative to a run of unknown length, instead of refusing it.
    """
    from layerlr_dsl.plan.findings import findings
    from layerlr_dsl.plan.findings_schedules import schedule_lengths

    nominal = lenient and clock.epochs is None
    used = Clock(NOMINAL_EPOCHS, clock.steps_per_epoch) if nominal else clock
    with collector_paused():
        resolution = _resolve(rules, inventory, used, nominal)
    resolution.found.extend(schedule_lengths(resolution, lenient=lenient))
    plan = Plan(
        rules=rules,
        inventory=inventory,
        clock=clock,
        optimizers=tuple(resolution.builder.optimizers),
        groups=tuple(resolution.groups),
        events=tuple(resolution.timeline.events),
        diagnostics=(),
        matcher=resolution.matcher,
        matches=resolution.matches,
        cascades=tuple(resolution.cascades),
        behaviours=tuple(resolution.behaviours),
        behaviour_of_class=tuple(resolution.behaviour_of_class),
        group_of=tuple(resolution.group_of),
        capture_numbers=resolution.decider.numbers,
    )
    object.__setattr__(plan, "diagnostics", tuple(findings(plan, resolution)))
    return plan


def _resolve(rules: CheckedRules, inventory: Inventory, clock: Clock, nominal: bool) -> Resolution:
    found: list[Diagnostic] = []
    timeline = Timeline(rules, clock, nominal)
    matcher = Matcher(rules, inventory)
    matches = matcher.run()
    decider = Decider(rules, matcher)
    gather_numbers(rules, decider, matches)
    builder = CascadeBuilder(rules, decider, timeline)
    for factory in factories(rules):
        schedule = make_schedule(factory, rules, clock, found)
        if schedule is not None:
            builder.schedules[id(factory)] = schedule
            if rules.schedule is not None and factory is rules.schedule.factory:
                builder.file_schedule = schedule
    for number in matches.class_of:
        matches.classes[number].count += 1
    chooser = Chooser(rules, decider)
    cascades = [builder.build(kind, chooser.clauses_of(kind)) for kind in matches.classes]
    behaviours, behaviour_of_class = _behaviours(builder, cascades, timeline)
    groups, group_of = _groups(inventory, matches, cascades, behaviours, behaviour_of_class)
    return Resolution(
        rules,
        inventory,
        clock,
        nominal,
        timeline,
        matcher,
        matches,
        decider,
        builder,
        cascades,
        behaviours,
        behaviour_of_class,
        groups,
        group_of,
        found,
    )


def gather_numbers(rules: CheckedRules, decider: Decider, matches: Matches) -> None:
    """The distinct values of every capture, over each selector's items before `except` and `where`."""
    selectors = [*rules.groups.values(), *(x for c in rules.clauses for x in c.selectors)]
    selectors.extend(e.selector for e in rules.expectations if e.selector is not None)
    selectors = [x for x in selectors if x.captures]
    if not selectors:
        return
    by_item: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for item, bindings in {hit for hits in {kind.state.hits for kind in matches.classes} for hit in hits}:
        for name, value in bindings:
            by_item[item][name].add(value)
    # Groups come first and in order of need: a selector may use the captures of a group.
    for selector in _by_need(rules, selectors):
        values: dict[str, set[int]] = defaultdict(set)
        for one in selector.include:
            if isinstance(one, PatternItem):
                for name, found in by_item[decider.matcher.items[one.text]].items():
                    values[name] |= found
            elif isinstance(one, GroupItem):
                _group_numbers(rules.groups[one.name], decider, matches, values)
        decider.numbers[id(selector)] = {name: tuple(sorted(found)) for name, found in values.items()}


def _group_numbers(
    group: CheckedSelector, decider: Decider, matches: Matches, values: dict[str, set[int]]
) -> None:
    for kind in matches.classes:
        for name, value in decider.decide(kind, group) or ():
            values[name].add(value)


def _by_need(rules: CheckedRules, selectors: list[CheckedSelector]) -> list[CheckedSelector]:
    ordered: dict[int, CheckedSelector] = {}

    def visit(selector: CheckedSelector) -> None:
        if id(selector) in ordered:
            return
        for item in (*selector.include, *selector.exclude):
            if isinstance(item, GroupItem):
                visit(rules.groups[item.name])
        if selector.captures:
            ordered[id(selector)] = selector

    for selector in selectors:
        visit(selector)
    return list(ordered.values())


def _behaviours(
    builder: CascadeBuilder, cascades: list[Cascade], timeline: Timeline
) -> tuple[list[Behaviour], list[int]]:
    makes = BehaviourBuilder(builder.optimizers, timeline)
    behaviours: list[Behaviour] = []
    by_key: dict[object, int] = {}
    by_words: dict[object, int] = {}
    of_class: list[int] = []
    for cascade in cascades:
        words = (cascade.optimizer, cascade.schedule, tuple(map(id, cascade.effects)), cascade.freezes)
        number = by_words.get(words)
        if number is None:
            behaviour = makes.build(cascade)
            number = by_key.setdefault(behaviour.key(), len(behaviours))
            if number == len(behaviours):
                behaviours.append(behaviour)
            by_words[words] = number
        of_class.append(number)
    return behaviours, of_class


def _groups(
    inventory: Inventory,
    matches: Matches,
    cascades: list[Cascade],
    behaviours: list[Behaviour],
    of_class: list[int],
) -> tuple[list[Group], list[int]]:
    forever = [behaviour.frozen_for_ever for behaviour in behaviours]
    keys: list[object] = []
    for number in of_class:
        keys.append("frozen" if forever[number] else number)
    numbers: dict[object, int] = {}
    of_row: list[int] = []
    rows: list[list[int]] = []
    untouched = all(inventory.requires_grad)
    for row in range(len(inventory)):
        kind = matches.class_of[row]
        key = keys[kind]
        if not untouched and not inventory.requires_grad[row] and not cascades[kind].planned:
            key = "model"
        number = numbers.get(key, -1)
        if number < 0:
            number = numbers[key] = len(rows)
            rows.append([])
        of_row.append(number)
        rows[number].append(row)
    return _named(inventory, matches, cascades, behaviours, of_class, list(numbers), rows), of_row


def _named(
    inventory: Inventory,
    matches: Matches,
    cascades: list[Cascade],
    behaviours: list[Behaviour],
    of_class: list[int],
    keys: list[object],
    rows: list[list[int]],
) -> list[Group]:
    members = [[inventory.names[row] for row in own] for own in rows]
    first = [behaviours[of_class[matches.class_of[own[0]]]] for own in rows]
    options = [behaviour.options(0) for behaviour in first]
    plain = [group_name(names) for names in members]
    for place, key in enumerate(keys):
        if key in ("frozen", "model"):
            plain[place] = "frozen" if key == "frozen" else "frozen by the model"
    often = Counter(plain)
    shared = (often[name] > 1 for name in plain)
    details = [{**o, **_course(b)} if s else {} for o, b, s in zip(options, first, shared, strict=True)]
    names = told_apart(plain, details)
    groups = []
    for place, key in enumerate(keys):
        kind: GroupKind = "frozen" if key == "frozen" else "model" if key == "model" else "trains"
        trains = kind == "trains"
        groups.append(
            Group(
                name=names[place],
                parameters=tuple(members[place]),
                numel=_numel(inventory, rows[place]),
                optimizer=first[place].optimizer if trains else 0,
                schedule=first[place].schedule if trains else None,
                options=options[place],
                given=first[place].explicit if trains else frozenset(),
                kind=kind,
                planned=cascades[matches.class_of[rows[place][0]]].planned,
                behaviour=first[place],
            )
        )
    return groups


def _course(behaviour: Behaviour) -> dict[str, str]:
    """When a group first trains, in words, to tell apart groups that differ in nothing else."""
    if not behaviour.freezes:
        return {}
    clock = behaviour.timeline.clock
    for tick in (0, *behaviour.changes()):
        if not behaviour.freeze(tick).frozen:
            return {"trains": f"from epoch {show(clock.epoch_of(tick))}"}
    return {"trains": "when a metric says so"}


def _numel(inventory: Inventory, rows: list[int]) -> int:
    shapes = inventory.shapes
    if inventory.lazy:
        return sum(inventory.numel(row) for row in rows)
    return sum(prod(shapes[row]) for row in rows)
