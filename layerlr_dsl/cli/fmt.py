"""`layerlr fmt PATH...`: one layout for every rule file."""

from __future__ import annotations

from typing import Literal

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import RECIPE, Input, gather
from layerlr_dsl.cli.terminal import Screen, write, write_error
from layerlr_dsl.language.diagnostics import Diagnostic, RuleError
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record


@record
class Formatted:
    """What formatting one input came to."""

    entry: Input
    state: Literal["same", "changed", "faulty", "unreadable"]
    before: str = ""
    after: str = ""
    findings: tuple[Diagnostic, ...] = ()
    problem: str = ""


@click.command("fmt")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
def command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Lay rule files out the one way: spacing, aligned arrows, comments kept.

    Files are rewritten in place; `-` reads standard input and prints the result.
    A file with syntax errors is left as it is and reported.

    \b
    Examples:
        layerlr fmt rules
        layerlr fmt --check --diff rules
        layerlr fmt - < my.lr
    """
    entries = gather(paths)
    for entry in entries:
        if entry.path.startswith(RECIPE):
            raise Refusal(f"{entry.path}: packaged recipes are not rewritten")
    results = [format_input(entry) for entry in entries]
    for result in results:
        _report(result)
        if diff:
            write_unless_empty(as_diff(result, Screen.of_stdout()))
        elif not check:
            _put(result)
    shown = not any(result.entry.is_stdin for result in results) or check
    if shown and not diff:
        write(summary(results, check))
    return status(results, check)


def format_input(entry: Input) -> Formatted:
    """Read and format; nothing is written."""
    try:
        source = entry.read()
        after = format_text(source)
    except Unreadable as fault:
        return Formatted(entry, "unreadable", problem=str(fault))
    except RuleError as fault:
        return Formatted(entry, "faulty", findings=fault.diagnostics)
    return Formatted(entry, "same" if after == source.text else "changed", source.text, after)


def status(results: list[Formatted], check: bool) -> int:
    states = {result.state for result in results}
    if "unreadable" in states:
        return 2
    return int("faulty" in states or (check and "changed" in states))


def _report(result: Formatted) -> None:
    from layerlr_dsl.render.text import labelled, render_all

    screen = Screen.of_stderr()
    if result.state == "unreadable":
        write_error("\n".join(labelled("error", result.problem, screen)))
    elif result.state == "faulty":
        write_error(render_all(result.findings, screen) + "\n")


def _put(result: Formatted) -> None:
    from layerlr_dsl.cli.outputs import write_output

    if result.entry.is_stdin:
        if result.state in ("same", "changed"):
            click.echo(result.after, nl=False)
    elif result.state == "changed":
        write_output(result.entry.path, result.after)


def as_diff(result: Formatted, screen: Screen) -> str:
    """A unified diff from the file to its layout; empty where nothing changes."""
    if result.state != "changed":
        return ""
    from layerlr_dsl.tools.unified_diff import unified

    name = result.entry.name
    lines = unified(_lines(result.before), _lines(result.after), name, f"{name} (formatted)")
    styles = {"+": "good", "-": "bad", "@": "accent"}
    return "\n".join(
        screen.paint(escape(line), styles[line[0]]) if line[:1] in styles else escape(line) for line in lines
    )


def _lines(text: str) -> list[str]:
    """Lines as a diff tells them apart: a missing last line end counts."""
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else [*lines[:-1], lines[-1] + " (no line end)"]


def write_unless_empty(text: str) -> None:
    if text:
        write(text)


def summary(results: list[Formatted], check: bool) -> str:
    """`3 files: 1 formatted, 2 unchanged`."""
    names = {"changed": "would change" if check else "formatted", "same": "unchanged"}
    names |= {"faulty": "with syntax errors", "unreadable": "unreadable"}
    states = [result.state for result in results]
    parts = [f"{states.count(state)} {word}" for state, word in names.items() if state in states]
    lines = [f"would change: {escape(r.entry.name)}" for r in results if check and r.state == "changed"]
    return "\n".join([*lines, f"{plural(len(results), 'file')}: {', '.join(parts)}"])
