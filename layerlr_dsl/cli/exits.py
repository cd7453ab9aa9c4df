"""How a command says that it cannot go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from layerlr_dsl.tools.printable import escape

if TYPE_CHECKING:
    from layerlr_dsl.language.diagnostics import Diagnostic


class Refusal(click.ClickException):
    """The command line or an input cannot be used: exit status 2, whatever else was found."""

    exit_code = 2

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help

    def show(self, file: IO[Any] | None = None) -> None:
        from layerlr_dsl.cli.terminal import Screen, write_error
        from layerlr_dsl.render.text import labelled

        screen = Screen.of_stderr()
        write_error("\n".join(labelled("error", self.message, screen)))
        if self.help:
            write_error("\n".join(labelled("help", self.help, screen)))


class HasErrors(click.ClickException):
    """Errors keep a command from doing its work: status 1 for those of a rule file, 2 of an argument."""

    def __init__(self, findings: Iterable[Diagnostic], status: int = 1) -> None:
        super().__init__("the rules have errors")
        self.findings = tuple(findings)
        self.status = status

    def show(self, file: IO[Any] | None = None) -> None:
        from layerlr_dsl.cli.terminal import Screen, write_error
        from layerlr_dsl.render.text import render_all

        shown = [finding for finding in self.findings if finding.severity != "info"]
        write_error(render_all(shown, Screen.of_stderr()))


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
