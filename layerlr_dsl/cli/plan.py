"""`layerlr plan FILE`: the groups and the freeze timeline."""

from __future__ import annotations

import json

import click

from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.terminal import Screen, write, write_json


@click.command("plan")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@models_option
@run_options
@root_option
@format_option("text", "json")
def command(
    file: str,
    model: Models | None,
    run: Run,
    root: str | None,
    form: str,
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
    """
    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=False))
    if form == "json":
        write_json(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
        return 0
    from layerlr_dsl.render.plan import render

    write("\n".join(render(plan, resolved.spec or "", Screen.of_stdout())))
    return 0
