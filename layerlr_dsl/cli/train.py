"""`layerlr train FILE --data SPEC`: the runner's face on the command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.options import FolderName, LetValue, PositiveNumber, each_once, model_option, root_option
from layerlr_dsl.cli.runs import said
from layerlr_dsl.tools.numbers import plural, spelled
from layerlr_dsl.tools.program import program

if TYPE_CHECKING:
    from layerlr_dsl.language.diagnostics import Diagnostic
    from layerlr_dsl.runner.config import TrainConfig

THIS_START_ONLY = ("file", "resume", "accept_rule_changes", "accept_data_changes", "plain")


class LetText(LetValue):
    """As LetValue, kept as it is written: the run's folder holds it so."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, object]:
        name, _ = super().convert(value, param, ctx)
        return name, value.partition("=")[2].strip() if isinstance(value, str) else value[1]


EPILOG = """\b
Exit status: 0 the run is finished; 1 findings in the rules, or the run failed (a loss that
is not a number, a full disk; the last good checkpoint is kept); 2 wrong usage or an input
that cannot be used; 130 stopped by Ctrl-C, and saved.
"""


@click.command("train", epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(readable=False), metavar="FILE")
@click.option(
    "--data",
    metavar="SPEC",
    help="digits, a folder of images with a folder for each class, a .csv of paths and labels, "
    "torchvision:CIFAR10, or python:package.module:callable (runs code).",
)
@click.option(
    "--task",
    metavar="SPEC",
    help="python:module:Task (runs code): another loss, batch or metric than those of classifying.",
)
@model_option()
@click.option(
    "--weights",
    metavar="PATH|NAME",
    help="Start from these: a .safetensors, .pt or .pth file, or a name such as efficientnet-lite0, "
    "or IMAGENET1K_V1 for a torchvision model. A head of other classes starts afresh.",
)
@click.option(
    "--from-scratch",
    is_flag=True,
    default=None,
    help="Train although frozen layers begin with random weights.",
)
@click.option(
    "--head-init",
    type=click.Choice(["small", "model"]),
    help="A head that starts afresh: small, so that its first loss is that of a guess, or as the model "
    "draws it. [default: small]",
)
@click.option(
    "--epochs",
    type=PositiveNumber(),
    metavar="N",
    help="Length of the run. Default: the file's own `epochs`.",
)
@click.option(
    "--steps", type=click.IntRange(1), metavar="N", help="Length of the run in optimizer steps instead."
)
@click.option(
    "--let",
    "lets",
    type=LetText(),
    multiple=True,
    metavar="NAME=VALUE",
    help="Put a constant in the place of a `let` of the file; may be repeated.",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="B",
    help="Samples in one forward pass, over all processes. [default: 32]",
)
@click.option("--accumulate", type=int, metavar="K", help="Batches to one optimizer step. [default: 1]")
@click.option("--clip", type=float, metavar="X", help="Clip the norm of the whole gradient to X.")
@click.option("--label-smoothing", type=float, metavar="X", help="Smooth the training targets. [default: 0]")
@click.option(
    "--class-weights",
    metavar="SPEC",
    help="What the loss of each class counts: balanced (rare classes more), or NAME=WEIGHT,...",
)
@click.option(
    "--image-size",
    type=int,
    metavar="PIXELS",
    help="Side of the images. Default: the model's or the data's own.",
)
@click.option("--augment", is_flag=True, default=None, help="Crop and mirror training images at random.")
@click.option(
    "--validation", type=float, metavar="SHARE", help="Held out where the data has no split. [default: 0.2]"
)
@click.option(
    "--test",
    type=float,
    metavar="SHARE",
    help="Held out for one report at the end, where the data has no test part. [default: 0]",
)
@click.option("--seed", type=int, metavar="N", help="Decides everything that is random. [default: 0]")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="[default: fp32]")
@click.option("--device", metavar="D", help="auto, cpu, cuda, cuda:N, mps. [default: auto]")
@click.option("--workers", type=int, metavar="N", help="Processes that load data. [default: 0]")
@click.option("--compile", is_flag=True, default=None, help="Compile the model with torch.compile.")
@click.option(
    "--parallel", type=click.Choice(["none", "ddp", "fsdp"]), help="How torchrun's processes share the work."
)
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="How long to wait for another process. [default: 60]"
)
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "skip"]),
    help="What to do with a loss that is no number. [default: stop]",
)
@click.option(
    "--remember-features",
    is_flag=True,
    default=None,
    help="Compute what frozen layers give only once, while they stay frozen.",
)
@click.option(
    "--feature-memory", type=int, metavar="MIB", help="Above this, features go to disk. [default: 1024]"
)
@click.option(
    "--out",
    type=FolderName(),
    metavar="DIR",
    help="Folder for checkpoints, metrics, rules, plan and plot.",
)
@click.option(
    "--early-stop",
    type=int,
    metavar="N",
    help="Stop after N epochs without a better one on the validation set.",
)
@click.option(
    "--log",
    type=click.Choice(["csv", "tensorboard"]),
    multiple=True,
    help="Write metrics.csv, or event files for TensorBoard (extra `log`), into --out too; repeatable.",
)
@click.option(
    "--save-every", type=int, metavar="STEPS", help="Save within epochs too; at their end it always does."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, exactly where it was saved.")
@click.option("--accept-rule-changes", is_flag=True, help="Resume although the rules were edited since.")
@click.option("--accept-data-changes", is_flag=True, help="Resume although the data is other than it was.")
@click.option("--plain", is_flag=True, help="Plain lines instead of the live display.")
@root_option
@click.pass_context
def command(context: click.Context, /, file: str | None, **options: Any) -> int:
    """Fine-tune a classifier as a rule file says.

    FILE is a rule file or recipe:NAME. The model is --model, else the one that FILE names. With
    --out, everything about the run is kept, and a run that was stopped by Ctrl-C or a crash goes
    on exactly with --resume; what is not said again is taken from the folder.

    \b
    Examples:
        layerlr train my.lr --data imagefolder:flowers --epochs 10 --out runs/flowers
        layerlr train --resume --out runs/flowers
        layerlr train recipe:efficientnet_lite0_digits --data digits --weights efficientnet-lite0
        torchrun --nproc-per-node 2 -m layerlr_dsl train my.lr --data digits --parallel ddp
    """
    given = {
        name: value
        for name, value in options.items()
        if name not in THIS_START_ONLY and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    with said():
        return _train(file, given, options)


def _train(file: str | None, given: dict[str, Any], options: dict[str, Any]) -> int:
    from layerlr_dsl.runner import display
    from layerlr_dsl.runner.config import make, merged
    from layerlr_dsl.runner.launch import Asked, train

    settings = _located(file, given)
    changed: list[str] = []
    if options["resume"]:
        if options["out"] is None:
            raise Refusal("--resume needs --out, the folder of the run to go on with")
        settings, changed = merged(options["out"], settings)
    elif file is None:
        raise Refusal("give the rule FILE to train with", "`layerlr train --help` shows examples")
    elif "data" not in settings:
        raise Refusal("give the data to train on: --data SPEC", "for a first try: --data digits")
    config = make(settings)
    shown = display.for_stream(plain=options["plain"])
    asked = Asked(
        config,
        options["resume"],
        options["accept_rule_changes"],
        options["accept_data_changes"],
        tuple(changed),
        _again(config),
        _warn,
    )
    result = train(asked, shown)
    for line in _closing(result):
        shown.note(line)
    return 0


def _again(config: TrainConfig) -> str:
    """The command that resumes this run, as it was started: alone, or by torchrun; code is named again."""
    from layerlr_dsl.runner.config import RUN_CODE
    from layerlr_dsl.runner.own_code import PREFIX

    start = program()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        start = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"], "-m", "layerlr_dsl"]
        if os.environ["LOCAL_WORLD_SIZE"] != os.environ["WORLD_SIZE"]:
            start[1:1] = ["..."]  # what finds the other machines is for the user to know
    specs = {key: getattr(config, key) for key in RUN_CODE}
    code = [
        part for key, spec in specs.items() if str(spec).startswith(PREFIX) for part in (f"--{key}", spec)
    ]
    return shlex.join([*start, "train", "--resume", "--out", str(config.out), *code])


def _warn(findings: Sequence[Diagnostic]) -> None:
    from layerlr_dsl.cli.terminal import Screen, write_error
    from layerlr_dsl.render.text import render_all

    shown = [finding for finding in findings if finding.severity == "warning"]
    if shown:
        write_error(render_all(shown, Screen.of_stderr()) + "\n")


def _located(file: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """The settings with the rule file as a path; a recipe's includes stay in the folder of recipes."""
    from layerlr_dsl.cli.inputs import RECIPE, single

    settings = dict(given)
    if "lets" in settings:
        settings["lets"] = each_once(settings["lets"])
    if "epochs" in settings and "steps" in settings:
        raise click.UsageError("--epochs and --steps both give the length of the run: give one of them.")
    if "epochs" in settings:
        settings["epochs"] = float(settings["epochs"])
    if file is None:
        return settings
    entry = single(file, settings.get("root"))
    if entry.is_stdin:
        raise Refusal("train takes a rule file, not standard input: a run that is resumed reads it again")
    settings["rules"] = Path(entry.path)
    if file.startswith(RECIPE):
        from layerlr_dsl.cli.inputs import recipe_path

        settings["rules"] = recipe_path(file.removeprefix(RECIPE))
    return settings


def _closing(result: dict[str, Any]) -> list[str]:
    if result["processes"] > 1 and result["rank"] != 0:
        return []
    from layerlr_dsl.runner.display import clock_text

    name = result["metric"]
    value, best = result.get(f"val_{name}"), result[f"best_val_{name}"]
    lines = []
    if value is not None and best is not None:
        told = f" (best {_figure(name, best)} in epoch {result['best_epoch']})"
        lines.append(
            f"validation {name} {_figure(name, value)}{told}, {clock_text(result['seconds'])} of training"
        )
    if (
        result["skipped_steps"] and result["precision"] != "fp16"
    ):  # its scaler leaves some out as a matter of course
        count = plural(result["skipped_steps"], "step")
        lines.append(
            f"{count} of {result['steps']:,} left out: the loss or a gradient was not a finite number"
        )
    if "test_samples" in result:
        figure = result.get(f"test_{name}")
        told = "none" if figure is None else _figure(name, figure)
        lines.append(
            f"test {name} {told} on {result['test_samples']:,} samples, weights of epoch {result['test_epoch']}"
        )
    if result["out"] is not None:
        lines.append(f"everything is in {result['out']}")
    if result["plot"] is not None:
        lines.append(f"plot: {result['plot']}")
    return lines


def _figure(name: str, value: float) -> str:
    return f"{value:.2%}" if name == "accuracy" else spelled(value, 4)
