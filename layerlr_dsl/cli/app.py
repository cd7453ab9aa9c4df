"""The command group: names and one-line helps here, every command's module loaded only when it runs."""

from __future__ import annotations

from importlib import import_module

import click

SECTIONS: dict[str, dict[str, str]] = {
    "Write and check rules": {
        "init": "Write a starting file for a model.",
        "import": "Write another tool's settings as a rule file.",
        "validate": "Find what is wrong in rule files.",
        "test": "Run the `expect` statements of rule files.",
        "fmt": "Lay rule files out the one way.",
        "rule": "Tell what a finding means, with an example.",
        "recipes": "List the rule files that come with layerlr.",
    },
    "See what rules do": {
        "plan": "Show the groups and the freeze timeline.",
        "explain": "Tell which rules decide about a parameter.",
        "diff": "Compare two rule files, parameter by parameter.",
        "plot": "Draw learning rates and freezing over time.",
        "view": "Show a rule file in the browser, redrawn as it is saved.",
        "inspect": "Show a model's modules and parameters.",
        "eject": "Write rules as a page of plain PyTorch.",
    },
    "Train, and use what came of it": {
        "train": "Fine-tune a model as a rule file says.",
        "tune": "Find out which rule file trains best.",
        "evaluate": "Score the model of a run, class by class.",
        "predict": "Tell what the model of a run says of files.",
        "export": "Write the model of a run for other programs.",
    },
    "Tools": {
        "lsp": "Run the language server for editors.",
        "completion": "Print the script for shell completion.",
    },
}
COMMANDS = {name: help for section in SECTIONS.values() for name, help in section.items()}
_MODULES = {"import": "importing"}
"""Modules of commands that are called by a word of Python's."""
STATUS = "Exit status: 0 fine; 1 findings; 2 wrong usage or an input that cannot be used; 130 interrupted."


class LazyGroup(click.Group):
    """Loads `layerlr_dsl.cli.NAME` when the command NAME is called, and nothing before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"layerlr_dsl.cli.{_MODULES.get(cmd_name, cmd_name)}").command
        command.epilog = command.epilog or STATUS
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(_unknown(*args))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


def _unknown(name: str, *behind: str) -> str:
    from layerlr_dsl.tools.nearest import nearest
    from layerlr_dsl.tools.printable import escape

    command = next((word for word in behind if word in COMMANDS), None)
    if command is not None:
        return f"No such command '{escape(name)}'. The command comes first: layerlr {command} {escape(name)}"
    near = nearest(name, COMMANDS)
    return f"No such command '{escape(name)}'." + (f" Did you mean '{near}'?" if near else "")


def _print_version(ctx: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from layerlr_dsl.tools.version import __version__

    click.echo(f"layerlr {__version__}")
    ctx.exit()


HELP = """Rules for per-layer learning rates, weight decay and freezing in PyTorch.

A rule file says, for every parameter of a model, which optimizer options it trains
with, and when it is frozen:

\b
    model "torchvision:resnet18"
    ** -> lr 1e-3
    layer4.* -> lr 1e-4
    freeze layer1 until epoch 5

\b
Try:
    layerlr init --model torchvision:resnet18 -o my.lr
    layerlr validate my.lr
    layerlr plan my.lr --epochs 10
    layerlr explain my.lr layer4.0.conv1.weight
"""
EPILOG = f"{STATUS} NO_COLOR and FORCE_COLOR are heeded. `layerlr COMMAND --help` tells more."


@click.group(
    cls=LazyGroup,
    name="layerlr",
    help=HELP,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version.",
)
def app() -> None:
    pass
