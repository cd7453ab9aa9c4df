"""Charts as SVG without a script: the still of a network, and curves with their lanes."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from pages import Net, plan_of
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.plots import picture
from layerlr_dsl.plots.chart import ends, of_groups, of_network
from layerlr_dsl.plots.colours import Scale, depth, viridis, written
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.plots.rows import rows
from layerlr_dsl.plots.svg import draw


def _texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_it_is_well_formed_and_needs_no_script() -> None:
    """A notebook that strips scripts shows all of it."""
    svg = draw(of_network(drawing(plan_of(), "a.lr & <b>")))
    assert "<script" not in svg
    assert "a.lr & <b>" in _texts(svg)
    assert {"stem", "blocks", "head", "token"} <= set(_texts(svg))


def test_two_stills_in_one_page_keep_to_their_own_colours() -> None:
    """Names inside an SVG are names of the whole page: those of two pictures must differ."""
    first, second = (
        draw(of_network(drawing(plan_of(f"** -> lr {rate}\n"), "t"))) for rate in ("1e-3", "1e-2")
    )
    names = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (first, second)]
    assert names[0]
    assert not names[0] & names[1]


def test_repeated_blocks_are_one_row() -> None:
    """With how often they stand there, and the elements of all."""
    found = {row.label: row for row in rows(drawing(plan_of(model=Net(12)), "t"))}
    assert found["{0..11}"].times == 12
    assert found["{0..11}"].numel == 12 * 28


def test_rows_are_as_many_as_one_takes_in() -> None:
    """However large the model, and every element is in some row that is not open."""
    deep = nn.ModuleDict(
        {f"part_{a}x": nn.ModuleDict({f"b{b}x": nn.Linear(a + 1, b + 1) for b in range(9)}) for a in range(9)}
    )
    found = rows(drawing(plan_of("** -> lr 1\n", deep), "t"), most=20)
    assert len(found) <= 20
    assert sum(row.numel for row in found if not row.open) == sum(p.numel() for p in deep.parameters())


def test_colours_go_from_dark_to_light_with_the_rate() -> None:
    """On a log scale; the order can be told without telling hues apart."""
    scale = Scale(1e-5, 1e-3)

    def light(colour: str) -> float:
        red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [light(scale.of(10**-power)) for power in (5, 4.5, 4, 3.5, 3)]
    assert shades == sorted(shades)
    assert scale.of(1e-4) == viridis(0.5)


def test_a_plan_without_a_length_shows_its_table() -> None:
    """There is no time axis to draw on."""
    html = layerlr.parse("** -> lr 1\n").resolve(Net())._repr_html_()
    assert "<svg" not in html
    assert "length of the run unknown" in html


def test_a_printed_plan_fits_eighty_columns() -> None:
    """`print(plan)` is the table of `layerlr plan`."""
    text = str(plan_of(steps_per_epoch=100))
    assert text.startswith("Net: 146 parameters in 21 tensors; 10 epochs of 100 steps\n")
    assert "blocks.3/weight" in text
    assert max(map(len, text.splitlines())) <= 80


def test_plot_returns_a_figure() -> None:
    """With the curves in it, to be saved or drawn upon."""
    pytest.importorskip("matplotlib")
    plan = plan_of()
    figure = plan.plot("a title")
    assert figure.axes[0].get_ylabel() == "learning rate (log scale)"
    assert plan.plot(option="weight_decay").axes[0].get_ylabel() == "weight decay (log scale)"


def test_a_joint_label_has_the_colour_of_the_line_that_is_seen() -> None:
    """Of curves that end in one place the first lies on top."""
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("stem", "body", "head")})
    plan = plan_of("** -> lr 1e-3\nbody -> lr 1e-4\nfreeze stem until epoch 2\n", model)
    chart = of_groups(picture(plan, "t"))
    (joint,) = (end for end in ends(chart, 0.01) if end.text == "stem, head")
    colours = {curve.label.whole: written(depth(curve.place)) for curve in chart.curves}
    assert colours["stem"] != colours["head"]
    assert joint.colour == colours["stem"]


def test_without_matplotlib_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that some module of ours has failed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"layerlr-dsl\[plot\]"):
        plan_of().plot()


def test_plot_draws_the_network_where_asked() -> None:
    """One row for each block, each with its name and its kind."""
    pytest.importorskip("matplotlib")
    figure = plan_of().plot(network=True)
    texts = {text.get_text().strip() for axes in figure.axes for text in axes.texts}
    assert {"token", "stem", "blocks", "head", "Linear"} <= texts


def test_names_of_a_chart_are_text_and_never_markup() -> None:
    """A module may be called anything."""
    model = nn.ModuleDict({"<script>alert(1)</script>": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    plan = plan_of("** -> lr 1e-3\nhead -> lr 1e-2\n", model)
    for chart in (of_groups(picture(plan, "<b>")), of_network(drawing(plan, "<b>"))):
        svg = draw(chart, paper=True)
        assert "<script" not in svg
        assert any("script>" in text for text in _texts(svg))
