"""What a run shows while it works: a live picture on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from layerlr_dsl.runner.tasks import LOSS, Metric
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.screen import in_cell

FEWEST_GROUPS = 4
ROOM_FOR_SIZES = 60
ROOM_FOR_ROWS = 79
PLAIN_EVERY_SECONDS = 30.0
REFRESHES_PER_SECOND = 5.0


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One parameter group as it stands: its rate now, and whether it trains."""

    name: str
    lr: float
    frozen: bool
    numel: int


@dataclass(slots=True)
class Now:
    """Where the run is. `epoch` counts from 0, as in the rules; loss and the metric's value are of the epoch so far."""

    epoch: int
    epochs: float
    step: int
    steps: int
    loss: float
    value: float
    samples_per_second: float
    groups: Sequence[GroupRow]
    what: str = "training"
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class EpochRow:
    """The figures of an epoch that is over: losses, and the values of the metric that decides.

    `seconds` is the wall time of training and validation.
    """

    epoch: int
    train_loss: float
    train_value: float
    val_loss: float
    val_value: float
    seconds: float
    samples_per_second: float
    trainable_share: float
    best: bool


class Display(Protocol):
    """Whatever shows a run; one process shows, the others are silent. `metric` is the one with a column."""

    metric: Metric

    def start(self) -> None: ...

    def note(self, text: str) -> None: ...

    def phase(self, text: str) -> None:
        """A note that belongs between the rows of the epochs."""
        ...

    def update(self, now: Now) -> None: ...

    def epoch(self, row: EpochRow) -> None: ...

    def stop(self) -> None: ...


class Silent:
    """Shows nothing: every process but the first."""

    metric = LOSS

    def start(self) -> None:
        return None

    def note(self, text: str) -> None:
        return None

    def phase(self, text: str) -> None:
        return None

    def update(self, now: Now) -> None:
        return None

    def epoch(self, row: EpochRow) -> None:
        return None

    def stop(self) -> None:
        return None


def clock_text(seconds: float) -> str:
    """`1:05` or `2:03:04`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def headings(metric: Metric) -> str:
    """The heads of the columns of `epoch_text`."""
    title = "" if metric.is_loss else metric.heading
    return (
        f"{'epoch':>5}  {'train loss':>10} {title:>6}  {'val loss':>10} {title:>6}"
        f"  {'trains':>6} {'speed':>9} {'time':>7}"
    )


def epoch_text(row: EpochRow, metric: Metric) -> str:
    """One line of at most 80 characters under the headings."""
    train, held_out = _values(row, metric)
    return (
        f"{row.epoch:>5}  {row.train_loss:>10.4f} {train:>6}"
        f"  {row.val_loss:>10.4f} {held_out:>6}  {row.trainable_share:>6.1%}"
        f" {row.samples_per_second:>7.0f}/s {clock_text(row.seconds):>7}{' *' if row.best else ''}"
    )


def _values(row: EpochRow, metric: Metric) -> tuple[str, str]:
    if metric.is_loss:
        return "", ""
    return metric.text(row.train_value), metric.text(row.val_value)


def short_headings(metric: Metric) -> str:
    """The heads of the columns of `short_text`."""
    title = "" if metric.is_loss else metric.heading
    return f"{'epoch':>5} {'train':>7} {'val':>7} {title:>6} {'time':>7}"


def short_text(row: EpochRow, metric: Metric) -> str:
    """One line of at most 38 characters: both losses, and the metric on what is held out."""
    return (
        f"{row.epoch:>5} {row.train_loss:>7.4f} {row.val_loss:>7.4f} {_values(row, metric)[1]:>6}"
        f" {clock_text(row.seconds):>7}{' *' if row.best else ''}"
    )


def _stage(now: Now) -> str:
    return f", stage {escape(now.stage)}" if now.stage is not None else ""


def figures_text(now: Now, metric: Metric) -> str:
    """Loss, metric and speed of the epoch so far, in words."""
    told = "" if metric.is_loss else f"{metric.name} {metric.text(now.value)}, "
    return f"loss {now.loss:.4f}, {told}{now.samples_per_second:.0f} samples/s"


class Enduring(Console):
    """A console that goes on in silence when its reader has gone: `| head` must not end hours of training."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        self.file = open(os.devnull, "w")  # noqa: SIM115 - open as long as the console


class Plain:
    """Lines for logs and pipes: a line per epoch, and one at times within long epochs."""

    def __init__(self, console: Console) -> None:
        self._paper = Paper(console, wrap=False)
        self.metric = LOSS
        self._said = time.monotonic()

    def start(self) -> None:
        return None

    def note(self, text: str) -> None:
        self._said = time.monotonic()
        self._paper.note(text)

    def phase(self, text: str) -> None:
        self._paper.row(text, self.metric)

    def update(self, now: Now) -> None:
        if time.monotonic() - self._said >= PLAIN_EVERY_SECONDS:
            self.note(
                f"epoch {now.epoch}{_stage(now)}, {now.what} {now.step}/{now.steps}: {figures_text(now, self.metric)}"
            )

    def epoch(self, row: EpochRow) -> None:
        self._said = time.monotonic()
        self._paper.epoch(row, self.metric)

    def stop(self) -> None:
        return None


