"""A record is what `dataclass(frozen=True, slots=True)` makes, but for the time that making it takes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from inspect import signature
from typing import Any

import pytest

from layerlr_dsl.tools.records import record


@dataclass(frozen=True, slots=True)
class Standard:
    """Every kind of field."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list, repr=False)
    note: str = field(default="", compare=False)
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.size)


@record
class Ours:
    """Every kind of field."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list, repr=False)
    note: str = field(default="", compare=False)
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.size)


@record
class Empty:
    pass


@record
class Place:
    at: int


@record
class Named(Place):
    name: str


@record(eq=False)
class Alone:
    at: int


ARGUMENTS: list[tuple[Any, ...]] = [("a",), ("a", 4), ("a", 3, [1]), ("a", 3, [], "noted"), ("b",)]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_it_shows_and_compares_as_a_dataclass_does(arguments: tuple[Any, ...]) -> None:
    """Defaults, what is left out of the text and of comparing, and what is worked out."""
    ours, standard = Ours(*arguments), Standard(*arguments)
    assert repr(ours) == repr(standard).replace("Standard", "Ours")
    assert asdict(ours) == asdict(standard)
    for other in ARGUMENTS:
        assert (ours == Ours(*other)) == (standard == Standard(*other))
    assert ours != standard


def test_factories_make_anew_each_time() -> None:
    """Two records do not share a list."""
    assert Ours("a").parts is not Ours("a").parts


def test_it_is_frozen_and_has_no_dictionary() -> None:
    """Neither a field nor anything else can be set."""
    with pytest.raises(FrozenInstanceError, match="name"):
        Ours("a").name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="name"):
        del Ours("a").name
    assert not hasattr(Ours("a"), "__dict__")


def test_equal_records_are_one_key() -> None:
    """By the values that are compared; records of another class are other keys."""
    assert len({Place(1), Place(1), Place(2), Alone(1), Alone(1), Empty(), Empty()}) == 5
    assert Place(1) != Named(1, "a")


@pytest.mark.parametrize("made", [Ours("a", 4), Named(1, "n"), Empty()], ids=repr)
def test_copies_are_equal(made: Any) -> None:
    """Pickled, copied, or with nothing replaced."""
    assert pickle.loads(pickle.dumps(made)) == made
    assert copy.deepcopy(made) == made
    assert replace(made) == made


def test_fields_of_a_base_come_first() -> None:
    """As with dataclasses, also in patterns of `match`."""
    assert [f.name for f in fields(Named)] == ["at", "name"]
    assert Named.__match_args__ == ("at", "name")


@record(kw_only=True)
class Curve:
    name: str
    floor: float = 0.0


def test_fields_may_be_given_by_name_alone() -> None:
    """As `dataclass(kw_only=True)` has it."""
    assert Curve(name="a") == Curve(floor=0.0, name="a")
    with pytest.raises(TypeError, match="positional"):
        Curve("a")  # type: ignore[misc]


def test_missing_and_superfluous_arguments_are_refused() -> None:
    """The constructor names them."""
    with pytest.raises(TypeError, match="name"):
        Ours()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="twice"):
        Ours("a", twice=1)  # type: ignore[call-arg]


@record
class Size:
    of: int
    by: list[int] = field(default_factory=lambda: [2])


@record
class Weight:
    kilograms: int
    since: list[int] = field(default_factory=lambda: [3])


def test_records_of_one_shape_keep_their_own_names_and_defaults() -> None:
    """They share what is compiled of a constructor, and nothing else."""
    assert (Size(of=1).by, Weight(kilograms=1).since) == ([2], [3])
    assert [*signature(Size).parameters] == ["of", "by"]
    with pytest.raises(TypeError, match="kilograms"):
        Weight()  # type: ignore[call-arg]


def test_what_must_be_given_stands_in_front() -> None:
    """As dataclasses have it: the default would be taken for the one behind it."""
    with pytest.raises(TypeError, match="second"):

        @record
        class Wrong:
            first: int = 1
            second: int  # type: ignore[misc]
