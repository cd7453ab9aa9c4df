"""torchtitan's `ParamGroupConfig`s and learning-rate schedule, as TOML or JSON.

Source: torchtitan/components/optimizer/optimizer.py and lr_scheduler.py (0.3.0): patterns are searched for,
the first that is found decides, and each group says all of its optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import Setup, searched, setup
from layerlr_dsl.importers.description import Description, LeftOut, Rule, SourceFault
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.language import syntax as s

if TYPE_CHECKING:
    from torch import nn

KIND = "torchtitan"
ABOUT = "torchtitan: `optimizer.param_groups` and `lr_scheduler` of a TOML or JSON configuration"
_SHAPES = ("linear", "sqrt", "cosine")
_EVERY = {".*", "", "^.*$", "^.*", ".*$"}


def recognizes(root: Node) -> bool:
    """Whether there are groups with patterns."""
    if not isinstance(root.value, dict):
        return False
    holder = root.value.get("optimizer", root)
    return isinstance(holder.value, dict) and "param_groups" in holder.value


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The rules of the groups. Raises SourceFault."""
    top = as_section(root)
    holder = top.section("optimizer") or top
    groups = holder.sections("param_groups")
    if not groups:
        raise SourceFault("there are no `param_groups`", holder.node.line)
    left: list[LeftOut] = []
    read = [(group, *_group(group, left)) for group in groups]
    main = next((made for _, pattern, made in read if pattern in _EVERY), read[-1][2])
    rules = list(_rules(read, main))
    if not any(pattern in _EVERY for _, pattern, _ in read):
        left.append(LeftOut("no group has the pattern `.*`: what none of them matches does not train there"))
    holder.ignore("implementation", "optimizer_factory_kwargs_by_name")
    if holder is not top:
        left += holder.unknown()
    length = top.section("training")
    steps = None if length is None else length.whole("steps", least=1)
    schedule = _schedule(top.section("lr_scheduler"), steps, left)
    return Description(
        KIND,
        tuple(rules),
        nodes.factory(main.info.name),
        schedule=schedule,
        steps=steps,
        left_out=tuple(left),
        lines={
            "optimizer": holder.line("param_groups"),
            "schedule": top.line("lr_scheduler"),
            "steps": None if length is None else length.line("steps"),
        },
    )


def _group(group: Section, left: list[LeftOut]) -> tuple[str, Setup]:
    pattern, called = group.text("pattern"), group.text("optimizer_name")
    for key, found in (("pattern", pattern), ("optimizer_name", called)):
        if found is None:
            raise SourceFault(f"`{group.name}` has no `{key}`", group.node.line)
    options = group.section("optimizer_kwargs")
    arguments = {} if options is None else options.node.plain()
    lines = {} if options is None else {key: options.line(key) for key in arguments}
    name = "muon" if called == "DistMuon" else called
    if name != called:
        left.append(
            LeftOut("`DistMuon`: torch's Muon, which shards its work otherwise", group.line("optimizer_name"))
        )
    made = setup(name, arguments, group.line("optimizer_name"), lines)
    if made.info.scheduled not in made.arguments:
        raise SourceFault(f"`{group.name}.optimizer_kwargs` has no `lr`", group.node.line)
    left += [*made.left_out, *group.unknown()]
    return pattern, made


def _rules(read: list[Any], main: Setup) -> Iterator[Rule]:
    """Back to front. Behind a group with another optimizer each says its own, or would inherit that one."""
    mixed = False
    for group, pattern, made in reversed(read):
        mixed = mixed or made.info.name != main.info.name
        yield _rule(group, pattern, made, mixed, read)


def _rule(group: Section, pattern: str, made: Setup, mixed: bool, read: list[Any]) -> Rule:
    line = group.line("pattern")
    which = nodes.selector() if pattern in _EVERY else nodes.selector(searched(pattern, line))
    said = dict.fromkeys(option for _, _, other in read for option in other.arguments)
    options = {o: made.value(o) for o in said if o in made.info.options and made.value(o) is not None}
    if mixed:
        options = {"optimizer": nodes.factory(made.info.name, **options)}
    return Rule(which, options, line, f"pattern `{pattern}`")


def _schedule(section: Section | None, steps: int | None, left: list[LeftOut]) -> s.ScheduleSequence | None:
    """Warm-up, a plateau, and a decay that ends one step behind the last."""
    if section is None:
        return None
    warm = section.whole("warmup_steps", 200)
    told: dict[str, Any] = dict(_decay(section, steps, warm, left))
    if warm > 1:
        told |= {"warmup": nodes.steps(warm - 1), "warmup_start_factor": nodes.arithmetic(1, "/", warm)}
    left += section.refused({"total_steps": "the schedule is as long as the run: give `steps` instead"})
    left += section.unknown()
    return nodes.schedule("wsd", **told)


def _decay(section: Section, steps: int | None, warm: int, left: list[LeftOut]) -> Iterator[tuple[str, Any]]:
    share = section.number("decay_ratio", None, 0)
    if steps is None:
        left.append(
            LeftOut("the length of the run is not in the file: the decay is a share of it", section.node.line)
        )
        yield "decay", nodes.percent(share if share is not None else 1.0)
    else:
        decay = steps - warm if share is None else min(round(steps * share), steps - warm)
        yield "decay", nodes.steps(decay)
    yield "decay_type", nodes.name(_shape(section))
    if section.number("min_lr_factor", 0.0, 0):
        yield "floor", section.number("min_lr_factor")


def _shape(section: Section) -> str:
    """How the decay goes down."""
    shape: str = section.text("decay_type", "linear")
    if shape not in _SHAPES:
        known = ", ".join(_SHAPES)
        raise SourceFault(f"`{section.name}.decay_type` is one of {known}", section.line("decay_type"))
    return shape
