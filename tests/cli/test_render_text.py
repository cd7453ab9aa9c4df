"""Findings as text: golden pictures, and what must hold for any of them."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.language.diagnostics import Diagnostic, Fix, Related, error, warning
from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.render.text import render
from layerlr_dsl.tools.cells import cells

TEXT = (
    "group stem = conv1\n"
    "\tlayer5.日本.* -> lr 1e-4   # 😀 e\u0301\x1b[31m\r\n"
    "freeze layer1 \\\n"
    "   until epoch 5\n" + "a" * 90 + ", layer77, " + "b" * 100 + " -> lr 1\n"
)
SOURCE = Source("rules/a.lr", TEXT)


def _span(part: str) -> Span:
    start = TEXT.index(part)
    return Span(SOURCE, start, start + len(part))


def _drawn(diagnostic: Diagnostic, width: int = 80) -> str:
    return render(diagnostic, Screen(width=width))


def _picture(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_a_tab_and_wide_characters_before_the_span_move_the_caret() -> None:
    """Carets stand below the cells of the span, not below its column."""
    finding = error("LR201", "no match", _span("-> lr"), "did you mean `layer4`?")
    assert _drawn(finding) == _picture(
        r"""
        error[LR201]: no match
         --> rules/a.lr:2:14
          |
        2 |     layer5.日本.* -> lr 1e-4   # 😀 é\x1b[31m
          |                   ^^^^^
          |
        help: did you mean `layer4`?
        """
    ).replace("é", "e\u0301")


def test_an_escape_sequence_in_the_source_is_spelled_out_and_underlined_whole() -> None:
    """What is shown in four cells is underlined in four cells."""
    drawn = _drawn(error("LR010", "not allowed", _span("\x1b")))
    assert "\x1b" not in drawn
    assert drawn.splitlines()[-1].endswith("^^^^")
    assert not drawn.splitlines()[-1].endswith("^^^^^")


def test_a_span_of_two_lines_underlines_both() -> None:
    """Indentation of the second line is not underlined."""
    start = TEXT.index("freeze")
    finding = warning("LR308", "masked", Span(SOURCE, start, TEXT.index("epoch 5") + 7))
    assert _drawn(finding) == _picture(
        r"""
        warning[LR308]: masked
         --> rules/a.lr:3:1
          |
        3 | freeze layer1 \
          | ^^^^^^^^^^^^^^^
        4 |    until epoch 5
          |    ^^^^^^^^^^^^^
        """
    )


def test_a_long_span_leaves_its_middle_out() -> None:
    """Ten lines are not printed for one finding."""
    source = Source("x.lr", "\n".join(f"line{k}" for k in range(1, 11)))
    drawn = _drawn(error("LR001", "m", Span(source, 0, len(source.text))))
    assert "..." in drawn.splitlines()
    assert "line10" in drawn
    assert "line7" not in drawn


def test_a_long_line_is_cut_around_the_span() -> None:
    """The span stays in sight, with a sign of what was cut on both sides."""
    assert _drawn(error("LR201", "m", _span("layer77"))) == _picture(
        f"""
        error[LR201]: m
         --> rules/a.lr:5:93
          |
        5 | …aaaaaaaaaa, layer77, {"b" * 53}…
          |              ^^^^^^^
        """
    )


def test_related_places_are_drawn_with_their_own_words() -> None:
    """Both places of a conflict are shown, the second with dashes."""
    related = (Related("first defined here", _span("stem")),)
    drawn = _drawn(error("LR102", "twice", _span("layer77"), related=related))
    assert drawn.endswith(
        _picture(
            """
             ::: rules/a.lr:1:7
              |
            1 | group stem = conv1
              |       ---- first defined here
            """
        )
    )


def test_a_safe_fix_is_offered_and_an_unsafe_one_is_not() -> None:
    """Only what `--fix` would do is printed as a fix."""
    assert "--fix" in _drawn(error("LR103", "m", _span("stem"), fix=Fix("do it", (), safe=True)))
    assert "fix:" not in _drawn(error("LR103", "m", _span("stem"), fix=Fix("do it", (), safe=False)))


def test_an_empty_span_at_the_end_of_the_text_has_one_caret() -> None:
    """A file that ends too early is pointed at behind its last character."""
    drawn = _drawn(error("LR005", "m", Span(SOURCE, len(TEXT), len(TEXT))))
    assert drawn.splitlines()[-1].strip() == "| ^"


def test_a_message_without_a_place_has_no_gutter() -> None:
    """Findings about a whole model belong to no line."""
    assert _drawn(warning("LR211", "frozen", None, "h")) == "warning[LR211]: frozen\nhelp: h"


def test_a_line_of_ten_megabytes_is_drawn_at_once() -> None:
    """Only the neighbourhood of the span is looked at."""
    source = Source("x.lr", "a" * 10_000_000)
    drawn = _drawn(error("LR001", "m", Span(source, 5_000_000, 5_000_003)))
    assert len(drawn) < 1000
    assert "^^^" in drawn


_characters = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\t日😀\u0301\x1b\r\u202e"), max_size=120
)


@given(_characters, st.integers(0, 120), st.integers(0, 120), st.integers(20, 100))
def test_any_span_in_any_line_fits_the_screen(text: str, first: int, second: int, width: int) -> None:
    """Whatever stands in a file, no printed line is wider than the screen or holds a control character."""
    source = Source("f", text)
    start, end = sorted((min(first, len(text)), min(second, len(text))))
    drawn = render(error("LR001", "message", Span(source, start, end), "help"), Screen(width=width))
    for line in drawn.split("\n"):
        assert cells(line) <= width
        assert all(char.isprintable() or char == "\u200d" for char in line)
    assert "^" in drawn


@given(st.text(st.characters(exclude_characters="\r\n\t", codec="utf-8"), min_size=3, max_size=40), st.data())
def test_carets_stand_below_the_cells_of_the_span(text: str, data: st.DataObject) -> None:
    """For a line that fits, the cells above the carets are those of the spanned characters."""
    from layerlr_dsl.tools.printable import escape

    if any(len(line) != len(text) for line in text.splitlines()):
        return
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    screen = Screen(width=2000)
    *_, carets = render(error("LR001", "m", Span(Source("f", text), start, end)), screen).split("\n")
    before, spanned = cells(escape(text[:start])), cells(escape(text[start:end]))
    assert carets[4:] == " " * before + "^" * max(spanned, 1)
