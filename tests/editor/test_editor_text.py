"""Places as clients count them, and offsets as layerlr counts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlr_dsl.editor.text import Text

TEXTS = st.text(alphabet="ab \n\r\té日𝄞😀\u2028\x0b\x0c\x85", max_size=40)


@given(TEXTS, st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_every_offset_comes_back_from_its_place(content: str, encoding: str) -> None:
    """An offset turned into a place and back is the same offset, save inside a line's own ending."""
    text = Text(content, encoding)
    for offset in range(len(content) + 1):
        if content[offset - 1 : offset + 1] == "\r\n":
            continue
        assert text.offset(*text.place(offset)) == offset


@pytest.mark.parametrize(("encoding", "column"), [("utf-8", 5), ("utf-16", 3), ("utf-32", 2)])
def test_an_emoji_counts_as_many_units_as_the_encoding_takes(encoding: str, column: int) -> None:
    """What stands behind `a😀` is at 3 in UTF-16, not at 2."""
    text = Text("a😀b", encoding)
    assert text.place(2) == (0, column)
    assert text.offset(0, column) == 2


def test_a_column_inside_a_character_is_its_beginning() -> None:
    """Half a surrogate pair is no place; it must not shift what follows."""
    assert Text("a😀b").offset(0, 2) == 1


def test_only_the_protocols_line_endings_end_lines() -> None:
    """`\\n`, `\\r\\n` and a lone `\\r` do; a form feed or a line separator stands within a line."""
    assert Text("a\nb\r\nc\rd").line_count == 4
    assert Text("a\x0cb\u2028c\x85d\x0be").line_count == 1


@pytest.mark.parametrize(
    ("place", "offset"), [((9, 0), 5), ((0, 9), 2), ((1, 99), 5), ((-1, -1), 0), ((0, -3), 0)]
)
def test_places_outside_the_text_are_moved_inside(place: tuple[int, int], offset: int) -> None:
    """Past the end of a line is its end before the line ending; past the last line, the end of the text."""
    assert Text("ab\ncd").offset(*place) == offset
