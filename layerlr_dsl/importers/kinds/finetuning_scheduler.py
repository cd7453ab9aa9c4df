"""finetuning-scheduler's YAML: each phase becomes a stage.

Source: finetuning_scheduler/fts.py and fts_supporters.py (2.14): a phase thaws its parameters on top of those
before, at `lr` (1e-5 where none is given; phase 0 at that of the optimizer), and ends at
`max_transition_epoch`, or when FTSEarlyStopping has seen no improvement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import begun
from layerlr_dsl.importers.description import Description, Freeze, LeftOut, Rule, SourceFault, Stage
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.language import syntax as s

if TYPE_CHECKING:
    from torch import nn

KIND = "finetuning-scheduler"
ABOUT = "finetuning-scheduler: its schedule of phases (YAML)"

_BASE_MAX_LR = 1e-5
_PATIENCE = 3
"""Lightning's EarlyStopping where nobody says otherwise."""


def recognizes(root: Node) -> bool:
    """Whether all keys are numbers of phases, and those have parameters."""
    return (
        isinstance(root.value, dict)
        and bool(root.value)
        and all(
            key.isdigit() and isinstance(node.value, dict) and "params" in node.value
            for key, node in root.value.items()
        )
    )


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The stages of a schedule. Raises SourceFault."""
    top = as_section(root)
    phases = [(int(key), top.section(key)) for key in root.value if key.isdigit()]
    left = [*top.unknown()]
    if not phases or [n for n, _ in phases] != list(range(len(phases))):
        raise SourceFault("phases must be numbered 0, 1, 2, ...", root.line)
    left.append(LeftOut("the optimizer, and the rate of phase 0: they stand in `configure_optimizers`"))
    left.append(LeftOut("`restore_best`: weights are not put back between stages"))
    stages = list(_stages([section for _, section in phases if section is not None], left))
    rates = Rule(nodes.selector(), {"lr": nodes.name("base")})
    return Description(
        KIND, (rates,), nodes.factory("adamw"), (("base", 1e-3),), stages=tuple(stages), left_out=tuple(left)
    )


def _stages(phases: list[Section], left: list[LeftOut]) -> Iterator[Stage]:
    thawed: list[s.SelectorItem] = []
    rates: list[Rule] = []
    begin = 0
    for number, phase in enumerate(phases):
        items = [_item(node) for node in phase.texts("params")]
        if not items:
            raise SourceFault(f"phase {number} has no `params`", phase.node.line)
        thawed += items
        if number:
            rate = phase.number("lr", _BASE_MAX_LR, 0)
            rates.append(Rule(nodes.selector(*items), {"lr": rate}, phase.line("params"), f"phase {number}"))
        elif phase.take("lr") is not None:
            left.append(LeftOut("`lr` of phase 0 is ignored by finetuning-scheduler too", phase.line("lr")))
        freeze = Freeze(nodes.selector(exclude=tuple(thawed)), phase.line("params"), "")
        last = number == len(phases) - 1
        end = None if last else phase.whole("max_transition_epoch", -1, -1)
        length, until = _ending(number, end, begin, last, left, phase)
        begin = begin if end is None or end < 0 else end
        phase.ignore("max_transition_epoch")
        left += phase.refused(
            {
                "new_lr_scheduler": "write a `schedule` under the stage",
                "new_optimizer": "another optimizer after a stage is not to be had",
            }
        )
        left += phase.unknown()
        yield Stage(f"phase{number}", (freeze, *rates), length, until, line=phase.node.line)


def _ending(
    number: int, end: int | None, begin: int, last: bool, left: list[LeftOut], phase: Section
) -> tuple[s.Duration | None, s.Condition | None]:
    if last:
        return None, None
    until = s.Condition(nodes.HERE, "val_loss", "falling", s.Number(nodes.HERE, str(_PATIENCE)))
    if end is None or end < 0:
        message = f"phase {number} ends by FTSEarlyStopping: `val_loss` and {_PATIENCE} epochs are assumed"
        left.append(LeftOut(message, phase.node.line))
        return None, until
    if end <= begin:
        message = f"`max_transition_epoch` of phase {number} must be later than that of the phase before"
        raise SourceFault(message, phase.line("max_transition_epoch"))
    left.append(
        LeftOut(
            f"phase {number} may also end by FTSEarlyStopping: add `until METRIC stops ...`", phase.node.line
        )
    )
    return nodes.epochs(end - begin), None


_LEAVES = ("weight", "bias")


def _item(node: Node) -> s.SelectorItem:
    """The full name of a parameter, or a regular expression that names begin with."""
    text: str = node.value
    plain = all(part.replace("_", "a").isalnum() for part in text.split("."))
    if plain and text.rpartition(".")[2] in _LEAVES:
        return nodes.named(text)
    return begun(text, node.line)
