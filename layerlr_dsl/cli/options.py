"""Options that several commands share, spelled the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MODEL_HELP = (
    "The model: torchvision:NAME(kwargs), timm:NAME(kwargs), hf:FOLDER, python:package.module:callable "
    "(runs code), or a stored inventory *.json."
)
OWN_MODEL = " Default: the file's own `model`."


class PositiveNumber(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A positive number, kept exact: `30`, `2.5`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        if isinstance(value, Fraction):
            return value
        try:
            number = Fraction(value) if len(value) < 40 else Fraction(0)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not 0 < number < 10**9:
            self.fail(f"{value!r} is not a positive number of a sensible size.", param, ctx)
        return number


def model_option(required: bool = False) -> Callable[[Command], Command]:
    told = MODEL_HELP if required else MODEL_HELP + OWN_MODEL
    return click.option("--model", "model", metavar="SPEC", required=required, help=told)


def clock_options(command: Command) -> Command:
    """--epochs and --steps-per-epoch."""
    steps = click.option(
        "--steps-per-epoch",
        type=click.IntRange(1),
        metavar="M",
        help="Optimizer steps in an epoch; without it time is counted in whole epochs.",
    )
    epochs = click.option(
        "--epochs",
        type=PositiveNumber(),
        metavar="N",
        help="Length of the run. Default: the file's own `epochs`.",
    )
    return epochs(steps(command))


def root_option(command: Command) -> Command:
    return click.option(
        "--root",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help="Folder that includes must stay inside. Default: the folder given, else the file's own.",
    )(command)


def format_option(*formats: str) -> Callable[[Command], Command]:
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print.",
    )
