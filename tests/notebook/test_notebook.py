"""Rules in a notebook, in a real kernel: what cells show, and how they fail."""

from __future__ import annotations

import re
import sys
from html import unescape

import pytest
from kernel import run

MODEL = """\
import layerlr_dsl as layerlr
from torch import nn
net = nn.ModuleDict({"stem": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
%load_ext layerlr_dsl
"""
RULES = """\
%%layerlr rules --on net --epochs 10
schedule cosine
** -> lr 1e-3
freeze stem until epoch 3
"""


def test_a_cell_of_rules_is_checked_and_bound() -> None:
    """The name holds rules that can be resolved, and the cell says what became of it."""
    _, cell, plan = run(MODEL, RULES, "plan = rules.resolve(net, epochs=10)\nplan")
    assert cell.error is None
    assert cell.text == "rules: 2 statements, no findings\n"
    assert plan.text.startswith("ModuleDict: 30 parameters in 4 tensors; 10 epochs\n")
    assert "<svg" in plan.html
    assert "<script" not in plan.html


def test_a_faulty_cell_shows_its_line_with_a_caret_and_nothing_of_the_library() -> None:
    """The cell fails, the name is not bound, and no frame of this library is shown."""
    _, cell, after = run(MODEL, "%%layerlr rules\n** -> lr 1e-3\nfreeze stem util epoch 3\n", "rules")
    assert cell.error is not None
    assert "<rules>:2:13" in cell.error
    assert "2 | freeze stem util epoch 3" in cell.error
    assert "^^^^" in cell.error
    assert "site-packages" not in cell.error
    assert "layerlr_dsl/" not in cell.error
    assert after.error is not None
    assert "NameError" in after.error


def test_a_name_that_the_model_has_not_is_found_as_the_cell_is_run() -> None:
    """With `--on`, selectors are held against the model."""
    _, cell = run(MODEL, "%%layerlr rules --on net\nhaed -> lr 1e-3\n")
    assert cell.error is not None
    assert "did you mean `head`?" in cell.error


def test_a_warning_is_shown_and_the_rules_are_bound() -> None:
    """It is no reason to fail."""
    _, cell, after = run(MODEL, "%%layerlr rules --on net --epochs 5\n** -> lr 50\n", "rules")
    assert cell.error is None
    assert "warning" in cell.text
    assert "border-left" in cell.html
    assert "** -&gt; lr 50" in after.html


def test_a_wrong_first_line_is_told_in_a_sentence() -> None:
    """The usage, and no traceback."""
    lines = {
        "": "required",
        "2rules": "no name",
        "for": "no name",
        "rules --on nett": "no 'nett' in this notebook: did you mean 'net'?",
        "rules 'x": "quotation",
        "rules --on net --epochs ten": "no 'ten'",
        "rules --on net --steps-per-epoch 1.5": "whole number",
        "rules --let base=": "constant",
    }
    _, *cells = run(MODEL, *(f"%%layerlr {line}\n** -> lr 1\n" for line in lines))
    for cell, said in zip(cells, lines.values(), strict=True):
        assert said in (cell.error or "") + cell.text
        assert "Traceback" not in (cell.error or "") + cell.text


def test_variables_of_the_notebook_go_into_the_rules() -> None:
    """As the length of the run, and in the place of a `let`."""
    rules = "%%layerlr rules --on net --epochs n --let base --let decay=0.5\n"
    rules += "let base = 1\nlet decay = 0\nschedule cosine\n** -> lr base, weight_decay decay\n"
    *_, cell, after = run(MODEL, "n = 7; base = 2e-3", rules, "print(rules.resolve(net, epochs=n))")
    assert cell.text.startswith("rules: 1 statement")
    assert "2e-3" in after.text
    assert "weight_decay 0.5" in after.text


def test_the_magic_tells_its_options() -> None:
    """`--help`, as commands do; nothing is bound."""
    _, cell = run(MODEL, "%%layerlr --help\n** -> lr 1\n")
    assert cell.error is None
    assert "usage: %%layerlr NAME" in cell.text
    assert "\n--on: a model" in cell.text


def test_errors_outside_of_such_a_cell_have_no_frames_either() -> None:
    """Ordinary cells show what is wrong with what they were given."""
    faulty = {
        "layerlr.parse('** -> lr')": "1 | ** -> lr",
        "layerlr.load('nowhere.lr')": "nowhere.lr: no such file",
        "layerlr.parse('** -> lr 1').resolve('resnet18x', epochs=3)": "got str",
        "plan.explain('haed.weight')": "no parameter `haed.weight`; did you mean `head.weight`?",
        "plan.plot(option='speed')": "no option `speed`",
    }
    _, _, *cells = run(MODEL, "plan = layerlr.parse('** -> lr 1').resolve(net, epochs=3)", *faulty)
    for cell, said in zip(cells, faulty.values(), strict=True):
        assert said in (cell.error or "")
        assert "Traceback" not in (cell.error or "")
        assert ".py" not in (cell.error or "")


def test_rules_show_themselves_in_colours() -> None:
    """Selectors, options and values apart, in the colours of the front end where it has names for them."""
    _, cell = run(MODEL, RULES.replace("--epochs 10", "--epochs 10 --show"))
    assert cell.error is None
    spans = dict(re.findall(r'<span style="([^"]*)">([^<]*)</span>', cell.html))
    assert len(spans) >= 5
    assert "--jp-mirror-editor-keyword-color" in cell.html
    shown = unescape(re.sub("<[^>]*>", "", cell.html))
    assert [line[3:] for line in shown.splitlines()] == RULES.splitlines()[1:]


def test_training_in_a_cell_does_not_redraw_itself() -> None:
    """A cell gives what it runs a terminal, and keeps every picture that is drawn there."""
    said = "from layerlr_dsl.runner.display import for_stream; print(type(for_stream()).__name__)"
    (cell,) = run(f"!{sys.executable} -c '{said}'")
    assert cell.text.strip().splitlines()[-1] == "Plain"


def test_a_schedule_shows_its_progress_in_one_place() -> None:
    """As many steps as there are, one output of the cell."""
    loop = """\
from IPython.display import display
import torch
plan = rules.resolve(net, epochs=10)
optimizer = plan.optimizer(net)
schedule = plan.schedule(net, optimizer)
shown = display(schedule, display_id=True)
for epoch in range(10):
    net["head"](net["stem"](torch.ones(4))).sum().backward()
    optimizer.step()
    schedule.step()
    shown.update(schedule)
"""
    *_, cell = run(MODEL, RULES, loop)
    assert cell.error is None
    assert cell.text.count("LayerSchedule") == 1
    assert "epoch 10 of 10" in cell.text


def test_findings_explanations_and_figures_show_themselves() -> None:
    """Each in its own way, without `%matplotlib inline`."""
    pytest.importorskip("matplotlib")
    *_, findings, why, figure, schedule = run(
        MODEL,
        RULES,
        "plan = rules.resolve(net, epochs=10)",
        "rules.check(net, epochs=10)",
        "plan.explain('stem.weight', epoch=1)",
        "plan.plot()",
        "plan.schedule(net, plan.optimizer(net))",
    )
    assert findings.html
    assert findings.error is None
    assert "wins" in why.html
    assert "freeze stem until epoch 3" in why.text
    assert figure.images == 1
    assert schedule.text == "<LayerSchedule: epoch 0 of 10; lr 1e-3; 2 parameters frozen>"
