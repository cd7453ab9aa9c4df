"""The shape of an inventory's JSON, from which its published JSON Schema is made.

Columns, so that checking a million parameters is a few calls into pydantic's core and not a million.
Imported only where a file from outside is read: pydantic takes longer to import than the file to load.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import NotRequired, TypedDict

from layerlr_dsl.model.classes import Family

Row = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(max_length=1000)]
Segment = Annotated[str, Field(min_length=1, max_length=1000)]
Size = Annotated[int, Field(ge=0, le=2**63 - 1)]

_STRICT = ConfigDict(strict=True, extra="forbid")


@with_config(_STRICT)
class ModulesJson(TypedDict):
    """The module tree in pre-order, one entry a module and column; the first is the root."""

    parents: Annotated[
        list[Annotated[int, Field(ge=-1)]], Field(description="row of the parent; -1 for the root")
    ]
    segments: Annotated[list[Text], Field(description='last segment of the dotted name; "" for the root')]
    classes: Annotated[list[Row], Field(description="row in `classes`")]
    depthwise: NotRequired[
        Annotated[list[Row], Field(description="the depthwise convolutions; left out where not known")]
    ]
    statistics: NotRequired[
        Annotated[
            list[Row], Field(description="norms that keep running statistics; left out where not known")
        ]
    ]


@with_config(_STRICT)
class ClassJson(TypedDict):
    """A class of modules."""

    name: Text
    qualified: Text
    bases: Annotated[list[Text], Field(description="names of its base classes in resolution order")]
    families: list[Family]
    qualified_bases: NotRequired[
        Annotated[list[Text], Field(description="the base classes with their packages")]
    ]


@with_config(_STRICT)
class ParametersJson(TypedDict):
    """The parameters in `named_parameters()` order, one entry a parameter and column."""

    owners: Annotated[list[Row], Field(description="row of the module that owns it")]
    leaves: Annotated[list[Segment], Field(description="last segment of its dotted name")]
    shapes: Annotated[list[list[Size]], Field(description="[] also where a lazy module has not made it")]
    dtypes: Annotated[list[Text], Field(description='as torch spells it: "float32"')]
    requires_grad: list[bool]
    lazy: Annotated[list[Row], Field(description="rows of the parameters that have no shape yet")]


@with_config(_STRICT)
class AliasJson(TypedDict):
    """A further name of a tied parameter."""

    parameter: Annotated[Row, Field(description="row of the parameter")]
    owner: Annotated[Row, Field(description="row of the module that it is reached by")]
    leaf: Segment


@with_config(_STRICT)
class InventoryJson(TypedDict):
    """What a rule file can know of a model: names, classes, shapes and ties; no weights."""

    version: Literal[1]
    source: Annotated[Text, Field(description="the spec or class that it was made from")]
    modules: ModulesJson
    classes: list[ClassJson]
    parameters: ParametersJson
    aliases: list[AliasJson]
    order: NotRequired[
        Annotated[
            list[Row],
            Field(description="modules in the order in which they first run; left out where not known"),
        ]
    ]


ADAPTER: TypeAdapter[InventoryJson] = TypeAdapter(InventoryJson)


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an inventory file."""
    schema = ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
