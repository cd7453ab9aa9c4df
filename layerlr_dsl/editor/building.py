"""Builds the model that a rule file names and writes down its inventory, in a process of its own.

python -m layerlr_dsl.editor.building SPEC ROOT OUTPUT

Prints `{"message": ..., "help": ...}` and exits 1 where the model cannot be had.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.specs import inventory_of_spec


def main(spec: str, root: str, output: str) -> int:
    """Write the inventory of `spec`, which came from a file: nothing of the user's own code is run."""
    try:
        inventory = inventory_of_spec(spec, root=Path(root), allow_python=False)
        inventory.save(output)
    except ModelError as fault:
        sys.__stdout__.write(json.dumps({"message": fault.message, "help": fault.help}))  # type: ignore[union-attr]
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
