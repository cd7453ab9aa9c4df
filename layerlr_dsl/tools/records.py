"""Frozen, slotted dataclasses that cost a quarter of the time to define.

A command defines some two hundred of them before it does anything, and `dataclass` compiles six methods
for each. Only constructors are compiled here, one for all records that differ in names alone; all other
methods are the same for every record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        return lambda decorated: decorated


Class = TypeVar("Class", bound=type)


@overload
def record(cls: Class) -> Class: ...


@overload
def record(*, eq: bool = True, kw_only: bool = False) -> Callable[[Class], Class]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: Class | None = None, *, eq: bool = True, kw_only: bool = False) -> Any:
    """As `dataclass(frozen=True, slots=True)`; with `eq=False`, a record equals nothing but itself."""
    if cls is None:
        return lambda decorated: _made(decorated, eq, kw_only)
    return _made(cls, eq, kw_only)


def _made(cls: type, eq: bool, kw_only: bool) -> type:
    own = vars(cls)
    # A missing docstring would be made up from the signature, at the cost of all else.
    cls.__doc__ = cls.__doc__ or cls.__name__
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    fields = dataclasses.fields(made)
    shared: dict[str, Any] = dict(_SHARED)
    if eq:
        shared |= _BY_VALUE
        made._values = _getter([f.name for f in fields if f.compare])
    for name, method in shared.items():
        if name not in own:
            setattr(made, name, method)
    if "__init__" not in own:
        made.__init__ = _constructor(made, fields)
    return made  # type: ignore[no-any-return]


def _getter(names: list[str]) -> Any:
    """From a record to what is compared of it."""
    return staticmethod(attrgetter(*names) if names else lambda _: ())


def _constructor(made: type, fields: tuple[dataclasses.Field[Any], ...]) -> Any:
    ordered = sorted((f for f in fields if f.init), key=lambda field: field.kw_only is True)
    # Slots are set as descriptors: `object.__setattr__` would look each name up again.
    known: dict[str, Any] = {"absent": dataclasses.MISSING}
    kinds: list[tuple[bool, bool]] = []
    by_name: dict[str, Any] = {}
    for number, field in enumerate(ordered):
        known[f"set{number}"] = getattr(made, field.name).__set__
        known[f"make{number}"] = field.default_factory
        kinds.append((field.kw_only is True, field.default_factory is not dataclasses.MISSING))
        if field.default is not dataclasses.MISSING or kinds[-1][1]:
            by_name[field.name] = field.default
        elif not field.kw_only and by_name:
            raise TypeError(f"non-default argument {field.name!r} follows default argument")
    names = tuple(field.name for field in ordered)
    positional = [by_name.pop(f.name) for f in ordered if not f.kw_only and f.name in by_name]
    code = _code(tuple(kinds), hasattr(made, "__post_init__")).replace(co_varnames=("self", *names))
    constructor = FunctionType(code, known, "__init__", tuple(positional))
    constructor.__kwdefaults__ = by_name
    return constructor


@cache
def _code(kinds: tuple[tuple[bool, bool], ...], then: bool) -> CodeType:
    """What all records do whose arguments are alike but for their names: to compile takes longer than all else.

    kinds: of each argument, whether it is given by name alone, and whether something makes what is not given.
    """
    arguments, lines = ["self"], []
    for number, (by_name, makes) in enumerate(kinds):
        arguments += ["*"] if by_name and "*" not in arguments else []
        arguments.append(f"a{number}")
        value = f"make{number}() if a{number} is absent else a{number}" if makes else f"a{number}"
        lines.append(f" set{number}(self, {value})")
    lines += [" self.__post_init__()"] if then else []
    named: dict[str, Any] = {}
    exec(f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines or [" pass"]), named)
    code: CodeType = named["__init__"].__code__
    return code


# ---------------------------------------------------------------- methods that all records share


def _set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _repr(self: Any) -> str:
    told = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(told)})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._values(self) == self._values(other)


def _hash(self: Any) -> int:
    return hash(self._values(self))


_SHARED = {
    "__setattr__": _set,
    "__delattr__": _delete,
    "__repr__": _repr,
    "__getstate__": _state,
    "__setstate__": _restore,
}
_BY_VALUE = {"__eq__": _equal, "__hash__": _hash}
