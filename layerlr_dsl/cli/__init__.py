"""The `layerlr` command: what happens around every subcommand, whatever it does.

Exit status: 0 fine, 1 findings, 2 wrong usage or an input that cannot be used,
130 after Ctrl-C. A closed pipe (`layerlr ... | head`) is no failure: 0.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from layerlr_dsl.cli.interrupted import Interrupted

__all__ = ["main", "run"]

PROGRAM = "layerlr"
COMPLETION = "_LAYERLR_COMPLETE"
OK = 0
UNUSABLE = 2
INTERRUPTED = 130
_FEW_PASSES = 50_000


def main() -> NoReturn:
    """The console script."""
    # Passes over what a command loads would take a tenth of its time, and find nothing.
    gc.set_threshold(_FEW_PASSES)
    status = run()
    if threading.current_thread() is threading.main_thread():
        # What there was to save is saved: a second Ctrl-C need not end in a traceback of what others do at exit.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    gc.freeze()  # what is left goes with the process: no last pass over it
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit status."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_encoding(stream)
    try:
        with Interrupted() as interrupt:
            status = _answer(arguments, interrupt)
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        _forget_closed_pipes()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    return INTERRUPTED if interrupt.came and status == UNUSABLE else status


def _answer(arguments: Sequence[str] | None, interrupt: Interrupted) -> int:
    instruction = os.environ.get(COMPLETION)
    if instruction and arguments is None:
        return _complete(instruction)
    return _dispatch(sys.argv[1:] if arguments is None else arguments, interrupt)


def _dispatch(arguments: Sequence[str], interrupt: Interrupted) -> int:
    import click

    from layerlr_dsl.cli.app import app
    from layerlr_dsl.cli.exits import HasErrors

    # Not app.main(): it turns a closed pipe into exit status 1.
    try:
        with app.make_context(PROGRAM, list(arguments)) as context:
            status = app.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except HasErrors as findings:
        findings.show()
        return findings.status
    except click.ClickException as refusal:
        refusal.show(sys.stderr)
        return UNUSABLE
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as fault:
        return INTERRUPTED if interrupt.came else _report(fault)
    return status if isinstance(status, int) else OK


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    from layerlr_dsl.cli.app import app

    return shell_complete(app, {}, PROGRAM, COMPLETION, instruction)


def _report(fault: Exception) -> int:
    """The last resort: one line and not a traceback, unless a traceback was asked for."""
    from layerlr_dsl.cli.exits import describe_fault

    if os.environ.get("LAYERLR_DEBUG"):
        raise fault
    sys.stderr.write(describe_fault(fault) + "\n")
    return UNUSABLE


def _open_closed_streams() -> None:
    """Let streams that were closed at the start (`>&-`), which Python makes None, lead nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115  open as long as the process
            setattr(sys, name, nowhere)


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
