"""`layerlr inspect SPEC`: a model's modules and parameters, and what a selector covers of them."""

from __future__ import annotations

import click

from layerlr_dsl.cli.checking import stated_inventory
from layerlr_dsl.cli.options import format_option
from layerlr_dsl.cli.terminal import Screen, write, write_json


@click.command("inspect")
@click.argument("spec", type=click.Path(readable=False), metavar="SPEC")
@click.option("--select", metavar="SELECTOR", help="Show what this selector covers.")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show no modules deeper than this.")
@click.option("--all", "every", is_flag=True, help="Repeat blocks that are built alike.")
@format_option("text", "json")
@click.option("-o", "--output", metavar="FILE", help="Write the inventory (names, classes, shapes) as JSON.")
def command(
    spec: str, select: str | None, depth: int | None, every: bool, form: str, output: str | None
) -> int:
    """Show a model's module tree: name, class, parameters with their shapes, ties.

    SPEC is torchvision:NAME(kwargs), timm:NAME(kwargs), hf:FOLDER, python:package.module:callable, or a
    stored inventory (*.json). Models are built without memory for their weights where they allow it.

    \b
    Examples:
        layerlr inspect torchvision:resnet18
        layerlr inspect torchvision:resnet18 --select "layer4.* where ndim > 1"
        layerlr inspect hf:./my-bert -o bert.json
    """
    from layerlr_dsl.cli.inspect_view import as_json
    from layerlr_dsl.cli.selecting import selected_rows

    inventory = stated_inventory(spec)
    chosen = frozenset(selected_rows(inventory, select)) if select is not None else None
    if output is not None:
        _save(inventory, output)
    if form == "json":
        write_json(as_json(inventory, chosen))
    elif output is None or chosen is not None:
        from layerlr_dsl.cli.render.tree import render

        write("\n".join(render(inventory, chosen, depth, every, Screen.of_stdout())))
    else:
        from layerlr_dsl.tools.words import count

        write(f"wrote {output}: {count(len(inventory), 'tensor')}")
    return 0


def _save(inventory: object, output: str) -> None:
    from layerlr_dsl.cli.files import write_output
    from layerlr_dsl.model.inventory import Inventory
    from layerlr_dsl.model.inventory_file import dumps

    assert isinstance(inventory, Inventory)
    write_output(output, dumps(inventory))
