"""What goes wrong between a model's name and its inventory."""

from __future__ import annotations

from layerlr_dsl.tools.frameless import Frameless


class ModelError(Frameless, ValueError):
    """A model that cannot be had: `message` says what is wrong, `help` (if any) what to do about it."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.message = message
        self.help = help
        super().__init__(message if help is None else f"{message}\n  help: {help}")

    def __reduce__(self) -> tuple[type[ModelError], tuple[str, str | None]]:
        return (ModelError, (self.message, self.help))
