"""What the commands about runs share: their options, and how they say that something went wrong."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from layerlr_dsl.cli.exits import HasErrors
from layerlr_dsl.cli.options import FolderName
from layerlr_dsl.tools.cells import wrap
from layerlr_dsl.tools.printable import escape

if TYPE_CHECKING:
    from layerlr_dsl.runner.errors import RunnerError
    from layerlr_dsl.runner.trained import Asked

Command = TypeVar("Command", bound=Callable[..., Any])
CODE_HELP = "Say it again where it is python:..., since code named in a folder alone is not run."


def run_options(command: Command) -> Command:
    """RUN, and what must or may be said of it."""
    options = [
        click.argument("run", type=FolderName(), metavar="RUN"),
        click.option("--model", metavar="SPEC", help=f"The run's model. {CODE_HELP}"),
        click.option("--task", metavar="SPEC", help=f"The run's task. {CODE_HELP}"),
        click.option("--last", is_flag=True, help="The weights of the last epoch, not those of the best."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def device_option(command: Command) -> Command:
    return click.option(
        "--device", metavar="D", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, mps."
    )(command)


def asked(command: str, options: dict[str, Any]) -> Asked:
    """The run that a command line asks for."""
    from layerlr_dsl.runner.trained import Asked

    return Asked(
        options["run"],
        command,
        options["model"],
        options["task"],
        options.get("data"),
        options["last"],
        options.get("device", "cpu"),
    )


@contextmanager
def said() -> Iterator[None]:
    """Says what ends a command about a run, and ends it with the status that goes with it.

    Ctrl-C that nobody has anything better to say of came before there was anything to keep.
    """
    from layerlr_dsl.language.diagnostics import RuleError
    from layerlr_dsl.runner.errors import RunInterrupted, RunnerError

    try:
        yield
    except KeyboardInterrupt:
        fault = RunInterrupted("stopped", None, signal.SIGINT)
        say(fault)
        raise click.exceptions.Exit(fault.status) from None
    except RuleError as fault:
        raise HasErrors(fault.diagnostics) from None
    except RunnerError as fault:
        if os.environ.get("LAYERLR_DEBUG") and fault.__cause__ is not None:
            raise
        say(fault)
        raise click.exceptions.Exit(fault.status) from None


def _by_whom() -> str:
    """Which of torchrun's processes speaks, where it is not the first."""
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f"process {rank}: "


def say(fault: RunnerError) -> None:
    """What went wrong, and what helps, on standard error."""
    from layerlr_dsl.cli.terminal import Screen, write_error
    from layerlr_dsl.render.text import labelled

    stopped = fault.status > 2
    if stopped and _by_whom():
        return  # all processes were stopped together, and the first one says it
    screen = Screen.of_stderr()
    first, *details = (_by_whom() + fault.message).split("\n")
    lines = labelled("info" if stopped else "error", first, screen)
    for line in details:
        # names are listed one on a line, so a name's own line break could only break the list
        lines += wrap(escape(line), screen.width, 0, "      ")
    write_error("\n".join(lines))
    if fault.help:
        write_error("\n".join(labelled("help", fault.help, screen)))
    if fault.command:
        write_error(f"  {escape(fault.command)}")  # never wrapped: it is there to be pasted
    sys.stderr.flush()
