"""`layerlr init --model SPEC`: a starting file for a model."""

from __future__ import annotations

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.named import as_named
from layerlr_dsl.cli.options import Models, own_models_option
from layerlr_dsl.cli.outputs import keep_existing, write_output
from layerlr_dsl.cli.resolving import specs, spelled, stated_inventory
from layerlr_dsl.cli.terminal import write
from layerlr_dsl.starters import STYLES, starter
from layerlr_dsl.tools.words import next_plan


@click.command("init")
@own_models_option
@click.option(
    "--style",
    type=click.Choice(list(STYLES)),
    default="plain",
    show_default=True,
    help="What the rules do.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write; without it, standard output.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def command(model: Models, style: str, output: str | None, force: bool) -> int:
    """Write a starting file for a model, commented, that validates clean.

    \b
    Styles:
        plain          one rate: what any other must beat (see `layerlr tune`)
        held           one rate, and the norms' running statistics stand still
        head           the head alone
        lower-half     one rate, and the half next to the input never trains
        head-then-all  the head alone for a while, then everything
        layered        rates that grow from the input to the head
        gradual        the head first, then one stage after the other thaws
        decay          a rate for each block, each a factor below the next
        muon           Muon for the blocks' matrices, AdamW for the rest

    \b
    Examples:
        layerlr init --model torchvision:resnet18 -o my.lr
        layerlr init --model timm:vit_small_patch16_224 --style decay
        layerlr init --model unet=python:mine:unet --model text=hf:./encoder
    """
    keep_existing(output, force)
    inventory = stated_inventory(model)
    if not len(inventory):
        raise Refusal(f"{spelled(model)}: this model has no parameters")
    named = (model, False) if isinstance(model, dict) else as_named(model, output)
    text = starter(inventory, style, *named)
    if output is None:
        click.echo(text, nl=False)
        return 0
    write_output(output, text)
    write(f"wrote {output}; {next_plan(output, () if named[1] else specs(model))}")
    return 0
