"""`layerlr explain FILE PARAMETER`: which rules decide about a parameter."""

from __future__ import annotations

import click

from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.cli.times import event_option, fired_by, tick_at


@click.command("explain")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@click.argument("parameter", metavar="PARAMETER")
@models_option
@run_options
@root_option
@click.option(
    "--at",
    "moment",
    default="epoch 0",
    show_default=True,
    metavar="TIME",
    help="When: 'epoch 3', 'step 1200', '50%'.",
)
@event_option
@format_option("text", "json")
def command(
    file: str,
    parameter: str,
    model: Models | None,
    run: Run,
    root: str | None,
    moment: str,
    events: tuple[str, ...],
    form: str,
) -> int:
    """Tell which rules decide about a parameter, option by option.

    Shows every rule that matches, in the order of the file: `>` marks the one that wins, the others
    are overridden, outside their window, or what a later `*=` multiplies. PARAMETER may be a selector;
    parameters that are treated alike are then shown together.

    \b
    Examples:
        layerlr explain my.lr layer4.0.conv1.weight
        layerlr explain my.lr fc.bias --at "epoch 3"
        layerlr explain my.lr "layer4 where ndim > 1"
    """
    from layerlr_dsl.cli.explained import explained
    from layerlr_dsl.render.explain import as_json, render

    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=True))
    tick, fired = tick_at(plan, moment), fired_by(plan, events)
    found = explained(plan, parameter, resolved, tick, fired)
    if form == "json":
        write_json(as_json(found))
    else:
        write("\n".join(render(found, moment.strip(), Screen.of_stdout())))
    return 0
