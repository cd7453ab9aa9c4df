"""`layerlr diff OLD NEW`: what two rule files do differently to one model."""

from __future__ import annotations

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import Input, read, single
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolver, plan_of
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.language.diagnostics import has_errors
from layerlr_dsl.plan.plan import Plan


@click.command("diff")
@click.argument("old", type=click.Path(readable=False), metavar="OLD")
@click.argument("new", type=click.Path(readable=False), metavar="NEW")
@models_option
@run_options
@root_option
@click.option("--all", "every", is_flag=True, help="List every parameter instead of modules.")
@format_option("text", "json")
def command(
    old: str,
    new: str,
    model: Models | None,
    run: Run,
    root: str | None,
    every: bool,
    form: str,
) -> int:
    """Compare what two rule files do to one model, parameter by parameter.

    Lists the parameters whose options, windows, schedule, optimizer or freezing differ, with both
    values, gathered by module. Differences are no findings: the exit status is 0. Without --model,
    both files are compared on the model that NEW names (or OLD, where NEW names none).

    \b
    Examples:
        layerlr diff old.lr new.lr --model torchvision:resnet18
        git show HEAD:rules/my.lr | layerlr diff - rules/my.lr --epochs 30
    """
    from layerlr_dsl.cli.render.diff import as_json, changes, render

    left, right = single(old, root), single(new, root)
    if left.is_stdin and right.is_stdin:
        raise Refusal("only one of the two can be standard input")
    plans = _plans(left, right, Resolver(model, run))
    found = changes(*plans)
    if form == "json":
        write_json(as_json(found))
    else:
        write("\n".join(render(found, every, Screen.of_stdout())))
    return 0


def _plans(left: Input, right: Input, resolver: Resolver) -> tuple[Plan, Plan]:
    """Both plans, for one model. Raises Refusal and Findings."""
    before, after = read(left), read(right)
    if resolver.model is None:
        named = resolver.resolve(right, after)
        if named.plan is None and not has_errors(named.findings):
            named = resolver.resolve(left, before)
        resolver.pinned = (named.spec or "", plan_of(named).inventory)
    return plan_of(resolver.resolve(left, before)), plan_of(resolver.resolve(right, after))
