"""`layerlr export RUN -o FILE`: the model of a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.runs import asked, run_options, said
from layerlr_dsl.cli.terminal import write, write_error

FORMS = (".pt2", ".onnx", ".safetensors")


@click.command("export")
@run_options
@click.option(
    "-o", "--output", required=True, metavar="FILE", help=f"A {', '.join(FORMS[:-1])} or {FORMS[-1]} file."
)
def command(**options: Any) -> int:
    """Write the model of a run for other programs.

    RUN is the --out of a `layerlr train`. A .pt2 is loaded by torch.export.load, a .onnx (extra `onnx`) by
    ONNX runtimes; both take batches of any size, and are held against the model before they are written.
    A .safetensors holds the tensors by name. All three tell the names of the classes and how an image is
    prepared, under the key layerlr.json.

    \b
    Examples:
        layerlr export runs/flowers -o flowers.pt2
        layerlr export runs/flowers -o flowers.onnx
    """
    output = options["output"]
    if Path(output).suffix.lower() not in FORMS:
        raise Refusal(
            f"{output}: not a form that models are written in", f"end the name in {', '.join(FORMS)}"
        )
    if Path(output).is_dir():
        raise Refusal(f"{output}: is a directory")
    with said():
        from layerlr_dsl.runner.exporting import export
        from layerlr_dsl.runner.trained import load

        trained = load(asked("export", options))
        told = export(trained, Path(output))
    for note in trained.notes:
        write_error(f"note: {note}")
    write(f"wrote {output}: weights of epoch {trained.epoch}, {told}")
    return 0
