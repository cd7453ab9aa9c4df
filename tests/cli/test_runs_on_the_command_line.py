"""How long a run is, constants from outside, stages and what moves, as the commands take and show them."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import layerlr

STAGED = """model "torchvision:resnet18"
let base = 1e-4
steps 1000
** -> lr base, weight_decay ramp((0%, 0.04), (100%, 0.4), shape=cosine)
schedule cosine(warmup=10%)
stage head for 20%
freeze ** except fc
stage all
"""


@pytest.fixture
def staged(tmp_path: Path) -> str:
    path = tmp_path / "staged.lr"
    path.write_text(STAGED)
    return str(path)


def test_a_run_of_steps_is_planned_in_steps_with_its_stages(staged: str) -> None:
    """The file alone says how long it is; phases bear the names of their stages."""
    ran = layerlr("plan", staged)
    assert ran.status == 0
    assert "1,000 steps" in ran.out
    assert "head: 0 to 200" in ran.out
    assert "all: 200 to 1000" in ran.out


def test_an_option_that_moves_is_shown_from_its_start_to_its_end(staged: str) -> None:
    """The value at the start alone would look like one that stays."""
    assert "weight_decay 0.04 to 0.4 (cosine)" in layerlr("plan", staged).out.replace("\n  ", " ")


def test_what_moves_is_explained_with_its_value_at_the_time(staged: str) -> None:
    """The expression alone does not tell what the optimizer has."""
    told = " ".join(layerlr("explain", staged, "fc.weight", "--at", "50%").out.split())
    assert "= 0.22 at this time" in told


def test_a_let_can_be_given_on_the_command_line(staged: str) -> None:
    """It takes the place of the file's own, before anything is worked out."""
    assert "lr 0.5" in layerlr("explain", staged, "fc.weight", "--let", "base=0.5").out


@pytest.mark.parametrize("command", [("plan",), ("validate",), ("test",), ("explain",)])
def test_a_let_that_no_file_has_is_refused_with_the_near_miss(staged: str, command: tuple[str, ...]) -> None:
    """A slip of the pen would else change nothing, in silence."""
    more = ("fc.weight",) if command == ("explain",) else ()
    ran = layerlr(*command, staged, *more, "--let", "bse=1")
    assert ran.status == 2
    assert "did you mean `base`?" in ran.together


@pytest.mark.parametrize("given", ["base", "base=", "base=a", "1=2", "base=1 + x"])
def test_a_let_that_is_no_constant_is_refused(staged: str, given: str) -> None:
    """What is given from outside is a literal of the language."""
    ran = layerlr("plan", staged, "--let", given)
    assert ran.status == 2
    assert "NAME=VALUE" in ran.together


def test_epochs_and_steps_together_are_refused(staged: str) -> None:
    """They would give two lengths."""
    ran = layerlr("plan", staged, "--epochs", "3", "--steps", "10")
    assert ran.status == 2
    assert "give one of them" in ran.together


def test_any_number_can_be_drawn(staged: str, tmp_path: Path) -> None:
    """The rate is not the only thing that moves; a name that is no option is refused with the near miss."""
    assert "weight decay" in layerlr("plot", staged, "--option", "weight_decay").out
    assert "did you mean `weight_decay`?" in layerlr("plot", staged, "--option", "weightdecay").together
