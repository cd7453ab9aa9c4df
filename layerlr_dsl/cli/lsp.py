"""`layerlr lsp`: the language server."""

from __future__ import annotations

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.tools.words import install


@click.command("lsp")
@click.option(
    "--stdio", is_flag=True, help="Speak over standard input and output (the default, and the only way)."
)
def command(stdio: bool) -> int:
    """Run the language server for editors, over standard input and output.

    Needs the extra `lsp`: pip install "layerlr-dsl[lsp]".
    """
    try:
        import pygls  # noqa: F401
    except ImportError:
        raise Refusal("the language server needs pygls", install("lsp")) from None
    from layerlr_dsl.editor.features import main

    return main()
