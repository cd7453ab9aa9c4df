"""`layerlr view FILE`: the picture of a rule file in the browser, redrawn as the file is saved."""

from __future__ import annotations

import sys
import threading
import time

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import read, single
from layerlr_dsl.cli.loopback import HOST, Board, Loopback
from layerlr_dsl.cli.options import Models, Run, models_option, root_option, run_options
from layerlr_dsl.cli.preview import Preview
from layerlr_dsl.cli.terminal import write

INTERVAL = 0.2


@click.command("view")
@click.argument("file", type=click.Path(readable=False), metavar="FILE")
@models_option
@run_options
@root_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port. Default: a free one."
)
@click.option("--no-open", is_flag=True, help="Only print the address; open no browser.")
def command(file: str, model: Models | None, run: Run, root: str | None, port: int, no_open: bool) -> int:
    """Show what a rule file does to a model in the browser, and go on as the file is saved.

    It is the page of `layerlr plot -o page.html`, served to this machine alone. While the file has
    errors, the page shows them beside the last picture without any. Ctrl-C stops.

    \b
    Examples:
        layerlr view my.lr
        layerlr view my.lr --model torchvision:resnet18 --epochs 30 --port 8000 --no-open
    """
    entry = single(file, root)
    if entry.is_stdin:
        raise Refusal("`view` needs a file; standard input cannot be read twice")
    read(entry)
    preview, board = Preview(entry, model, run), Board()
    board.post(preview.look())
    server = _serving(port, preview, board)
    write(f"{server.address} shows {entry.name}; Ctrl-C stops")
    sys.stdout.flush()
    if not no_open:
        import webbrowser

        webbrowser.open(server.address)
    _watch(preview, board)
    return 0


def _serving(port: int, preview: Preview, board: Board) -> Loopback:
    """A server, at work. Raises Refusal for a port that cannot be had."""
    try:
        server = Loopback(port, lambda: preview.page(board.newest()), board)
    except OSError as fault:
        reason = fault.strerror.lower() if fault.strerror else str(fault)
        raise Refusal(f"port {port} of {HOST} cannot be had: {reason}", "leave out --port") from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _watch(preview: Preview, board: Board) -> None:
    """Look again whenever the file is saved, until interrupted."""
    while True:
        time.sleep(INTERVAL)
        if preview.changed():
            board.post(preview.look())
