"""axolotl's YAML: `unfrozen_parameters`, `lr_groups`, `embedding_lr`, LoRA+, and what it hands to transformers.

Source: axolotl/utils/freeze.py and core/trainers/mixins/optimizer.py, and peft's create_loraplus_optimizer.
It does not install beside torch 2.13, so its numbers are taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import begun, containing, not_decayed
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Lets, Rule, SourceFault
from layerlr_dsl.importers.kinds.transformers import optimizer_of
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.importers.transformers_schedules import transformers_schedule
from layerlr_dsl.language import syntax as s

if TYPE_CHECKING:
    from torch import nn

KIND = "axolotl"
ABOUT = "axolotl: its YAML configuration"

MARKS = {
    "base_model",
    "micro_batch_size",
    "sequence_len",
    "num_epochs",
    "unfrozen_parameters",
    "lr_groups",
    "datasets",
}
_LOOP = {
    "max_grad_norm": "gradients are clipped in the training loop, not by rules",
    "relora_steps": "restarts of ReLoRA have no rule",
    "lisa_step_interval": "LISA's random layers have no rule",
    "lr_quadratic_warmup": "write `warmup_type=power(2)` into the schedule",
    "cosine_constant_lr_ratio": "write the schedule with `then`",
    "optim_args": "arguments of the optimizer that the rules say nothing of",
}
_NAMES = {"lr_scheduler": "lr_scheduler_type", "optimizer": "optim"}


def recognizes(root: Node) -> bool:
    """Whether several of the configuration's names are there."""
    return isinstance(root.value, dict) and len(MARKS & root.value.keys()) >= 2


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The rules of a configuration. Raises SourceFault."""
    top = as_section(root)
    left: list[LeftOut] = []
    rate = top.number("learning_rate", None, 0)
    if rate is None:
        raise SourceFault("there is no `learning_rate`", top.line("learning_rate"))
    made = optimizer_of(top, left, "optimizer")
    decay = made.arguments.get("weight_decay", 0.0)
    steps = top.whole("max_steps", 0, -1)
    steps = steps if steps > 0 else None
    rules = [Rule(nodes.selector(), {"lr": rate}), *_groups(top, rate, decay, left)]
    schedule, lets = _schedule(root, rate, steps, left)
    left += top.refused(_LOOP)
    left += top.misspelled(("lr_scheduler", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"))
    return Description(
        KIND,
        (*rules, *_freezes(top, left)),
        made.factory,
        lets,
        schedule,
        epochs=None if steps else top.number("num_epochs", 1.0),
        steps=steps,
        left_out=tuple(left),
        lines={
            "optimizer": top.line("optimizer"),
            "schedule": top.line("lr_scheduler"),
            "epochs": top.line("num_epochs"),
            "steps": top.line("max_steps"),
        },
    )


def _schedule(
    root: Node, rate: float, steps: int | None, left: list[LeftOut]
) -> tuple[s.ScheduleSequence | None, Lets]:
    """As transformers', by axolotl's names for the same."""
    renamed = {_NAMES.get(key, key): node for key, node in root.value.items()}
    top = as_section(Node(renamed, root.line))
    if "lr_scheduler_type" not in renamed:
        renamed["lr_scheduler_type"] = Node("cosine", root.line)
    least = top.number("cosine_min_lr_ratio", None, 0)
    if least is not None and top.text("lr_scheduler_type") == "cosine":
        renamed["lr_scheduler_type"] = Node("cosine_with_min_lr", root.line)
        renamed["lr_scheduler_kwargs"] = Node({"min_lr_rate": Node(least)}, root.line)
    return transformers_schedule(top, rate, steps, left)


def _groups(top: Section, rate: float, decay: float, left: list[LeftOut]) -> Iterator[Rule]:
    ratio = top.number("loraplus_lr_ratio", None, 0)
    if ratio is not None:
        yield from _loraplus(top, rate, ratio, decay)
        return
    yield from _lr_groups(top, left)
    special = any(key in top for key in ("embedding_lr", "embedding_lr_scale", "lr_groups"))
    plain = not_decayed(top.line("weight_decay"))
    if special:
        # what is not decayed gets the rate of the file, whatever group it would be in
        yield replace(plain, options={"lr": rate, "weight_decay": 0})
        yield _embeddings(top, rate)
    elif decay:
        yield plain


def _lr_groups(top: Section, left: list[LeftOut]) -> Iterator[Rule]:
    """The first module that stands in a name decides: so they are written from the last to the first."""
    told = [(group, node) for group in top.sections("lr_groups") for node in group.texts("modules")]
    for group, node in reversed(told):
        group.ignore("name")
        rate = group.number("lr", None, 0)
        if rate is None:
            raise SourceFault(f"`{group.name}` has no `lr`", group.node.line)
        yield Rule(nodes.selector(containing(node.value)), {"lr": rate}, node.line, f"module `{node.value}`")
    for group in top.sections("lr_groups"):
        group.ignore("name", "modules", "lr")
        if not group.texts("modules"):
            raise SourceFault(f"`{group.name}` has no `modules`", group.node.line)
        left += group.unknown()


def _embeddings(top: Section, rate: float) -> Rule:
    scale, own = top.number("embedding_lr_scale", None, 0), top.number("embedding_lr", None, 0)
    found = rate * scale if scale else own or rate
    which = nodes.selector(nodes.regex(".*(embed_tokens|lm_head).*|.*modules_to_save\\.default\\.weight"))
    key = "embedding_lr_scale" if scale else "embedding_lr"
    return Rule(which, {"lr": found, "weight_decay": 0}, top.line(key), "" if not (scale or own) else key)


def _loraplus(top: Section, rate: float, ratio: float, decay: float) -> Iterator[Rule]:
    """LoRA's B (and single vectors) at `ratio` times the rate, embeddings at their own."""
    line = top.line("loraplus_lr_ratio")
    own = top.number("loraplus_lr_embedding", 1e-6, 0)
    flat = nodes.compared("ndim", "<=", 1)
    if decay:
        yield Rule(not_decayed(line).which, {"weight_decay": 0}, line, "")
    yield Rule(nodes.selector(nodes.regex(".*lora_B.*")), {"lr": rate * ratio}, line, "lora_B")
    yield Rule(nodes.selector(where=flat), {"lr": rate * ratio}, line, "")
    yield Rule(nodes.selector(nodes.regex(".*lora_embedding_[AB].*")), {"lr": own}, line, "")


# ---------------------------------------------------------------- freezing


def _freezes(top: Section, left: list[LeftOut]) -> Iterator[Freeze]:
    """Everything but what a pattern begins; a dot in a pattern is a dot."""
    nodes_ = top.texts("unfrozen_parameters")
    if not nodes_:
        return
    items = tuple(_unfrozen(node, left) for node in nodes_)
    yield Freeze(nodes.selector(exclude=items), top.line("unfrozen_parameters"), "unfrozen_parameters")


def _unfrozen(node: Node, left: list[LeftOut]) -> s.Regex:
    text: str = node.value
    ranged = re.fullmatch(r"(.+)\[[0-9]*(:[0-9]*)?\]", text)
    if ranged:
        text = ranged[1]
        left.append(
            LeftOut(f"`{node.value}`: rows of a tensor cannot be frozen apart; all of it trains", node.line)
        )
    return begun(re.sub(r"(?<!\\)\.(?!\+)", r"\\.", text), node.line)
