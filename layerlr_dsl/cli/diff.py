"""`layerlr diff OLD NEW`: what two rule files do differently to one model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import Input, read, single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.resolving import Resolver, plan_of
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.language.diagnostics import has_errors
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.tools.numbers import plural

if TYPE_CHECKING:
    from layerlr_dsl.cli.render.diff import Changes


@click.command("diff")
@click.argument("old", type=click.Path(readable=False), metavar="OLD")
@click.argument("new", type=click.Path(readable=False), metavar="NEW")
@models_option
@run_options
@root_option
@click.option("--all", "every", is_flag=True, help="List every parameter instead of modules.")
@format_option("text", "json")
@click.option("-o", "--output", metavar="FILE", help="A page (.html): both pictures, and what differs.")
def command(
    old: str,
    new: str,
    model: Models | None,
    run: Run,
    root: str | None,
    every: bool,
    form: str,
    output: str | None,
) -> int:
    """Compare what two rule files do to one model, parameter by parameter.

    Lists the parameters whose options, windows, schedule, optimizer or freezing differ, with both
    values, gathered by module. Differences are no findings: the exit status is 0. Without --model,
    both files are compared on the model that NEW names (or OLD, where NEW names none).

    \b
    Examples:
        layerlr diff old.lr new.lr --model torchvision:resnet18
        git show HEAD:rules/my.lr | layerlr diff - rules/my.lr --epochs 30
        layerlr diff old.lr new.lr --epochs 30 -o diff.html
    """
    from layerlr_dsl.cli.render.diff import as_json, changes, render

    left, right = single(old, root), single(new, root)
    if output is not None and not output.lower().endswith(".html"):
        raise Refusal(f"{output}: the picture of a difference is a page", "end the name in .html")
    if left.is_stdin and right.is_stdin:
        raise Refusal("only one of the two can be standard input")
    plans = _plans(left, right, Resolver(model, run))
    found = changes(*plans)
    if output is not None:
        write_output(output, _page(plans, (left.name, right.name), found))
        write(f"wrote {output}")
    elif form == "json":
        write_json(as_json(found))
    else:
        write("\n".join(render(found, every, Screen.of_stdout())))
    return 0


def _page(plans: tuple[Plan, Plan], names: tuple[str, str], found: Changes) -> str:
    """Both pictures, and the changes below them. Raises Refusal."""
    from layerlr_dsl.cli.render.diff import modules_of, said
    from layerlr_dsl.plan.diff import option_in_words
    from layerlr_dsl.plots.compared import Side, page
    from layerlr_dsl.plots.series import UnknownLength

    changed = frozenset(name for change in found.found for name in change.parameters)
    sides = [Side(plan, os.path.basename(name), changed) for plan, name in zip(plans, names, strict=True)]
    rows = [
        (
            option_in_words(change.option),
            said(change.option, change.old),
            said(change.option, change.new),
            modules_of(change),
            plural(len(change.parameters), "tensor"),
        )
        for change in found.found
    ]
    try:
        return page(sides[0], sides[1], ("option", "before", "after", "where", "how many"), rows)
    except UnknownLength:
        raise Refusal(
            "the length of the run is not known, so there is no time to draw", "pass --epochs"
        ) from None


def _plans(left: Input, right: Input, resolver: Resolver) -> tuple[Plan, Plan]:
    """Both plans, for one model. Raises Refusal and HasErrors."""
    before, after = read(left), read(right)
    if resolver.model is not None:
        return plan_of(resolver.resolve(left, before)), plan_of(resolver.resolve(right, after))
    new = resolver.resolve(right, after)
    if new.plan is not None or has_errors(new.findings):
        resolver.pinned = (new.spec or "", plan_of(new).inventory)
        return plan_of(resolver.resolve(left, before)), plan_of(new)
    old = resolver.resolve(left, before)
    resolver.pinned = (old.spec or "", plan_of(old).inventory)
    return plan_of(old), plan_of(resolver.resolve(right, after))
