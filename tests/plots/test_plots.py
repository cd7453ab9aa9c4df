"""Pictures of a plan: the numbers they show, and files that are what they say they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.plan.clock import Clock
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.resolve import resolve
from layerlr_dsl.plots import Picture, characters, figure, picture, svg
from layerlr_dsl.plots.chart import ends, of_groups, of_network, time_ticks
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.plots.series import UnknownLength
from layerlr_dsl.tools.cells import cells
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.screen import Screen

HERE = Path(__file__).parent


def _inventory(layers: int) -> Inventory:
    from torch import nn

    return Inventory.of(nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers))))


def _plan(text: str, layers: int = 4, epochs: int | None = 10, steps: int | None = None) -> Plan:
    rules = check(Source("a.lr", text))
    assert not rules.diagnostics
    plan = resolve(
        rules,
        _inventory(layers),
        Clock(None if epochs is None else rules.epochs or epochs, steps),
        lenient=True,
    )  # type: ignore[arg-type]
    assert not any(finding.severity == "error" for finding in plan.diagnostics)
    return plan


TEXT = """\
schedule cosine(warmup=1 epochs)
<i> -> lr 1e-3 * 0.5 ^ i
3 -> lr 1e-2 from epoch 8
freeze 0 until epoch 4 warmup 1 epochs
freeze 1
"""


def _series(shown: Picture, name: str) -> Any:
    return next(one for one in shown.series if one.name == name)


@pytest.mark.parametrize("steps", [None, 7, 1000])
def test_rates_are_those_that_training_would_use(steps: int | None) -> None:
    """At every time drawn, the rate of every group is what `plan.at` reports, frozen or not."""
    plan = _plan(TEXT, steps=steps)
    shown = picture(plan, "t")
    for k in range(0, len(shown.times), max(len(shown.times) // 25, 1)):
        tick = round(shown.times[k] * plan.clock.ticks_per_epoch)
        at = plan.at(step=tick) if steps else plan.at(epoch=tick)
        for group, one in zip(plan.groups, shown.series, strict=True):
            told = at[group.parameters[0]]
            assert one.frozen[k] is told["frozen"]
            if group.kind == "trains":
                assert one.rates[k] == pytest.approx(told["lr"])


def test_every_change_is_drawn_where_it_happens() -> None:
    """However long the run: the first step of a phase and the last before it are both sampled."""
    shown = picture(_plan(TEXT, steps=12345), "t")
    one = _series(shown, "0")
    thaw = shown.times.index(4.0)
    assert (one.frozen[thaw - 1], one.frozen[thaw]) == (True, False)
    assert shown.times[thaw] - shown.times[thaw - 1] == pytest.approx(1 / 12345)
    assert len(shown.times) < 700


def test_spans_join_up_to_the_whole_run() -> None:
    """What is not frozen trains, with no gap."""
    shown = picture(_plan(TEXT, steps=50), "t")
    for one in shown.series:
        spans = sorted([*shown.spans(one, True), *shown.spans(one, False)])
        assert spans[0][0] == 0
        assert spans[-1][1] == shown.epochs
        assert all(left[1] == right[0] for left, right in pairwise(spans))


def test_a_decay_to_nothing_does_not_flatten_the_picture() -> None:
    """A cosine that ends at 1e-12 of its peak would take up all of a log scale."""
    shown = picture(_plan("schedule cosine\n** -> lr 1e-3\n", steps=100_000), "t")
    low, high = shown.rate_range
    assert high == pytest.approx(1e-3)
    assert low >= high / 200


def test_a_run_of_unknown_length_has_no_picture() -> None:
    """There is no time axis to draw on."""
    with pytest.raises(UnknownLength):
        picture(_plan("** -> lr 1e-3\n", epochs=None), "t")


def test_the_outermost_curves_are_named_whatever_lies_between() -> None:
    """Of forty that end close to each other the lowest and the highest say what the rest is."""
    shown = of_groups(picture(_plan("<i> -> lr 1e-3 * 1.1 ^ i\n", layers=40), "t"))
    found = ends(shown, 0.045)
    assert (found[0].text, found[-1].text) == ("0", "39")
    assert 2 < len(found) < 40
    assert all(above.place - below.place >= 0.045 for below, above in pairwise(found))


@pytest.mark.parametrize(
    ("opens", "steps_per_epoch", "soonest"),
    [("epoch 3", None, 5), ("epoch 3", 10, 5), ("step 35", 10, 5), ("epoch 9", 10, None)],
)
def test_what_waits_is_assumed_from_when_its_metric_can_decide(
    opens: str, steps_per_epoch: int | None, soonest: int | None
) -> None:
    """Patience takes epochs, that of the opening among them; what cannot come true within the run is certain."""
    text = f"** -> lr 1e-3\nfreeze 0 from {opens} until loss stops falling for 2 epochs\n"
    shown = picture(_plan(text, steps=steps_per_epoch), "t")
    assert [marker.epoch for marker in shown.markers] == ([] if soonest is None else [soonest])
    fan = _series(shown, "0").fan
    assert (None if fan is None else shown.where(fan.frees)) == (None if soonest is None else [(soonest, 10)])


def test_a_metric_condition_is_marked_until_it_fires() -> None:
    """Unfired, the freeze lasts and is marked; fired, it ends there."""
    plan = _plan("** -> lr 1e-3\nfreeze 0 until loss stops falling for 2 epochs\n")
    waiting, fired = picture(plan, "t"), picture(plan, "t", {0: 6})
    assert [marker.text for marker in waiting.markers] == ["loss stops falling for 2 epochs"]
    assert [marker.epoch for marker in waiting.markers] == [2]
    assert waiting.spans(_series(waiting, "0"), True) == [(0, 10)]
    assert fired.markers == ()
    assert fired.supposed == ("assumed: loss stops falling for 2 epochs at epoch 6",)
    assert fired.spans(_series(fired, "0"), True) == [(0, 6)]


def test_groups_that_take_one_course_are_one_curve_with_a_joint_name() -> None:
    """Weights and biases that differ in decay only."""
    shown = picture(_plan("** -> lr 1e-3\n0 -> lr 1e-4\n**.bias -> weight_decay 0\n"), "t")
    assert len(shown.series) == 4
    assert [curve.label.whole for curve in shown.curves] == ["0", "{1..3}"]
    assert [len(curve.groups) for curve in shown.curves] == [2, 2]


@pytest.mark.parametrize("layers", [4, 60])
@pytest.mark.parametrize("form", ["png", "svg"])
def test_files_are_of_the_form_asked_for_and_name_every_curve(layers: int, form: str) -> None:
    """A dollar sign in a title is no formula."""
    plan = _plan("<i> -> lr 1e-3 * 0.9 ^ i\nfreeze {0..2} until epoch 3\n", layers)
    chart = of_groups(picture(plan, "costs $5 and $x^"))
    if form == "png":
        pytest.importorskip("matplotlib")
        assert figure.draw(chart).startswith(b"\x89PNG")
        return
    texts = [
        text.strip() for node in ElementTree.fromstring(svg.draw(chart)).iter() for text in node.itertext()
    ]
    assert set(map(str, range(layers))) <= set(texts)
    assert "costs $5 and $x^" in texts


def test_svg_is_the_same_each_time() -> None:
    """No date, no random identifiers: a picture in a repository changes only when the rules do."""
    chart = of_groups(picture(_plan(TEXT), "t"))
    assert svg.draw(chart, paper=True) == svg.draw(chart, paper=True)


def test_curves_and_lanes_share_one_time_axis() -> None:
    """In the terminal what stands above each other is at the same time."""
    shown = picture(_plan("** -> lr 1e-3\n0 -> lr 1e-2\nfreeze 0 until epoch 5\n"), "t")
    for width in (40, 80):
        lines = characters.draw(of_groups(shown), Screen(width=width))
        lane = next(line for line in lines if line.startswith("a 0"))
        curve = next(line for line in lines if "aaaa" in line)
        assert curve.index("aaaa") == lane.rindex("░") + 1
        assert len(curve) == len(lane)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("layers", [4, 60])
def test_characters_fit_the_screen(width: int, layers: int) -> None:
    """One lane a curve, no line too wide, also without Unicode."""
    shown = picture(_plan("<i> -> lr 1e-3 * 0.9 ^ i\nfreeze 0\n", layers), "t")
    for unicode in (True, False):
        lines = characters.draw(of_groups(shown), Screen(width=width, unicode=unicode))
        assert all(cells(line) <= width for line in lines)
        assert unicode or all(line.isascii() for line in lines)
    lanes = lines[next(k for k, line in enumerate(lines) if line.endswith("////")) :]
    assert len(lanes) >= layers


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    """At 40 columns names are long, and a name that is cut without a sign is another name."""
    from torch import nn

    model = nn.ModuleDict({f"encoder_of_all_kinds_of_things_{k}x": nn.Linear(2, 2) for k in range(3)})
    plan = layerlr.parse("** -> lr 1e-3\nencoder_of_all_kinds_of_things_0x -> lr 1e-2\n").resolve(
        model, epochs=4
    )
    for chart in (of_groups(picture(plan, "t")), of_network(drawing(plan, "t"))):
        named = [
            line for line in characters.draw(chart, Screen(width=40)) if "enc" in line or "things" in line
        ]
        assert len(named) == len(chart.lanes)
        assert all("…" in line for line in named)


def test_curves_are_higher_for_larger_rates() -> None:
    """The letter of the larger rate stands above that of the smaller one."""
    shown = picture(_plan("0, 1 -> lr 1e-2\n2, 3 -> lr 1e-4\n"), "t")
    lines = characters.draw(of_groups(shown), Screen(width=60))
    assert next(k for k, line in enumerate(lines) if "aaa" in line) < next(
        k for k, line in enumerate(lines) if "bbb" in line
    )


def test_lanes_rise_with_the_rate() -> None:
    """A ramp is a ramp, in the terminal too."""
    shown = picture(_plan("schedule constant(warmup=8 epochs)\n** -> lr 1e-3\n", epochs=10), "t")
    lane = next(
        line for line in characters.draw(of_groups(shown), Screen(width=80)) if line.startswith("a all")
    )
    drawn = [sign for sign in lane.split()[-1] if sign in characters.UNICODE.levels]
    heights = [characters.UNICODE.levels.index(sign) for sign in drawn]
    assert heights == sorted(heights)
    assert len(set(heights)) > 3


def test_colours_are_left_out_where_nobody_wants_them() -> None:
    """And come back with the screen's: they add nothing but themselves."""
    shown = of_groups(picture(_plan(TEXT), "t"))
    bare, painted = (characters.draw(shown, Screen(colour=colour)) for colour in (False, True))
    assert not any("\x1b" in line for line in bare)
    assert len({code for line in painted for code in re.findall(r"38;5;[0-9]+", line)}) >= 3
    stripped = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted]
    assert [line.rstrip() for line in stripped] == [line.rstrip() for line in bare]


