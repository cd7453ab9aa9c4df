"""`layerlr completion SHELL`: the script that makes a shell complete `layerlr`."""

from __future__ import annotations

import click

from layerlr_dsl.cli.terminal import write


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script for shell completion.

    \b
    Install it:
        bash   layerlr completion bash > ~/.local/share/bash-completion/completions/layerlr
        zsh    layerlr completion zsh > ~/.zfunc/_layerlr     (with ~/.zfunc in $fpath)
        fish   layerlr completion fish > ~/.config/fish/completions/layerlr.fish
    """
    from click.shell_completion import get_completion_class

    from layerlr_dsl.cli import COMPLETION, PROGRAM
    from layerlr_dsl.cli.app import app

    completion = get_completion_class(shell)
    assert completion is not None
    write(completion(app, {}, PROGRAM, COMPLETION).source())
    return 0
