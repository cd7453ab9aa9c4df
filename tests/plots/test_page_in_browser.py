"""The page in a real browser: played, scrubbed, hovered, and used with the keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import driven, needs_browser
from pages import Net, plan_of
from torch import nn

from layerlr_dsl.plots import html
from layerlr_dsl.plots.network import drawing

pytestmark = needs_browser
PAGE = html.draw(drawing(plan_of(), "a.lr on Net"))


def test_repeated_blocks_fold_and_open(tmp_path: Path) -> None:
    """Alike siblings are one block at first, and each its own once opened."""
    steps = """
    const before = layerlr.visible();
    const fold = block("blocks.{0..3}");
    fold.focus();
    press(fold, "ArrowRight");
    done([before, layerlr.visible(), fold.getAttribute("aria-expanded")]);
    """
    before, after, expanded = driven(PAGE, steps, tmp_path)
    assert before == ["token", "stem", "blocks", "blocks.{0..3}", "head"]
    assert set(after) - set(before) == {f"blocks.{i}" for i in range(4)}
    assert expanded == "true"


def test_a_page_in_an_editor_is_told_what_is_new_by_messages(tmp_path: Path) -> None:
    """Findings stand above the last picture, and a new one takes its place with what was opened still open."""
    drawn = html.data(drawing(plan_of(), "b.lr on Net"))
    page = html.following("a.lr", {"drawing": {**drawn, "title": "a.lr on Net"}, "found": [], "stale": ""})
    found = [{"severity": "error", "code": "LR201", "message": "no such layer", "help": None}]
    broken = html.as_script({"found": found, "stale": "the last picture"})
    mended = html.as_script({"found": [], "stale": "", "drawing": drawn})
    steps = f"""
    const box = document.getElementById("findings");
    const look = () => [text("title"), box.hidden ? "" : box.textContent, layerlr.visible().length];
    const told = news => new Promise(seen => {{ postMessage(news, "*"); setTimeout(() => seen(look()), 100); }});
    press(block("blocks.{{0..3}}"), "ArrowRight");
    done([look(), await told({broken}), await told({mended})]);
    """
    first, second, third = driven(page, steps, tmp_path, wait=2000)
    assert first == ["a.lr on Net", "", 9]
    assert second == ["a.lr on Net", "the last pictureerror[LR201]: no such layer", 9]
    assert third == ["b.lr on Net", "", 9]


def test_scrubbing_recolours_and_frozen_is_hatched(tmp_path: Path) -> None:
    """A frozen block has a pattern, not only a colour, and loses it when it thaws."""
    steps = """
    const look = () => { const bar = block("stem").querySelector(".bar i"); return [bar.className.includes("still"), getComputedStyle(bar).backgroundImage !== "none"]; };
    const slider = document.getElementById("at");
    const first = [look(), document.getElementById("now").value];
    slider.value = 6; slider.dispatchEvent(new Event("input"));
    const second = [look(), document.getElementById("now").value];
    press(slider, "ArrowLeft");
    done([first, second, document.getElementById("now").value, slider.getAttribute("aria-valuetext")]);
    """
    first, second, third, spoken = driven(PAGE, steps, tmp_path)
    assert first[0] == [True, True]
    assert second[0] == [False, False]
    assert first[1].startswith("epoch 1: 67%")
    assert second[1].startswith("epoch 6: 81%")
    assert third.startswith("epoch 5")
    assert spoken == third


def test_it_plays_to_the_end(tmp_path: Path) -> None:
    """Play runs through all of time and stops by itself."""
    steps = """
    window.requestAnimationFrame = frame => setTimeout(() => frame(performance.now()), 16);  // no screen, no frames
    document.getElementById("play").click();
    const playing = document.getElementById("play").getAttribute("aria-label");
    const wait = () => layerlr.state.playing ? setTimeout(wait, 100) : done([playing, document.getElementById("now").value]);
    wait();
    """
    playing, now = driven(PAGE, steps, tmp_path, wait=60_000)
    assert playing == "pause"
    assert now.startswith("epoch 9")


def test_hovering_explains_a_parameter(tmp_path: Path) -> None:
    """Which rule, what value."""
    steps = """
    const bar = block("head").querySelector(".bar i");
    layerlr.show(2);
    bar.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 50, clientY: 50 }));
    done([document.getElementById("tip").hidden, text("tip")]);
    """
    hidden, told = driven(PAGE, steps, tmp_path)
    assert not hidden
    assert "learning rate" in told
    assert "by <string>:3: ** -> lr 1e-3" in told


def test_a_chosen_block_tells_its_rules_and_a_chosen_rule_its_blocks(tmp_path: Path) -> None:
    """The winner is marked in words, what is overridden struck out; covered parts are underlined."""
    steps = """
    const fold = block("blocks.{0..3}");
    fold.focus(); press(fold, "ArrowRight");
    block("blocks.3").focus();
    const statuses = [...document.querySelectorAll("#details li")].map(li => [li.className, li.querySelector(".status").textContent.trim().split(":")[0]]);
    layerlr.choose(4);
    const on = path => [...block(path).querySelectorAll(".bar i")].every(bar => bar.classList.contains("off"));
    done([statuses, on("stem"), on("head"), text("covered"), document.querySelectorAll("[aria-pressed=true]").length]);
    """
    statuses, stem, head, covered, pressed = driven(PAGE, steps, tmp_path)
    assert ["overridden", "overridden"] in statuses
    assert ["wins", "decides"] in statuses
    assert ["outside", "not at this time"] in statuses
    assert (stem, head, pressed) == (False, True, 1)
    assert "covers 2 tensors of 21 tensors" in covered


def test_tensors_inside_a_block_are_called_by_their_place_in_it(tmp_path: Path) -> None:
    """Not by their last names, which are all `weight`."""
    steps = 'block("blocks.{0..3}").focus(); done(text("details"));'
    told = driven(PAGE, steps, tmp_path)
    assert "0.linear.weight, 0.norm.weight" in told


def test_the_keyboard_goes_through_the_blocks(tmp_path: Path) -> None:
    """Down, End, Home, left to the parent; one stop of Tab for the whole tree."""
    steps = """
    const at = () => document.activeElement.dataset.path;
    const seen = [];
    block("token").focus();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "End", "Home"]) { press(document.activeElement, key); seen.push(at()); }
    const roles = [...new Set(layerlr.visible().map(path => block(path).getAttribute("role")))];
    done([seen, document.querySelectorAll("#tree [tabindex='0']").length, roles, block("stem").getAttribute("aria-label")]);
    """
    seen, stops, roles, label = driven(PAGE, steps, tmp_path)
    assert seen == ["stem", "blocks", "blocks.{0..3}", "blocks", "head", "token"]
    assert stops == 1
    assert roles == ["treeitem"]
    assert label == "stem, Linear, 20 parameters"


@pytest.mark.parametrize("width", [390, 500, 1280, 2560])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(tmp_path: Path, width: int, dark: bool) -> None:
    """No sideways scrolling, from a small window to a very wide one."""
    steps = "done([document.documentElement.scrollWidth, innerWidth]);"
    shown, window = driven(PAGE, steps, tmp_path, width=width, dark=dark)
    assert shown <= window


WAITS = """\
schedule plateau(metric=val_loss, patience=1)
** -> lr 1e-3
head -> lr 1e-2
**.bias -> weight_decay 0
freeze stem until val_loss stops falling for 2 epochs
freeze blocks.0 until epoch 4
"""


def test_curves_and_lanes_are_joint_and_on_one_time_axis(tmp_path: Path) -> None:
    """A lane for each curve, with the name of all its layers; it turns solid where its curve begins."""
    steps = """
    const labels = [...document.querySelectorAll("#chart .label")].map(node => node.firstChild.textContent);
    const n = labels.indexOf("stem"), lane = kind => document.querySelector(`#chart rect[data-curve="${n}"]${kind}`).getBBox();
    const frozen = lane('[fill="url(#hatch)"]'), whole = lane(""), curve = lines[n].find(node => !node.matches(".waiting")).getBBox();
    done([labels, curves().length, frozen.x + frozen.width - curve.x, whole.x + whole.width - curve.x - curve.width]);
    """
    page = html.draw(drawing(plan_of("** -> lr 1e-3\nhead -> lr 1e-2\nfreeze stem until epoch 4\n"), "t"))
    labels, curves, begins, ends = driven(page, steps, tmp_path)
    assert curves == len(labels) == 3
    assert set(labels) == {"token, blocks", "stem", "head"}
    assert (begins, ends) == pytest.approx((0, 0), abs=0.2)


def test_what_a_metric_decides_is_drawn_as_what_may_come(tmp_path: Path) -> None:
    """A fan, a frame around the lane, and what was assumed in words."""
    steps = """
    const frames = [...document.querySelectorAll("#chart .assumed")].map(node => node.dataset.curve);
    done([text("assumed"), document.querySelectorAll("#chart path[fill-opacity]").length, frames.map(n => curves()[n].label[0]), document.querySelectorAll("#chart .note").length]);
    """
    said, fans, frames, notes = driven(html.draw(drawing(plan_of(WAITS), "t")), steps, tmp_path)
    assert "assumed: val_loss stops falling for 2 epochs never comes" in said
    assert "takes nothing off" in said
    assert fans > 0
    assert frames == ["stem"]
    assert notes == 1


def test_pointing_at_a_lane_shows_its_curve_and_its_groups(tmp_path: Path) -> None:
    """The others step back, and the rows of the table light up."""
    steps = """
    const bar = document.querySelector('#chart rect[data-curve="0"]');
    bar.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    const on = document.querySelectorAll("#chart .curve.on").length, lit = document.querySelectorAll("#groups tr.on").length;
    document.getElementById("chart").dispatchEvent(new PointerEvent("pointerleave"));
    done([on, lit, curves()[0].groups.length, document.querySelectorAll("#chart .curve.on, #groups tr.on").length]);
    """
    on, lit, groups, left = driven(PAGE, steps, tmp_path)
    assert on >= 1
    assert lit == groups
    assert left == 0


def test_curves_are_light_on_a_dark_page_and_dark_on_paper(tmp_path: Path) -> None:
    """Printing takes the colours and the width of paper, and gives them back."""
    steps = """
    const look = () => [document.querySelector("#chart path.curve").getAttribute("stroke").match(/[0-9]+/g).reduce((sum, part) => sum + Number(part), 0), document.getElementById("chart").getAttribute("viewBox").split(" ")[2]];
    const before = look();
    dispatchEvent(new Event("beforeprint"));
    const printed = look();
    dispatchEvent(new Event("afterprint"));
    done([matchMedia("(prefers-color-scheme: dark)").matches, before, printed, look()]);
    """
    (tmp_path / "light").mkdir()
    (tmp_path / "dark").mkdir()
    is_dark, light, paper, _ = driven(PAGE, steps, tmp_path / "light")
    was_dark, dark, on_paper, after = driven(PAGE, steps, tmp_path / "dark", dark=True)
    assert (is_dark, was_dark) == (False, True)
    assert dark[0] > light[0]
    assert on_paper == paper
    assert after == dark
    assert paper[1] == "760"


class Experts(nn.Module):
    def __init__(self, layers: int, experts: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "gate": nn.Linear(4, experts),
                    "experts": nn.ModuleList(
                        nn.ModuleDict(
                            {"up": nn.Linear(4, 4), "down": nn.Linear(4, 4), "norm": nn.LayerNorm(4)}
                        )
                        for _ in range(experts)
                    ),
                }
            )
            for _ in range(layers)
        )


@pytest.mark.slow
def test_a_hundred_thousand_tensors_play_smoothly(tmp_path: Path) -> None:
    """The script of most frames stays below 16 ms, whatever else the machine does, and the page below 2 MB."""
    import torch

    with torch.device("meta"):
        model = Experts(48, 360)
    text = "schedule cosine\nlayers.<i>.** -> lr 1e-3 * 0.95 ^ (47 - i)\nlayers.<i>.experts.** -> lr *= 0.1\nfreeze layers.{0..9} until epoch 5\n"
    plan = plan_of(text, model, steps_per_epoch=100)
    assert len(plan.inventory) > 100_000
    page = html.draw(drawing(plan, "experts"))
    assert len(page) < 2_000_000
    steps = """
    const fold = block("layers.{0..47}");
    fold.focus(); press(fold, "ArrowRight");
    const times = [], last = 390;
    layerlr.state.playing = 1;
    for (let k = 0; k <= last; k++) { const before = performance.now(); layerlr.show(k); times.push(performance.now() - before); }
    times.sort((a, b) => b - a);
    done([layerlr.visible().length, times[Math.floor(times.length / 2)]]);
    """
    blocks, usual = driven(page, steps, tmp_path)
    assert blocks > 48
    assert usual < 16


def test_what_is_out_of_sight_is_recoloured_when_it_is_shown(tmp_path: Path) -> None:
    """A frame costs what it shows, however many blocks are open; paper has everything."""
    steps = """
    const colour = () => layerlr.visible().map(path => block(path).querySelector(".bar i")).filter(Boolean).map(part => part.style.background);
    const wait = time => new Promise(seen => setTimeout(seen, time));
    await wait(500);
    const before = colour();
    layerlr.show(5);
    const after = colour(), changed = after.filter((one, n) => one !== before[n]).length;
    dispatchEvent(new Event("beforeprint"));
    done([before.length, changed, colour().filter((one, n) => one !== before[n]).length]);
    """
    model = nn.Sequential(*(nn.Linear(4, 4 + n % 2 * 3) for n in range(200)))
    page = html.draw(drawing(plan_of("schedule cosine\n** -> lr 1e-3\n", model), "deep"))
    opened = page.replace("OPEN_AT_FIRST = 24", "OPEN_AT_FIRST = 500")
    blocks, seen, printed = driven(opened, steps, tmp_path, wait=4000)
    assert 0 < seen < blocks / 2
    assert printed == blocks == 200


@pytest.mark.parametrize(
    ("schedule", "opens"),
    [
        ("cosine(warmup=2 epochs)", "epoch 2"),
        ("cosine", "epoch 0"),
        ("cosine(warmup=2 epochs, warmup_lr=1e-4)", "epoch 0"),
    ],
)
def test_the_first_view_has_rates(tmp_path: Path, schedule: str, opens: str) -> None:
    """A warm-up that begins at nothing is shown at its end; what has rates from the start, at the start."""
    page = html.draw(drawing(plan_of(f"schedule {schedule}\n** -> lr 1e-3\n"), "t"))
    now, grey = driven(
        page, 'done([text("now"), document.querySelectorAll("[style*=zero]").length])', tmp_path
    )
    assert now.startswith(f"{opens}:")
    assert grey <= 1  # the legend has a 0 where the scale has one


def test_playing_is_told_where_something_changes_and_at_the_end(tmp_path: Path) -> None:
    """Not at each moment, which would be read aloud for minutes; the moment itself stays silent."""
    steps = """
    window.requestAnimationFrame = frame => setTimeout(() => frame(performance.now()), 16);
    const heard = [];
    new MutationObserver(() => heard.push(text("heard"))).observe(document.getElementById("heard"), { childList: true });
    document.getElementById("play").click();
    const wait = () => layerlr.state.playing ? setTimeout(wait, 100) : done([heard, document.getElementById("now").getAttribute("aria-live")]);
    wait();
    """
    heard, moments = driven(PAGE, steps, tmp_path, wait=60_000)
    assert [words.split(":")[0] for words in heard] == ["epoch 4", "epoch 5", "epoch 6", "epoch 9"]
    assert moments == "off"


def test_what_is_out_of_sight_is_right_once_time_stands_still(tmp_path: Path) -> None:
    """A screen reader reads the table without scrolling to it."""
    page = html.draw(drawing(plan_of("schedule linear\n** -> lr 1e-3\n", Net(200)), "t"))
    steps = """
    const rate = () => document.querySelector("#groups .rate").textContent;
    layerlr.show(5);
    setTimeout(() => done(rate()), 600);
    """
    assert driven(page, steps, tmp_path, wait=3000) == "5e-4"


def test_a_measure_has_curves_of_its_own(tmp_path: Path) -> None:
    """Groups of one rate may differ in their decay, and both numbers of betas are said as they are now."""
    text = "optimizer adamw\n** -> lr 1e-3, weight_decay 0.1\nblocks.<i> -> weight_decay *= i + 1\nhead -> betas (0.8 + 0.1 * progress, 0.999)\n"
    steps = """
    const measure = document.getElementById("measure"), count = () => document.querySelectorAll("#chart .label").length;
    const before = count();
    measure.value = 1; measure.dispatchEvent(new Event("change"));
    block("head").focus(); layerlr.show(5);
    done([before, count(), text("details").includes("betas (0.85, 0.999)")]);
    """
    page = html.draw(drawing(plan_of(text), "t"))
    assert driven(page, steps, tmp_path) == [1, 4, True]