class Paper:
    """The lines that stay, in both displays: notes, and the table of epochs under its headings."""

    def __init__(self, console: Console, *, wrap: bool) -> None:
        self._console = console
        self._wrap = wrap
        self._headed = False
        self._narrow = wrap and console.width < ROOM_FOR_ROWS

    def note(self, text: str, style: str | None = None) -> None:
        self._print("\n".join(escape(line) for line in text.split("\n")), style)

    def row(self, text: str, metric: Metric, style: str | None = None) -> None:
        if not self._headed:
            self._headed = True
            self._print(short_headings(metric) if self._narrow else headings(metric), "bold")
        self.note(text, style)

    def epoch(self, row: EpochRow, metric: Metric, style: str | None = None) -> None:
        self.row(short_text(row, metric) if self._narrow else epoch_text(row, metric), metric, style)

    def _print(self, text: str, style: str | None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=not self._wrap)
        self._console.file.flush()


class Live:
    """A bar, the figures and a table of groups that stay in place at the foot of the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._paper = Paper(console, wrap=True)
        self.metric = LOSS
        self._now: Now | None = None
        self._started = time.monotonic()
        self._preparing = Spinner("dots", "building the model and reading the data")
        self._live = RichLive(
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            get_renderable=self._picture,
        )

    def start(self) -> None:
        self._started = time.monotonic()
        self._live.start()

    def note(self, text: str) -> None:
        self._paper.note(text)

    def phase(self, text: str) -> None:
        self._paper.row(text, self.metric, "cyan")

    def update(self, now: Now) -> None:
        self._now = now

    def epoch(self, row: EpochRow) -> None:
        self._paper.epoch(row, self.metric, "green" if row.best else None)

    def stop(self) -> None:
        self._live.stop()

    def _picture(self) -> RenderableType:
        now = self._now
        if now is None:
            return self._preparing
        table = _groups_table(now.groups, self._console.width, self._console.height // 2)
        return Group(self._bar(now), self._figures(now), table)

    def _bar(self, now: Now) -> RenderableType:
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        line.add_row(
            Text(f"epoch {now.epoch} of 0..{math.ceil(now.epochs) - 1}, {now.what}{_stage(now)}"),
            ProgressBar(total=max(1, now.steps), completed=now.step),
            f"{now.step}/{now.steps}",
        )
        return line

    def _figures(self, now: Now) -> RenderableType:
        gone = time.monotonic() - self._started
        return Text(f"{figures_text(now, self.metric)}, {clock_text(gone)}".replace(", ", "   "))


def _groups_table(groups: Sequence[GroupRow], width: int, room: int) -> RenderableType:
    """The groups in `room` lines of `width` cells: names give way to rates, frozen groups to others."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    sizes = width >= ROOM_FOR_SIZES
    figures = 42 if sizes else 24
    table.add_column("group", no_wrap=True, overflow="ellipsis", max_width=max(8, width - figures))
    if sizes:
        table.add_column("parameters", no_wrap=True, justify="right")
    table.add_column("lr", no_wrap=True, justify="right")
    table.add_column("state", no_wrap=True)
    shown, left = _fitting(groups, max(FEWEST_GROUPS, room))
    for row in shown:
        size = [f"{row.numel:,}"] if sizes else []
        state = "frozen" if row.frozen else "trains"
        style = "blue" if row.frozen else None
        table.add_row(Text(escape(row.name)), *size, spelled(row.lr, 3), state, style=style)
    if left:
        frozen = sum(row.frozen for row in left)
        table.add_row(f"{len(left)} more" + (f", {frozen} frozen" if frozen else ""))
    return table


def _fitting(groups: Sequence[GroupRow], room: int) -> tuple[list[GroupRow], list[GroupRow]]:
    """Those that are shown, in their old order, and the rest."""
    places = sorted(range(len(groups)), key=lambda place: groups[place].frozen)
    chosen = set(places[:room])
    shown = [row for place, row in enumerate(groups) if place in chosen]
    return shown, [row for place, row in enumerate(groups) if place not in chosen]


def for_stream(*, plain: bool = False) -> Live | Plain:
    """The display that fits standard output."""
    console = Enduring(emoji=False)  # `imagefolder:one:` holds no picture
    lasting = plain or in_cell() or console.is_dumb_terminal
    if console.is_terminal and not lasting:
        return Live(console)
    return Plain(console)
