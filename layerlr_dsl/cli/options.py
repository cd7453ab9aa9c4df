"""Options that several commands share, spelled the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.tools.records import record

Command = TypeVar("Command", bound=Callable[..., Any])
Given = TypeVar("Given")

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


class FolderName(click.ParamType):  # type: ignore[type-arg]  # as above
    """A folder, there or not. An empty name, as of an unset variable, is not the working folder."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, str) and not value.strip():
            self.fail("the name of the folder is empty; give one, or . for the working folder.", param, ctx)
        return Path(value)


SEVERAL_MODELS = " Several under one plan: --model KEY=SPEC, repeated; names begin with the key."
Models = str | dict[str, str]
"""A model spec, or those of several models by the key that their names begin with."""

_KEYED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)


def model_option() -> Callable[[Command], Command]:
    return click.option("--model", "model", metavar="SPEC", help=MODEL_HELP + OWN_MODEL)


def models_option(command: Command) -> Command:
    """--model, once with a SPEC or repeated with KEY=SPEC, as one argument `model`."""
    return _models_option(MODEL_HELP + OWN_MODEL + SEVERAL_MODELS, required=False)(command)


def own_models_option(command: Command) -> Command:
    """As `models_option`, for commands whose model no file names."""
    return _models_option(MODEL_HELP + SEVERAL_MODELS, required=True)(command)


def _models_option(told: str, required: bool) -> Callable[[Command], Command]:
    return click.option(
        "--model", "model", metavar="SPEC", multiple=True, required=required, callback=models_of, help=told
    )


def models_of(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Models | None:
    keyed = [_KEYED.fullmatch(spec) for spec in given]
    if not any(keyed):
        if len(given) > 1:
            raise click.BadParameter(
                f"several models need a key each, such as a={given[0]} and b={given[1]}.",
                ctx,
                param,
            )
        return given[0] if given else None
    found: dict[str, str] = {}
    for spec, match in zip(given, keyed, strict=True):
        if match is None:
            raise click.BadParameter(
                f"{spec!r} has no key, and the others have: write KEY={spec}.", ctx, param
            )
        if match[1] in found:
            raise click.BadParameter(f"the key {match[1]!r} is given twice.", ctx, param)
        found[match[1]] = match[2]
    return found


@record
class Run:
    """What the command line says of a run: how long it is, and constants in the place of a file's own."""

    epochs: Fraction | None = None
    steps_per_epoch: Fraction | None = None
    steps: int | None = None
    lets: Mapping[str, object] = field(default_factory=dict)


def each_once(lets: Iterable[tuple[str, Given]]) -> dict[str, Given]:
    """What `--let` gives to each name. A name that is given twice is refused: one of the two would count for nothing."""
    given: dict[str, Given] = {}
    for name, value in lets:
        if name in given:
            raise Refusal(f"--let gives `{name}` twice", "keep one of them")
        given[name] = value
    return given


class LetValue(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """`NAME=VALUE`, the value a literal of the language: `base=3e-4`, `betas=(0.9, 0.99)`."""

    name = "let"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, object]:
        from layerlr_dsl.language.lets import literal

        if isinstance(value, tuple):
            return value
        name, sign, written = value.partition("=")
        found = literal(written) if sign else None
        if found is None or not name.strip().isidentifier():
            self.fail(f"{value!r} is not NAME=VALUE with a constant, such as base=3e-4.", param, ctx)
        return name.strip(), found


_RUN_OPTIONS = (
    click.option(
        "--epochs",
        type=PositiveNumber(),
        metavar="N",
        help="Length of the run. Default: the file's own `epochs` or `steps`.",
    ),
    click.option(
        "--steps", type=click.IntRange(1), metavar="N", help="Length of the run in optimizer steps instead."
    ),
    click.option(
        "--steps-per-epoch",
        type=PositiveNumber(),
        metavar="M",
        help="Optimizer steps in an epoch (25/4 where 4 of 25 batches make one). Default: the file's own; without it time is counted in whole epochs.",
    ),
    click.option(
        "--let",
        "lets",
        type=LetValue(),
        multiple=True,
        metavar="NAME=VALUE",
        help="Put a constant in the place of a `let` of the file; may be repeated.",
    ),
)


def run_options(command: Command) -> Command:
    """--epochs, --steps, --steps-per-epoch and --let, as one argument `run`."""

    @wraps(command)
    def gathered(
        *args: Any,
        epochs: Fraction | None,
        steps: int | None,
        steps_per_epoch: Fraction | None,
        lets: tuple[tuple[str, object], ...],
        **others: Any,
    ) -> Any:
        if epochs is not None and steps is not None:
            raise click.UsageError("--epochs and --steps both give the length of the run: give one of them.")
        return command(*args, run=Run(epochs, steps_per_epoch, steps, each_once(lets)), **others)

    made: Any = gathered
    for option in reversed(_RUN_OPTIONS):
        made = option(made)
    return made  # type: ignore[no-any-return]


def root_option(command: Command) -> Command:
    return click.option(
        "--root",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        help="Folder that includes and models of a file must stay inside. Default: the file's own; a folder given is its own.",
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
