"""`layerlr view FILE`: the picture of a rule file in the browser, redrawn as the file is saved."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.inputs import Input, read, single
from layerlr_dsl.cli.loopback import HOST, Board, Loopback
from layerlr_dsl.cli.options import Models, Run, models_option, root_option, run_options
from layerlr_dsl.cli.resolving import Resolved, Resolver
from layerlr_dsl.cli.terminal import write
from layerlr_dsl.language.diagnostics import has_errors
from layerlr_dsl.plots import html
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.render import news

if TYPE_CHECKING:
    from layerlr_dsl.language.diagnostics import Diagnostic
    from layerlr_dsl.plan.plan import Plan

INTERVAL = 0.2
PATIENCE = 1.0
"""Seconds until it looks again for an included file that was not there."""


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


# ---------------------------------------------------------------- what is shown


class Preview:
    """One rule file, looked at again and again."""

    def __init__(self, entry: Input, model: Models | None, run: Run) -> None:
        self.entry, self.model, self.run = entry, model, run
        self.title = os.path.basename(entry.name)
        self.shown: dict[str, Any] | None = None
        """The last picture that could be drawn."""
        self._seen = {entry.path: _saved(entry.path)}
        """When each file that takes part was saved, as far as it was looked at."""
        self._due: float | None = None
        """When to look again in any case: what was missing may turn up anywhere in the root."""
        self._resolvers: dict[bool, Resolver] = {}

    def look(self) -> dict[str, Any]:
        """The news: `found`, `stale` (a sentence on the picture), and `drawing` where there is a new one."""
        self._seen = {path: _saved(path) for path in self._seen}  # before it is read: no change is missed
        try:
            resolved, supposed = self._resolved()
        except Refusal as refusal:
            return self._undrawn((), news.fault(refusal.message, refusal.help))
        finally:
            models = {path for resolver in self._resolvers.values() for path in resolver.files()}
            self._look_at(models)
        self._look_at(str(source.path) for source in resolved.rules.sources if source.path is not None)
        waits = any(one.code in ("LR113", "LR114") for one in resolved.findings)
        self._due = time.monotonic() + PATIENCE if waits else None
        if has_errors(resolved.findings):
            return self._undrawn(resolved.findings)
        if resolved.plan is None:
            missing = 'the file names no model: write `model "..."` in it, or give one with --model'
            return self._undrawn(resolved.findings, news.fault(missing))
        self.shown = self._drawn(resolved.plan, resolved.spec)
        return news.drawn(resolved.findings, self.shown, supposed)

    def page(self, told: dict[str, Any]) -> str:
        """The whole page with some news in it."""
        return html.following(self.title, {"drawing": self.shown, **told})

    def changed(self) -> bool:
        """Whether the file, one that it includes, or its model, was saved since it was looked at."""
        saved = {path for path, seen in self._seen.items() if _saved(path) != seen}
        if any(saved & resolver.files() for resolver in self._resolvers.values()):
            self._resolvers.clear()  # they remember the model as it was
        return bool(saved) or (self._due is not None and time.monotonic() >= self._due)

    def _look_at(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._seen.setdefault(path, _saved(path))

    def _resolved(self) -> tuple[Resolved, bool]:
        """What became of the file, and whether the length of the run had to be supposed. Raises Refusal."""
        source = read(self.entry)
        resolved = self._resolver(False).resolve(self.entry, source)
        unknown = resolved.plan is not None and resolved.plan.clock.total is None
        if not unknown:
            return resolved, False
        return self._resolver(True).resolve(self.entry, source), True

    def _resolver(self, supposed: bool) -> Resolver:
        """The same each time: it remembers models."""
        if supposed not in self._resolvers:
            run = self.run
            if supposed:
                run = Run(Fraction(news.SUPPOSED), run.steps_per_epoch, None, run.lets)
            self._resolvers[supposed] = Resolver(self.model, run)
        return self._resolvers[supposed]

    def _drawn(self, plan: Plan, spec: str | None) -> dict[str, Any]:
        return html.data(drawing(plan, f"{self.title} on {spec}"))

    def _undrawn(self, found: Sequence[Diagnostic], *said: dict[str, Any]) -> dict[str, Any]:
        return news.undrawn(found, self.shown is not None, *said)


def _saved(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
