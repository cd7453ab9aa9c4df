"""`layerlr plot FILE`: learning rates and freezing over time, as a picture."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Models, Run, models_option, root_option, run_options
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.terminal import Screen, write
from layerlr_dsl.cli.times import event_option, fired_by
from layerlr_dsl.plots.chart import Chart, of_plan
from layerlr_dsl.plots.series import UnknownLength, UnknownOption
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.stages import Fired

FORMS = (".png", ".svg", ".html")


@click.command("plot")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@models_option
@run_options
@root_option
@event_option
@click.option("--option", metavar="NAME", help="Draw another option than the rate, such as weight_decay.")
@click.option("--network", is_flag=True, help="Draw the blocks of the network in the place of curves.")
@click.option(
    "-o", "--output", metavar="FILE", help="A .png, .svg or .html file; without it, drawn in the terminal."
)
def command(
    file: str,
    model: Models | None,
    run: Run,
    option: str | None,
    network: bool,
    root: str | None,
    events: tuple[str, ...],
    output: str | None,
) -> int:
    """Draw the learning rate of each group over time, and when it is frozen.

    Groups that take one course are one curve, and a row below it. What a metric may change is
    drawn as if it never came, with how far it may go. --network draws a row for each block of the
    network instead. PNG needs matplotlib (the extra `plot`). The HTML page shows both: its modules
    as blocks, coloured by rate, hatched while frozen, with the rules that cover each; play it, or
    move through time with the slider. `layerlr view` keeps it up to date.

    \b
    Examples:
        layerlr plot my.lr --epochs 30
        layerlr plot my.lr --epochs 30 --steps-per-epoch 400 -o plan.png
        layerlr plot my.lr --epochs 30 --network -o network.svg
        layerlr plot my.lr --epochs 30 --event val_loss=12 -o plan.html
    """
    form = _form(output)
    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=False))
    title = f"{os.path.basename(resolved.entry.name)} on {resolved.spec}"
    fired = fired_by(plan, events)
    try:
        if output is None:
            chart = of_plan(plan, title, fired, option, network)
            write("\n".join(in_terminal(chart, Screen.of_stdout())))
            return 0
        content = _drawn(plan, title, fired, option, network, form)
    except UnknownOption as unknown:
        hint = f"did you mean `{unknown.near}`?" if unknown.near else "`layerlr plan` lists the options"
        raise Refusal(str(unknown), hint) from None
    except UnknownLength:
        raise Refusal(f"{resolved.entry.name}: the length of the run is not known", "pass --epochs") from None
    write_output(output, content)
    write(f"wrote {output}")
    return 0


def _form(output: str | None) -> str:
    form = os.path.splitext(output)[1].lower() if output is not None else ""
    if output is not None and form not in FORMS:
        raise Refusal(
            f"{output}: not a picture that can be drawn", f"end the name in one of {', '.join(FORMS)}"
        )
    return form


def _drawn(plan: Plan, title: str, fired: Fired, option: str | None, network: bool, form: str) -> str | bytes:
    """The picture as a file of a form. Raises Refusal, UnknownOption and UnknownLength."""
    if form == ".html":
        from layerlr_dsl.plots import html
        from layerlr_dsl.plots.network import drawing

        return html.draw(drawing(plan, title, fired, option))
    chart = of_plan(plan, title, fired, option, network)
    if form == ".svg":
        from layerlr_dsl.plots import svg

        return svg.draw(chart, paper=True) + "\n"
    from layerlr_dsl.plots import figure

    try:
        return figure.draw(chart)
    except ImportError:
        hint = f"{install('plot')}, or write an .svg or .html file"
        raise Refusal("drawing PNG needs matplotlib", hint) from None


def in_terminal(chart: Chart, screen: Screen) -> list[str]:
    """The picture in characters, below its title."""
    from layerlr_dsl.plots import characters
    from layerlr_dsl.tools.cells import shorten
    from layerlr_dsl.tools.printable import escape

    title = shorten(escape(chart.picture.title), screen.width, screen.ellipsis)
    return [screen.paint(title, "bold"), "", *characters.draw(chart, screen)]