def test_what_waits_for_a_metric_is_not_frozen_for_ever() -> None:
    """Its rate is drawn as that of a frozen group; what never trains has none."""
    plan = _plan("** -> lr 1\nfreeze 0 until val_loss stops falling for 3 epochs\nfreeze 1\n")
    waiting, never = (one for one in picture(plan, "t").series if all(one.frozen))
    assert (waiting.name, waiting.ever_trains, never.ever_trains) == ("0", True, False)


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nothing_of_this_name"])
def test_the_backend_of_a_notebook_is_not_needed_to_draw_a_file(backend: str) -> None:
    """Processes that a notebook starts inherit MPLBACKEND; where it is not installed, matplotlib fails to import."""
    pytest.importorskip("matplotlib")
    text = (
        "import os, layerlr_dsl as layerlr\n"
        "from torch import nn\n"
        "from layerlr_dsl.plots import picture\n"
        "from layerlr_dsl.plots.chart import ends, of_groups\n"
        "from layerlr_dsl.plots.figure import draw\n"
        "plan = layerlr.parse('schedule cosine; ** -> lr 1e-3').resolve(nn.Linear(2, 2), epochs=4)\n"
        "assert draw(of_groups(picture(plan, 'a run'))).startswith(bytes([137]) + b'PNG')\n"
        f"assert os.environ['MPLBACKEND'] == {backend!r}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "MPLBACKEND": backend},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_backend_that_is_there_is_left_as_it_is() -> None:
    """Drawing a file inside a notebook must not take its backend away."""
    pytest.importorskip("matplotlib")
    text = (
        "from layerlr_dsl.plots.figure import matplotlib\n"
        "matplotlib()\n"
        "import matplotlib\n"
        "assert matplotlib.get_backend().lower() == 'pdf'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "MPLBACKEND": "pdf"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_thousands_of_steps_are_whole_numbers_on_the_time_axis() -> None:
    """`2000`, as one says it, and not `2e3`."""
    shown = [spelled(at) for at in time_ticks(10_000, 6)]
    assert shown == ["0", "2000", "4000", "6000", "8000", "10000"]
