"""How a command says that it cannot go on."""

from __future__ import annotations

from typing import IO, Any

import click

from layerlr_dsl.cli.terminal import escape


class Refusal(click.ClickException):
    """The command line or an input cannot be used: exit status 2, whatever else was found."""

    exit_code = 2

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help

    def show(self, file: IO[Any] | None = None) -> None:
        from layerlr_dsl.cli.render.text import labelled
        from layerlr_dsl.cli.terminal import Screen, write_error

        screen = Screen.of_stderr()
        write_error("\n".join(labelled("error", self.message, screen)))
        if self.help:
            write_error("\n".join(labelled("help", self.help, screen)))


def describe_os_error(error: OSError) -> str:
    """`rules/a.lr: permission denied`."""
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    if error.filename is None:
        return reason
    return f"{escape(str(error.filename))}: {reason}"


def describe_fault(fault: Exception) -> str:
    """What to print for an exception that no command foresaw."""
    if isinstance(fault, OSError):
        return f"error: {describe_os_error(fault)}"
    return (
        f"error: internal error: {type(fault).__name__}: {escape(str(fault))}\n"
        "help: this is a fault in layerlr, not in your file; "
        "set LAYERLR_DEBUG=1 to see where it came from, and please report it"
    )
