"""`layerlr plan FILE`: the groups and the freeze timeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import Input, single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.runs import said
from layerlr_dsl.cli.terminal import Screen, write, write_json

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan
    from layerlr_dsl.runner.measuring import Measured

ONLY_MEASURED = ("data", "image_size", "batch_size", "device")


@click.command("plan")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@models_option
@run_options
@root_option
@click.option(
    "--measure",
    is_flag=True,
    help="Build the model, and time a step of each phase on one batch, and one with all thawed.",
)
@click.option(
    "--data", metavar="SPEC", help="With --measure: samples to do that on, as for `train`. Default: made up."
)
@click.option(
    "--image-size", type=click.IntRange(8, 4096), metavar="PIXELS", help="With --measure: side of the images."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="B",
    help="With --measure: samples of a step. [default: 8]",
)
@click.option("--device", metavar="D", help="With --measure: auto, cpu, cuda, cuda:N, mps. [default: auto]")
@format_option("text", "json")
def command(
    file: str,
    model: Models | None,
    run: Run,
    root: str | None,
    measure: bool,
    form: str,
    **how: Any,
) -> int:
    """Show what a rule file does to a model: its groups, and when what is frozen.

    A group holds the parameters that behave alike at all times. Options are those at the start,
    before the schedule; `0.01 > 0.001` shows an option that changes between phases. The backward
    pass can skip what is frozen in front of everything that trains, where the order in which the model
    runs is known.

    \b
    Examples:
        layerlr plan my.lr --epochs 30
        layerlr plan my.lr --model timm:vit_small_patch16_224 --steps-per-epoch 500
        layerlr plan my.lr --format json | jq .phases
        layerlr plan my.lr --measure --batch-size 32
    """
    given = [name for name in ONLY_MEASURED if how[name] is not None]
    if given and not measure:
        raise click.UsageError(f"--{given[0].replace('_', '-')} is for --measure.")
    entry = single(file, root)
    resolved, plan = planned(entry, Resolver(model, run, lenient=False))
    found = _measured(plan, entry, model, resolved.spec or "", how) if measure else None
    if form == "json":
        _write_json(plan, found)
    else:
        _write_text(plan, resolved.spec or "", found)
    return 0


def _measured(plan: Plan, entry: Input, model: Models | None, spec: str, how: Mapping[str, Any]) -> Measured:
    if isinstance(model, dict):
        raise Refusal("--measure runs one model, and here are several under one plan")
    if spec.endswith(".json"):
        raise Refusal(
            f"{spec} is an inventory, which cannot be run", "give the model itself with --model SPEC"
        )
    with said():
        from layerlr_dsl.runner.measuring import Setting, measure

        here = Path() if entry.is_stdin or entry.is_recipe else Path(entry.path).parent
        home = (entry.root or here) if model is None else None
        size, device = how["batch_size"] or 8, how["device"] or "auto"
        return measure(plan, Setting(spec, home, size, how["image_size"], how["data"], device))


def _write_json(plan: Plan, found: Measured | None) -> None:
    from layerlr_dsl.cli.render.measured import as_json

    more = {} if found is None else {"measured": as_json(found)}
    write_json(json.dumps({**plan.to_json(), **more}, indent=2, ensure_ascii=False))


def _write_text(plan: Plan, spec: str, found: Measured | None) -> None:
    from layerlr_dsl.cli.render import measured
    from layerlr_dsl.render.plan import render

    screen = Screen.of_stdout()
    more = [] if found is None else ["", *measured.render(plan, found, screen)]
    write("\n".join([*render(plan, spec, screen), *more]))
