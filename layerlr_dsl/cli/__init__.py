"""The `layerlr` command: what happens around every subcommand, whatever it does.

Exit status: 0 fine, 1 findings, 2 wrong usage or an input that cannot be used,
130 after Ctrl-C. A closed pipe (`layerlr ... | head`) is no failure: 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main", "run"]

OK = 0
UNUSABLE = 2
INTERRUPTED = 130


def main() -> NoReturn:
    """The console script."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_encoding(stream)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _forget_closed_pipes()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _dispatch(arguments: Sequence[str] | None) -> int:
    import click

    from layerlr_dsl.cli.app import app
    from layerlr_dsl.cli.exits import Findings

    try:
        status = app.main(args=arguments, prog_name="layerlr", standalone_mode=False)
    except Findings as findings:
        findings.show()
        return findings.status
    except click.ClickException as refusal:
        refusal.show(sys.stderr)
        return UNUSABLE
    except click.Abort:
        return INTERRUPTED
    except SystemExit as leaving:
        # click turns a closed pipe into exit status 1 on its own
        if isinstance(leaving.__context__, BrokenPipeError):
            raise BrokenPipeError from leaving
        return leaving.code if isinstance(leaving.code, int) else OK
    except BrokenPipeError:
        raise
    except Exception as fault:
        return _report(fault)
    return status if isinstance(status, int) else OK


def _report(fault: Exception) -> int:
    """The last resort: one line and not a traceback, unless a traceback was asked for."""
    from layerlr_dsl.cli.exits import describe_fault

    if os.environ.get("LAYERLR_DEBUG"):
        raise fault
    sys.stderr.write(describe_fault(fault) + "\n")
    return UNUSABLE


def _never_fail_on_encoding(stream: object) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        try:
            reconfigure(errors="backslashreplace")
        except (ValueError, OSError):
            pass


def _forget_closed_pipes() -> None:
    """Point the standard streams at nothing, or the interpreter fails when it flushes them at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError, OSError):
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            except (OSError, ValueError):
                pass
