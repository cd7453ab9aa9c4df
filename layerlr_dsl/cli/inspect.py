"""`layerlr inspect SPEC`: a model's modules and parameters, and what a selector covers of them."""

from __future__ import annotations

import json
from typing import Any

import click

from layerlr_dsl.cli.options import Models, format_option, models_of
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.resolving import stated_inventory
from layerlr_dsl.cli.terminal import Screen, write, write_json
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.inventory_file import dumps


@click.command("inspect")
@click.argument(
    "spec", type=click.Path(readable=False), nargs=-1, required=True, callback=models_of, metavar="SPEC..."
)
@click.option("--select", metavar="SELECTOR", help="Show what this selector covers.")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show no modules deeper than this.")
@click.option("--all", "every", is_flag=True, help="Repeat blocks that are built alike.")
@format_option("text", "json")
@click.option("-o", "--output", metavar="FILE", help="Write the inventory (names, classes, shapes) as JSON.")
def command(
    spec: Models, select: str | None, depth: int | None, every: bool, form: str, output: str | None
) -> int:
    """Show a model's module tree: name, class, parameters with their shapes, ties.

    SPEC is torchvision:NAME(kwargs), timm:NAME(kwargs), hf:FOLDER, python:package.module:callable, or a
    stored inventory (*.json). Models are built without memory for their weights where they allow it.
    Several under one plan are KEY=SPEC each, and their names begin with the key.

    \b
    Examples:
        layerlr inspect torchvision:resnet18
        layerlr inspect torchvision:resnet18 --select "layer4.* where ndim > 1"
        layerlr inspect hf:./my-bert -o bert.json
        layerlr inspect unet=unet.json text=bert.json
    """
    from layerlr_dsl.cli.selectors import selected_rows

    inventory = stated_inventory(spec)
    chosen = frozenset(selected_rows(inventory, select)) if select is not None else None
    if output is not None:
        write_output(output, dumps(inventory))
    if form == "json":
        write_json(as_json(inventory, chosen))
    elif output is None or chosen is not None:
        from layerlr_dsl.cli.render.tree import render

        write("\n".join(render(inventory, chosen, depth, every, Screen.of_stdout())))
    else:
        from layerlr_dsl.tools.numbers import plural

        write(f"wrote {output}: {plural(len(inventory), 'tensor')}")
    return 0


# ---------------------------------------------------------------- JSON


def as_json(inventory: Inventory, chosen: frozenset[int] | None) -> str:
    """The model tree as plain data; `selected` is only there where a selector was given."""
    modules = [
        {"name": inventory.module_name(row), "class": inventory.module_class(row).name}
        for row in range(len(inventory.module_parents))
    ]
    parameters = [_parameter(inventory, row, chosen) for row in range(len(inventory))]
    data: dict[str, Any] = {
        "version": 1,
        "source": inventory.source,
        "numel": inventory.total_numel,
        "modules": modules,
        "parameters": parameters,
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _parameter(inventory: Inventory, row: int, chosen: frozenset[int] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": inventory.names[row],
        "aliases": [alias.name for alias in inventory.aliases.get(row, ())],
        "module": inventory.module_name(inventory.owners[row]),
        "class": inventory.owner_class(row).name,
        "shape": None if row in inventory.lazy else list(inventory.shapes[row]),
        "dtype": inventory.dtypes[row],
        "numel": inventory.numel(row),
        "requires_grad": inventory.requires_grad[row],
    }
    if chosen is not None:
        described["selected"] = row in chosen
    return described
