"""What a parameter tells expressions of itself, and what tells parameters apart in it.

An attribute, a row of `language.vocabulary`, is worked out from columns of the inventory and sees nothing else;
the columns of what a file asks for are the keys by which parameters are sorted into classes. So two parameters with equal keys
always have equal values, and an attribute that forgets a column cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.expressions import Value
from layerlr_dsl.language.questions import names_in
from layerlr_dsl.language.vocabulary import ATTRIBUTE_WORDS, FAMILY_WORDS, VALUES
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.records import record

_MODULE_IS = "module is "
"""Begins the name of what an expression asks of the module: the answer tells more of them alike than the class."""
NO_PARAMETER = -1


@dataclass(eq=False, slots=True)
class Row:
    """A parameter under one of its names, or a module that has none, as expressions see it."""

    inventory: Inventory
    parameter: int
    """Its row in the inventory; NO_PARAMETER for a module."""
    name: str
    owner: int
    leaf: str

    @property
    def is_module(self) -> bool:
        return self.parameter == NO_PARAMETER

    def attribute(self, name: str) -> Any:
        """The value of an attribute, or the answer to `module is ...`; None where there is none."""
        return attribute(name).of(self)

    def is_a(self, word: str) -> bool | None:
        """Whether the owner is of a class or family; None where that is not known."""
        answer: bool | None = self.attribute(_MODULE_IS + word)
        return answer

    def projection(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        """The values of some attributes."""
        return tuple([attribute(name).of(self) for name in names])


@record(eq=False)
class Column:
    """Something of every parameter, or of every module, that can tell one from another.

    `whole` is None for an inventory in which all are alike. `one` is what attributes are worked out from:
    equal wherever the entries of `whole` are.
    """

    by: Literal["parameter", "module"]
    whole: Callable[[Inventory], Iterable[Hashable] | None]
    one: Callable[[Row], Any]
    of_modules: bool = False
    """Whether a module without parameters has it too."""


def _rows_in(inventory: Inventory, rows: Any) -> list[bool] | None:
    return [row in rows for row in range(len(inventory))] if rows else None


def _modules_in(inventory: Inventory, rows: Any) -> list[bool] | None:
    return [row in rows for row in range(len(inventory.module_parents))] if rows else None


def _marked(rows: Callable[[Inventory], Any]) -> Column:
    """Whether a parameter is among some, as the inventory lists them: by their rows."""
    return Column(
        "parameter",
        lambda inventory: _rows_in(inventory, rows(inventory)),
        lambda row: row.parameter in rows(row.inventory),
    )


LEAF = Column("parameter", lambda inventory: inventory.leaves, lambda row: row.leaf)
PATH = Column("parameter", lambda inventory: inventory.names, lambda row: row.name, of_modules=True)
PLACE = Column("parameter", lambda inventory: range(len(inventory)), lambda row: row.parameter)
SHAPE = Column(
    "parameter", lambda inventory: inventory.shapes, lambda row: row.inventory.shapes[row.parameter]
)
LAZY = _marked(lambda inventory: inventory.lazy)
DTYPE = Column(
    "parameter", lambda inventory: inventory.dtypes, lambda row: row.inventory.dtypes[row.parameter]
)
TIED = _marked(lambda inventory: inventory.aliases)
CAME_FROZEN = Column(
    "parameter",
    lambda inventory: None if all(inventory.requires_grad) else inventory.requires_grad,
    lambda row: not row.is_module and not row.inventory.requires_grad[row.parameter],
)
ADAPTED_BASE = Column(
    "parameter",
    lambda inventory: _rows_in(inventory, inventory.adapted_base),
    lambda row: row.parameter in row.inventory.adapted_base,
)
APART = (CAME_FROZEN, ADAPTED_BASE)
"""Asked for by no expression: what came frozen, and what lies under adapters, is ruled apart in any case."""
DOTS = Column(
    "module",
    lambda inventory: [prefix.count(".") for prefix in inventory.module_prefixes],
    lambda row: row.name.count("."),
    of_modules=True,
)
CLASS = Column(
    "module",
    lambda inventory: inventory.module_classes,
    lambda row: row.inventory.module_class(row.owner),
    of_modules=True,
)
IN_ATTENTION = Column(
    "module",
    lambda inventory: inventory.attention_modules,
    lambda row: row.inventory.in_attention(row.owner),
    of_modules=True,
)
DEPTHWISE = Column(
    "module",
    lambda inventory: _modules_in(inventory, inventory.depthwise),
    lambda row: None if row.inventory.depthwise is None else row.owner in row.inventory.depthwise,
    of_modules=True,
)


COLUMNS: Mapping[str, Column] = {
    "leaf": LEAF,
    "path": PATH,
    "place": PLACE,
    "shape": SHAPE,
    "lazy": LAZY,
    "dtype": DTYPE,
    "tied": TIED,
    "dots": DOTS,
    "class": CLASS,
    "in_attention": IN_ATTENTION,
    "depthwise": DEPTHWISE,
}
"""What the rows of the vocabulary name."""


@record(eq=False)
class Attribute:
    """A value worked out from columns: `read` is given one entry of each, and nothing else."""

    columns: tuple[Column, ...]
    read: Callable[..., Value | None]
    of_modules: bool
    """Whether a module without parameters has it too."""

    @classmethod
    def of_columns(cls, names: Iterable[str], read: Callable[..., Value | None]) -> Attribute:
        """From the columns of these names."""
        columns = tuple(COLUMNS[name] for name in names)
        return cls(columns, read, all(column.of_modules for column in columns))

    def of(self, row: Row) -> Value | None:
        """The value for a row; None where it has none."""
        if row.parameter == NO_PARAMETER and not self.of_modules:
            return None
        return self.read(*[column.one(row) for column in self.columns])


READERS: Mapping[str, Attribute] = {
    **{word.name: Attribute.of_columns(word.columns, word.read) for word in ATTRIBUTE_WORDS if word.read},
    **{_MODULE_IS + word.name: Attribute.of_columns(word.columns, word.read) for word in FAMILY_WORDS},
}


def attribute(name: str) -> Attribute:
    """The row of the table for an attribute, or for a question such as `module is Conv2d`."""
    found = READERS.get(name)
    return _named(name.removeprefix(_MODULE_IS)) if found is None else found


@lru_cache(maxsize=1024)
def _named(word: str) -> Attribute:
    return Attribute.of_columns(("class",), lambda described: described.is_called(word))


def columns_of(names: Iterable[str]) -> tuple[Column, ...]:
    """What the values of some attributes depend on, each column once."""
    return tuple(dict.fromkeys(column for name in sorted(names) for column in attribute(name).columns))


def attributes_in(expression: s.Expression) -> tuple[str, ...]:
    """The attributes of a parameter that an expression asks for; of its module, the questions it asks."""
    found: set[str] = set()
    for node in names_in(expression):
        if isinstance(node, s.Name) and node.name in VALUES:
            found.add(node.name)
        elif isinstance(node, s.Subscript) and node.name == "shape":
            found.add("shape")
        elif isinstance(node, s.Is):
            of_module = isinstance(node.subject, s.Name) and node.subject.name == "module"
            found.add(f"{_MODULE_IS}{node.word}" if of_module else "dtype")
    return tuple(sorted(found))
