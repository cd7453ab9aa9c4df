"""`layerlr import SOURCE`: another tool's configuration, or a live optimizer, as rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerlr_dsl.api import parse
from layerlr_dsl.cli.exits import Refusal, describe_os_error
from layerlr_dsl.cli.inputs import STDIN
from layerlr_dsl.cli.named import as_named
from layerlr_dsl.cli.options import model_option
from layerlr_dsl.cli.outputs import keep_existing, write_output
from layerlr_dsl.cli.terminal import Screen, write, write_error
from layerlr_dsl.importers import Imported, SourceFault, import_optimizer, import_text
from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.words import next_plan

if TYPE_CHECKING:
    from layerlr_dsl.importers import LeftOut

_SHOWN = 10


@click.command("import")
@click.argument("source", metavar="SOURCE")
@click.option("--from", "kind", metavar="KIND", help="What SOURCE is of. Default: told by its content.")
@model_option()
@click.option(
    "--steps-per-epoch",
    "steps_per_epoch",
    type=click.IntRange(1),
    metavar="M",
    help="Optimizer steps in an epoch, for schedules that count steps.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write; without it, standard output.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option("--strict", is_flag=True, help="Fail where something could not be carried over.")
def command(
    source: str,
    kind: str | None,
    model: str | None,
    steps_per_epoch: int | None,
    output: str | None,
    force: bool,
    strict: bool,
) -> int:
    """Write another tool's settings as a rule file.

    What could not be carried over is listed, at the head of the file too. With a model,
    selectors become shorter, and the rules are held against the tool's own groups where the
    tool is installed. Python configurations are read, never run.

    \b
    KIND: mmengine, finetuning-scheduler, torchtitan, axolotl, transformers, timm;
    torch takes a live optimizer: SOURCE is python:package.module:callable (runs code),
    which returns (model, optimizer).

    \b
    Examples:
        layerlr import args.yaml -o my.lr
        layerlr import config.py --model python:models:detector
        layerlr import --from torch python:train:make -o my.lr
    """
    keep_existing(output, force)
    live = kind == "torch" or (kind is None and source.startswith("python:"))
    try:
        made = (
            _from_live(source, model, output)
            if live
            else _from_file(source, kind, model, output, steps_per_epoch)
        )
    except SourceFault as fault:
        place = f"{escape(source)}:{fault.line}" if fault.line is not None else escape(source)
        raise Refusal(f"{place}: {escape(fault.message)}", fault.help) from None
    _tell(made, source)
    if made.differences:
        return 1
    _deliver(made, model, output)
    return int(strict and any(entry.matters for entry in made.left_out))


def _deliver(made: Imported, model: str | None, output: str | None) -> None:
    if output is None:
        click.echo(made.text, nl=False)
        return
    write_output(output, made.text)
    held = f"; the groups are those of {made.checked}" if made.checked else ""
    needs = () if parse(made.text).model else (model or "SPEC",)
    write(f"wrote {output}{held}; {next_plan(output, needs)}")


# ---------------------------------------------------------------- sources


def _from_file(
    source: str, kind: str | None, model: str | None, output: str | None, steps_per_epoch: int | None
) -> Imported:
    text = _text(source)
    name = "<stdin>" if source == STDIN else source
    given = None if model is None else _built(model)
    spec, nameable = (None, False) if model is None else as_named(model, output)
    return import_text(
        text, name, kind, given, _built_if_possible, spec if nameable else None, steps_per_epoch
    )


def _text(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as fault:
        raise Refusal(describe_os_error(fault)) from None
    except UnicodeDecodeError:
        raise SourceFault("is no UTF-8 text") from None


def _built(spec: str) -> Any:
    """The model, without memory where it allows that; an inventory where it is stored as one. Raises Refusal."""
    from layerlr_dsl.cli.resolving import stated_inventory
    from layerlr_dsl.model.specs import build

    if spec.endswith(".json"):
        return stated_inventory(spec)
    try:
        return build(spec, meta=True)
    except ModelError as fault:
        raise Refusal(fault.message, fault.help) from None


def _built_if_possible(spec: str) -> Any:
    """The model that a source names; None where it cannot be had here."""
    from layerlr_dsl.model.specs import build

    try:
        return build(spec, allow_python=False, meta=True)
    except ModelError:
        return None


def _from_live(source: str, model: str | None, output: str | None) -> Imported:
    from layerlr_dsl.model.specs import called

    if not source.startswith("python:"):
        raise Refusal(f"{source}: --from torch takes python:package.module:callable")
    try:
        made: Any = called(source)
        given = None if model is None else _real(model)
    except ModelError as fault:
        raise Refusal(fault.message, fault.help) from None
    return import_optimizer(*_pair(made, given, source), source)


def _real(spec: str) -> Any:
    from layerlr_dsl.model.specs import build

    return build(spec)


def _pair(made: Any, model: Any, source: str) -> tuple[Any, Any]:
    """The optimizer and its model."""
    from torch import nn, optim

    parts = made if isinstance(made, tuple | list) else (made,)
    optimizers = [part for part in parts if isinstance(part, optim.Optimizer)]
    models = [part for part in parts if isinstance(part, nn.Module)]
    if len(optimizers) != 1:
        raise SourceFault(
            f"gives {plural(len(optimizers), 'optimizer')}, not one",
            help="return (model, optimizer), or the optimizer of the model that --model names",
        )
    if not models and model is None:
        raise SourceFault("gives an optimizer and no model", help="return (model, optimizer)")
    return optimizers[0], models[0] if models else model


# ---------------------------------------------------------------- what is told


def _tell(made: Imported, source: str) -> None:
    from layerlr_dsl.render.text import labelled

    screen = Screen.of_stderr()
    for entry in made.left_out:
        kind = "warning" if entry.matters else "info"
        write_error("\n".join(labelled(kind, f"{_place(entry, source)}{escape(entry.what)}", screen)))
    for line in made.differences[:_SHOWN]:
        write_error(
            "\n".join(labelled("error", f"{escape(source)}: not as {made.checked} has it: {line}", screen))
        )
    if len(made.differences) > _SHOWN:
        write_error(f"and {len(made.differences) - _SHOWN} more parameters")


def _place(entry: LeftOut, source: str) -> str:
    return f"{escape(source)}:{entry.line}: " if entry.line is not None else f"{escape(source)}: "
