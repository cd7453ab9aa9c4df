"""`layerlr plot FILE`: learning rates and freezing over time, as a picture."""

from __future__ import annotations

import os

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import single
from layerlr_dsl.cli.options import Models, Run, models_option, root_option, run_options
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.resolving import Resolver, planned
from layerlr_dsl.cli.terminal import Screen, write
from layerlr_dsl.cli.times import event_option, fired_by
from layerlr_dsl.plots.series import Picture, UnknownLength, UnknownOption, picture

FORMS = (".png", ".svg", ".html")


@click.command("plot")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@models_option
@run_options
@root_option
@event_option
@click.option("--option", metavar="NAME", help="Draw another option than the rate, such as weight_decay.")
@click.option(
    "-o", "--output", metavar="FILE", help="A .png, .svg or .html file; without it, drawn in the terminal."
)
def command(
    file: str,
    model: Models | None,
    run: Run,
    option: str | None,
    root: str | None,
    events: tuple[str, ...],
    output: str | None,
) -> int:
    """Draw the learning rate of each group over time, and when it is frozen.

    PNG and SVG need matplotlib (the extra `plot`). The HTML page needs nothing else: hover a curve
    for its group, move through time with the mouse or the slider.

    \b
    Examples:
        layerlr plot my.lr --epochs 30
        layerlr plot my.lr --epochs 30 --steps-per-epoch 400 -o plan.png
        layerlr plot my.lr --epochs 30 --event val_loss=12 -o plan.html
    """
    form = _form(output)
    resolved, plan = planned(single(file, root), Resolver(model, run, lenient=False))
    try:
        drawn = picture(
            plan,
            f"{os.path.basename(resolved.entry.name)} on {resolved.spec}",
            fired_by(plan, events),
            option=option,
        )
    except UnknownOption as unknown:
        hint = f"did you mean `{unknown.near}`?" if unknown.near else "`layerlr plan` lists the options"
        raise Refusal(str(unknown), hint) from None
    except UnknownLength:
        raise Refusal(f"{resolved.entry.name}: the length of the run is not known", "pass --epochs") from None
    if output is None:
        write("\n".join(in_terminal(drawn, Screen.of_stdout())))
        return 0
    write_output(output, _rendered(drawn, form))
    write(f"wrote {output}")
    return 0


def _form(output: str | None) -> str:
    form = os.path.splitext(output)[1].lower() if output is not None else ""
    if output is not None and form not in FORMS:
        raise Refusal(
            f"{output}: not a picture that can be drawn", f"end the name in one of {', '.join(FORMS)}"
        )
    return form


def _rendered(drawn: Picture, form: str) -> str | bytes:
    if form == ".html":
        from layerlr_dsl.plots import html

        return html.draw(drawn)
    from layerlr_dsl.plots import figure

    try:
        return figure.draw(drawn, form.removeprefix("."))
    except ImportError:
        hint = "pip install 'layerlr-dsl[plot]', or write an .html file"
        raise Refusal("drawing PNG and SVG needs matplotlib", hint) from None


def in_terminal(drawn: Picture, screen: Screen) -> list[str]:
    """The picture in characters, below its title."""
    from layerlr_dsl.plots import characters
    from layerlr_dsl.tools.cells import clip
    from layerlr_dsl.tools.printable import escape

    title = screen.paint(clip(escape(drawn.title), screen.width), "bold")
    return [title, "", *characters.draw(drawn, screen.width, unicode=screen.unicode)]
