"""What a run shows on a terminal of 80 columns, and on none."""

from __future__ import annotations

import os

from screens import console, now, picture

from layerlr_dsl.runner.classification import ACCURACY
from layerlr_dsl.runner.display import (
    Enduring,
    EpochRow,
    GroupRow,
    Live,
    Plain,
    clock_text,
    epoch_text,
    for_stream,
    headings,
)
from layerlr_dsl.runner.tasks import LOSS, Metric

ROW = EpochRow(3, 0.51234, 0.912, 12.34567, 0.9, 75.0, 512.0, 0.984, True)


def test_the_live_picture_shows_progress_figures_rates_and_what_is_frozen_within_the_screen():
    """Everything that the run is about at a glance, on 80 columns and fewer than 24 lines."""
    lines = picture(now())
    text = "\n".join(lines)
    for part in (
        "epoch 3 of 0..7",
        "training",
        "20/45",
        "loss 0.5000",
        "90.0%",
        "400 samples/s",
        "2.5e-4",
        "frozen",
        "trains",
    ):
        assert part in text
    assert "8 more, 3 frozen" in text
    assert max(map(len, lines)) <= 80
    assert len(lines) < 20


def test_a_narrow_terminal_cuts_names_and_never_figures():
    """On 40 columns rates, states and the speed are whole."""
    long = [GroupRow("encoder.layers.encoder_layer_11.self_attention.**", 1.25e-4, True, 7_000_000)]
    lines = picture(now(groups=long), 40)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 40
    for part in ("encoder.lay", "1.25e-4", "frozen", "400 samples/s", "20/45"):
        assert part in text


def test_of_many_groups_those_that_train_are_shown_first():
    """With 60 groups the screen would else be filled by the frozen ones at the bottom of the network."""
    groups = [GroupRow(f"layers.{i}", 1e-3, i < 50, 10) for i in range(60)]
    text = "\n".join(picture(now(groups=groups)))
    assert all(f"layers.{i} " in text for i in range(50, 60))
    assert "48 more, 48 frozen" in text


def test_rows_of_epochs_fit_a_narrow_terminal():
    """One line each under a heading of their own, not two."""
    screen = console(True, 40)
    live = Live(screen)
    live.metric = ACCURACY
    live.epoch(ROW)
    lines = screen.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].split() == ["epoch", "train", "val", "acc", "time"]
    assert "90.0%" in lines[1]


def test_names_from_a_model_cannot_steer_the_terminal():
    """Neither rich's markup nor escape sequences in a group's name are obeyed."""
    evil = [GroupRow("[red]layer[/red]\x1b[2J", 1e-3, False, 3)]
    text = "\n".join(picture(now(groups=evil)))
    assert "[red]layer[/red]" in text
    assert "\x1b[2J" not in text


def test_no_name_becomes_a_picture(capsys):
    """A folder `one` of images is `imagefolder:one:` before its samples are counted."""
    for_stream(plain=True).note("imagefolder:one: 3 samples")
    assert capsys.readouterr().out == "imagefolder:one: 3 samples\n"


def test_a_pipe_gets_plain_lines_with_one_heading():
    """No control characters; a row an epoch."""
    screen = console(False)
    plain = Plain(screen)
    plain.metric = ACCURACY
    plain.note("notes come first")
    plain.phase("  0.5  thawed body")
    plain.epoch(ROW)
    plain.epoch(ROW)
    lines = screen.file.getvalue().splitlines()
    assert lines[0] == "notes come first"
    assert lines[1].split()[:3] == ["epoch", "train", "loss"]
    assert len(lines) == 5
    assert lines[3] == epoch_text(ROW, ACCURACY)
    assert "\x1b" not in screen.file.getvalue()


def test_a_row_fits_80_columns_and_stands_under_its_headings():
    """Also with a loss of five digits before the point."""
    wide = EpochRow(120, 12345.6, 1.0, 12345.6, 1.0, 36000.0, 99999.0, 1.0, True)
    assert len(epoch_text(wide, ACCURACY)) <= 80
    assert epoch_text(ROW, ACCURACY).split() == [
        "3",
        "0.5123",
        "91.2%",
        "12.3457",
        "90.0%",
        "98.4%",
        "512/s",
        "1:15",
        "*",
    ]


def test_a_reader_that_leaves_does_not_end_the_run():
    """`layerlr train ... | head -1` must not throw away hours of training."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        console = Enduring(file=stream, width=80)
        plain = Plain(console)
        for _ in range(3):
            plain.note("x" * 10_000)
        assert console.quiet
        # what is left in the stream would fail again when it is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_times_read_like_a_clock():
    """Minutes and seconds, hours where there are some."""
    assert [clock_text(s) for s in (0, 5.4, 65, 3600, 7384)] == ["0:00", "0:05", "1:05", "1:00:00", "2:03:04"]


def test_a_run_without_a_metric_shows_its_losses_alone():
    """And one whose metric is no share shows it in as many digits as fit its column."""
    assert headings(LOSS).split() == ["epoch", "train", "loss", "val", "loss", "trains", "speed", "time"]
    assert epoch_text(ROW, LOSS).split() == ["3", "0.5123", "12.3457", "98.4%", "512/s", "1:15", "*"]
    error = Metric("mean_error", rising=False, title="error")
    assert headings(error).split().count("error") == 2
    for value, text in (
        (0.912, "0.912"),
        (1234.5678, "1234.6"),
        (1.234e-7, "1.2e-07"),
        (float("nan"), "nan"),
    ):
        assert error.text(value) == text or len(error.text(value)) <= 7
