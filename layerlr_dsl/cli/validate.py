"""`layerlr validate PATH...`: what is wrong in rule files."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable

import click

from layerlr_dsl.cli import printing
from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import STDIN, Input, gather
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.report import Report, Request, fixed, validate
from layerlr_dsl.cli.resolving import Resolver
from layerlr_dsl.cli.terminal import is_terminal, write
from layerlr_dsl.tools.collector import collector_rarely
from layerlr_dsl.tools.numbers import plural


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@models_option
@click.option("--strict", is_flag=True, help="Let warnings fail the run too.")
@run_options
@root_option
@format_option("text", "json", "github", "sarif")
@click.option("--fix", is_flag=True, help="Apply the safe fixes to the files.")
@click.option("--info", is_flag=True, help="Show notes besides errors and warnings (text format).")
@click.option("--advice", is_flag=True, help="Give advice (LR4xx) too; implies --info.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
def command(
    paths: tuple[str, ...],
    model: Models | None,
    strict: bool,
    run: Run,
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
        resolver = Resolver(model, run, advice=advice)
        request = Request(paths, root, resolver, strict)
        report = fixed(request) if fix else validate(request)
        resolver.refuse_unknown()
        printing.show(report, form, info or advice)
        return report

    if watch:
        return watch_files(once, paths)
    with collector_rarely():
        return once().exit_status


# ---------------------------------------------------------------- watching


INTERVAL = 0.4


def watch_files(run: Callable[[], Report], paths: Iterable[str], rounds: int | None = None) -> int:
    """Call `run` at once and after each change, until interrupted (or for so many `rounds`).

    Raises Refusal for standard input, which cannot be read twice, and for a first run that is refused.
    """
    watched = list(paths)
    if STDIN in watched:
        raise Refusal("--watch needs files; standard input cannot be read twice")
    status = 0
    seen: object = None
    for number in range(rounds) if rounds is not None else itertools.count():
        now = _stamp(watched)
        if now != seen:
            seen = now
            status = _round(run, number == 0)
            seen = _stamp(watched)
        if rounds is None or number + 1 < rounds:
            time.sleep(INTERVAL)
    return status


def _round(run: Callable[[], Report], first: bool) -> int:
    if is_terminal(sys.stdout):
        sys.stdout.write("\x1b[2J\x1b[H")
    try:
        report = run()
    except Refusal as refusal:
        if first:
            raise
        refusal.show()
        return refusal.exit_code
    write(f"watching {plural(len(report.outcomes), 'file')}; Ctrl-C stops")
    sys.stdout.flush()
    return report.exit_status


def _stamp(paths: list[str]) -> object:
    """What changes when a file is edited, added or removed; includes below the watched folders count."""
    stamps: dict[str, tuple[int, int] | None] = {}
    try:
        entries: list[Input] = gather(paths)
    except Refusal:
        return ("nothing to watch", tuple(paths))
    folders = {os.path.dirname(entry.path) or "." for entry in entries}
    for folder in folders:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith(".lr"):
                stamps[os.path.join(folder, name)] = _of(os.path.join(folder, name))
    for entry in entries:
        stamps[entry.path] = _of(entry.path)
    return stamps


def _of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
