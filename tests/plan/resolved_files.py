"""Generated files of `timed_files` on a model: which may be written, and the plans of those."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from time_oracle import Clock, File, Parts, Run, Stage, placed, valid
from timed_files import Length, statement, text_of
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.api import Plan
from layerlr_dsl.model.live import as_module
from layerlr_dsl.plan.resolve import resolve

TOLERATED = {"LR201", "LR209", "LR301", "LR307"}
"""What a generated file may say in vain; the plan means something all the same."""


def sequences(file: File) -> Iterator[tuple[int, Parts]]:
    run = Run(file, Clock(Fraction(1), 1, True))
    if file.schedule is not None:
        yield 0, file.schedule
    yield from ((n, stage.schedule) for n, stage in enumerate(file.stages, 1) if stage.schedule is not None)
    yield from ((n, rule.schedule) for n, rule in run.statements() if getattr(rule, "schedule", None))


def may_be_written(file: File, clock: Clock) -> bool:
    """Whether stages lie within the run, and something is left for each part of a sequence of schedules."""
    run = Run(file, clock)
    for stage, (start, _) in zip(file.stages, run.stages, strict=False):
        if stage.length is not None and start + clock.exact(stage.length) > clock.length:
            return False
    for stage, sequence in sequences(file):
        own = run.local(stage)[1] if stage <= len(run.stages) else longest(file.stages[stage - 1], clock)
        if any(part.length <= 0 or not valid(c, part) for _, part, c in placed(sequence, own)):
            return False
    return True


def longest(stage: Stage, clock: Clock) -> Clock:
    """The clock of a stage that nobody knows when it begins."""
    return clock.part(clock.total if stage.length is None else clock.ticks(stage.length))


def resolved(file: File, length: Length, model: nn.Module | Mapping[str, nn.Module]) -> Plan:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "included.lr").write_text("\n".join(map(statement, file.included)))
        rules = layerlr.parse(text_of(file, length), str(Path(folder, "main.lr")), root=folder,
                              lets=dict(file.outside))  # fmt: skip
    clock = rules.clock(**length.outside())
    plan = resolve(
        rules.checked, layerlr.Inventory.of(as_module(model)), clock, before=rules.diagnostics, kind=Plan
    )
    bad = [d for d in plan.diagnostics if d.severity == "error" and d.code not in TOLERATED]
    assert not bad, [(d.code, d.message) for d in bad]
    return plan
