"""`layerlr validate PATH...`: what is wrong in rule files."""

from __future__ import annotations

from fractions import Fraction

import click

from layerlr_dsl.cli import reporting
from layerlr_dsl.cli.checking import Checker
from layerlr_dsl.cli.options import clock_options, format_option, model_option, root_option
from layerlr_dsl.cli.validation import Report, Request, fixed, validate


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@model_option()
@click.option("--strict", is_flag=True, help="Let warnings fail the run too.")
@clock_options
@root_option
@format_option("text", "json", "github", "sarif")
@click.option("--fix", is_flag=True, help="Apply the safe fixes to the files.")
@click.option("--info", is_flag=True, help="Show notes besides errors and warnings (text format).")
@click.option("--advice", is_flag=True, help="Give advice (LR4xx) too; implies --info.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
def command(
    paths: tuple[str, ...],
    model: str | None,
    strict: bool,
    epochs: Fraction | None,
    steps_per_epoch: int | None,
    root: str | None,
    form: str,
    fix: bool,
    info: bool,
    advice: bool,
    watch: bool,
) -> int:
    """Find what is wrong in rule files.

    PATH is a file, a folder of *.lr files, `-` for standard input, or recipe:NAME. Each file is
    checked against --model, else against the model that it names, else for what needs no model.
    `layerlr rule CODE` explains a finding.

    \b
    Examples:
        layerlr validate my.lr
        layerlr validate rules --strict
        layerlr validate my.lr --model timm:vit_small_patch16_224 --epochs 30
        layerlr validate rules --format sarif > findings.sarif
    """

    def once() -> Report:
        checker = Checker(model, epochs, steps_per_epoch, advice=advice)
        request = Request(paths, root, checker, strict)
        report = fixed(request) if fix else validate(request)
        reporting.show(report, form, info or advice)
        return report

    if watch:
        from layerlr_dsl.cli.watching import watch_files

        return watch_files(once, paths)
    return once().exit_status
