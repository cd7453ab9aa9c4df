"""Signatures read from the text of a module are those that importing it would show."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerlr_dsl.catalogue import other_packages
from layerlr_dsl.catalogue.other_packages import NOT_A_LITERAL, Parameter, constructor
from layerlr_dsl.catalogue.signatures import options_of


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the files of a package that raises where it is imported."""

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / "written" / (name.replace("_of_", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\nraise RuntimeError('imported')\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return write


def _names(target: str) -> list[str] | None:
    found = constructor(target)
    return None if found is None else [parameter.name for parameter in found]


def test_names_defaults_and_annotations_are_read(module: Callable[..., None]) -> None:
    """Keywords too; a default that is no plain value is known to be one."""
    module(
        __init__="class Opt:\n    def __init__(self, params, lr: float = 1e-3, *rest, f=print, low=-1, **more): ..."
    )
    assert constructor("written:Opt") == [
        Parameter("params", True, None, ""),
        Parameter("lr", False, 1e-3, "float"),
        Parameter("f", False, NOT_A_LITERAL, ""),
        Parameter("low", False, -1, ""),
    ]


def test_a_class_is_followed_through_the_modules_that_hand_it_on(module: Callable[..., None]) -> None:
    """Relative and absolute imports, other names, and the constructor of a base."""
    module(
        __init__="from .inner import Opt as Handed",
        inner_of___init__="from written.inner.deep import Opt",
        inner_of_deep="from ..base import Base\nclass Opt(Base):\n    pass",
        base="class Base:\n    def __init__(self, params, power=2): ...",
    )
    assert _names("written:Handed") == ["params", "power"]


@pytest.mark.parametrize(
    "text",
    [
        "Opt = type('Opt', (), {})",
        "class Opt(make_base()):\n    pass",
        "from written import Opt",
        "class Other: ...",
        "class Opt(:",
    ],
)
def test_what_the_text_does_not_tell_is_not_made_up(module: Callable[..., None], text: str) -> None:
    """Made at run time, imported in a circle, not there, or no Python."""
    module(__init__=text)
    assert constructor("written:Opt") is None


@pytest.mark.parametrize("target", ["no_such_package:Opt", "written.no_such:Opt", "sys:flags", "_ast:AST"])
def test_what_has_no_text_is_not_made_up(module: Callable[..., None], target: str) -> None:
    """Neither missing modules nor compiled ones."""
    module(__init__="")
    assert constructor(target) is None


PLAIN = (bool, int, float, str, tuple, list, type(None))


def test_every_optimizer_of_a_large_package_reads_as_it_is() -> None:
    """Names, kinds and defaults, but for options whose defaults no rule could write."""
    package: Any = pytest.importorskip("pytorch_optimizer")
    supported = set(package.get_supported_optimizers())
    read = {name: other_packages.read(name) for name in other_packages.names() if name in supported}
    told = {name: info for name, info in read.items() if info is not None and info.refuses is None}
    assert len(told) > 100
    for name, info in told.items():
        real = {o.name: (o.kind, o.default) for o in options_of(package.load_optimizer(name))}
        mine = {o.name: (o.kind, o.default) for o in info.options.values()}
        assert mine == {option: real[option] for option in mine}, name
        left_out = {option for option, (_, default) in real.items() if type(default) in PLAIN} - mine.keys()
        assert left_out <= {"process_group"}, name


def test_a_wrapper_around_an_optimizer_is_none() -> None:
    """What needs another optimizer, or the model, cannot be made from parameter groups."""
    pytest.importorskip("pytorch_optimizer")
    assert [other_packages.find(name) for name in ("lookahead", "sam", "schedulefreewrapper")] == [None] * 3
    assert "lookahead" in other_packages.names()


def test_the_package_of_a_class_that_is_read_stays_unimported(module: Callable[..., None]) -> None:
    """It raises where it is imported."""
    module(__init__="class Opt:\n    def __init__(self, params): ...")
    assert _names("written:Opt") == ["params"]
    assert "written" not in sys.modules
