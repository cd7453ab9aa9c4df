"""What ends a run early, with the exit status that the command line gives for it."""

from __future__ import annotations

HELP = "  help: "


class RunnerError(Exception):
    """Something the user asked for cannot be done: usage, unreadable input (exit status 2).

    `command`, where there is one, is what does it: printed as it is, for pasting.
    """

    status = 2

    def __init__(self, message: str, help: str | None = None, command: str | None = None) -> None:
        self.message = message
        self.help = help
        self.command = command
        super().__init__(message if help is None else f"{message}\n{HELP}{help}")


class RunFailed(RunnerError):
    """A run that started and could not go on: not a number, no space left, a lost worker (status 1)."""

    status = 1


class DataFault(RunFailed):
    """A sample that cannot be used, whatever the rules say."""


class Diverged(RunFailed):
    """Training came to numbers that are not finite, of samples in which all is finite."""


class Unfit(RunnerError):
    """These rules cannot be trained as they are, with these values of their `let`s; others may do."""


class RunInterrupted(RunnerError):
    """The user, or the machine, asked the run to stop; `status` is 128 + the signal's number."""

    def __init__(
        self, message: str, help: str | None, signal_number: int, command: str | None = None
    ) -> None:
        super().__init__(message, help, command)
        self.status = 128 + signal_number


class StoppedWhilePreparing(Exception):
    """A signal came while something was prepared that can be prepared again."""


class Enough(Exception):
    """Whoever watches a run has seen enough of it: it ends there, and nothing is wrong with it."""
