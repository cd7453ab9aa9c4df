"""`layerlr eject FILE`: the rules for one model as a page of plain PyTorch."""

from __future__ import annotations

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Run, model_option, root_option, run_options
from layerlr_dsl.cli.outputs import keep_existing, write_output
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.terminal import write


@click.command("eject")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@model_option()
@run_options
@root_option
@click.option("-o", "--output", metavar="FILE.py", help="Where to write; without it, standard output.")
@click.option("--force", is_flag=True, help="Overwrite FILE.py if it says something else, your changes too.")
def command(file: str, model: str | None, run: Run, root: str | None, output: str | None, force: bool) -> int:
    """Write what a rule file does to a model as one page of plain PyTorch.

    The page imports torch alone. It has the parameter groups, the schedules as formulas with their
    numbers filled in, and the freezing; it trains as the rules do, bit for bit. What it cannot say is
    refused with its place, and nothing is written.

    \b
    Examples:
        layerlr eject my.lr --steps-per-epoch 400 -o groups.py
        layerlr eject recipe:resnet18 --steps-per-epoch 400
    """
    from layerlr_dsl.eject import CannotEject, ejected

    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=False))
    try:
        text = ejected(plan, str(resolved.spec))
    except CannotEject as fault:
        for reason in fault.reasons[:-1]:
            Refusal(reason).show()
        raise Refusal(fault.reasons[-1], "keep layerlr for this, or write it another way") from None
    if output is None:
        click.echo(text, nl=False)
        return 0
    keep_existing(output, force, text)
    write_output(output, text)
    write(f"wrote {output}")
    return 0
