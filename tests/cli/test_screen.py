"""Characters, cells and colours."""

from __future__ import annotations

import io

import pytest

from layerlr_dsl.tools.cells import cells, clip, shorten, shorten_all, shorten_name, wrap
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.screen import Screen, columns, wants_colour


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "wide"),
    [("abc", 3), ("日本", 4), ("😀", 2), ("e\u0301", 1), ("ｆ", 2), ("", 0), ("a\u200db", 2)],
)
def test_cells_count_what_a_terminal_uses(text: str, wide: int) -> None:
    """Wide characters take two cells, combining ones none."""
    assert cells(text) == wide


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
        ("line\nbreak", r"line\x0abreak"),
        ("layer1.日本", "layer1.日本"),
        ("\u200b", r"\u200b"),
    ],
)
def test_escape_lets_nothing_reach_the_terminal_raw(raw: str, shown: str) -> None:
    """Escape sequences, marks of direction and lone surrogates are spelled out."""
    assert escape(raw) == shown


def test_wrap_never_exceeds_the_width_and_loses_no_word() -> None:
    """Lines fit; a word longer than a line is broken, not dropped."""
    text = "short " + "x" * 50 + " 日本語日本語 end"
    lines = wrap(text, 20, 5, "  ")
    assert cells(lines[0]) + 5 <= 20 or lines[0] == ""
    assert all(cells(line) <= 20 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_clip_does_not_split_a_wide_character() -> None:
    """A wide character that fits by half is left out."""
    assert clip("a日本", 2) == "a"


def test_shorten_keeps_both_ends() -> None:
    """A cut name shows where it starts and where it ends."""
    assert shorten("encoder.layers.11.mlp.weight", 15) == "encoder….weight"


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("encoder.layers.11.mlp.weight", 28, "encoder.layers.11.mlp.weight"),
        ("encoder.layers.11.mlp.weight", 15, "…11.mlp.weight"),
        ("encoder.layers.11.mlp.weight", 10, "…11.m…ight"),
        ("encoder.layers.7.{mlp, norm}", 10, "…7.{m…orm}"),
        ("a_class_token, projection", 12, "a_clas…ction"),
    ],
)
def test_a_name_loses_its_outermost_modules_first_and_its_number_last(
    name: str, width: int, shown: str
) -> None:
    """What tells the blocks of a network apart is in the middle of their names."""
    assert shorten_name(name, width) == shown


def test_shorten_all_keeps_names_distinct() -> None:
    """Names that differ in the middle are not all cut to the same text, as cutting one by one would."""
    names = [f"encoder.layers.encoder_layer_{k} (weight_decay 0.05)" for k in range(12)]
    assert len({shorten(name, 30) for name in names}) < 12
    short = shorten_all(names, 30)
    assert len(set(short)) == 12
    assert all(cells(text) <= 30 for text in short)


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_only_on_a_terminal_unless_asked(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, wanted: bool
) -> None:
    """NO_COLOR beats FORCE_COLOR beats what the stream is."""
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(_Terminal() if terminal else io.StringIO()) is wanted


def test_a_screen_is_never_narrower_than_twenty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A width of 3 would break every layout."""
    monkeypatch.setenv("COLUMNS", "3")
    assert columns(io.StringIO()) == 20
    monkeypatch.setenv("COLUMNS", "nonsense")
    assert columns(io.StringIO()) == 80


def test_paint_leaves_text_alone_without_colour() -> None:
    """No escape sequence is written where there is no colour."""
    assert Screen(colour=False).paint("x", "error") == "x"
    assert Screen(colour=True).paint("x", "error") == "\x1b[1;31mx\x1b[0m"


def test_long_names_that_begin_and_end_alike_stay_apart() -> None:
    """What tells them apart is in the middle, and is what is left."""
    texts = [f"a_very_long_name_of_a_module_number_{n:02d}_of_the_tower_and_more" for n in (1, 2)]
    cut = shorten_all(texts, 20)
    assert [cells(one) <= 20 for one in cut] == [True, True]
    assert cut[0] != cut[1]


def test_of_several_names_the_first_is_left() -> None:
    """A list that is cut is a list still."""
    assert shorten_name("model.layers.31, model.norm, lm_head", 16) == "…layers.31, …"


def test_of_several_names_as_many_are_left_as_there_is_room_for() -> None:
    """A brace is never cut open, since half of it says nothing."""
    assert shorten_name("conv1, bn1, layer1, layer2", 22) == "conv1, bn1, layer1, …"
    assert shorten_name("conv1, bn1, layer{1..4}, layer4.{0, 1}, fc", 40) == "conv1, bn1, layer{1..4}, …"
