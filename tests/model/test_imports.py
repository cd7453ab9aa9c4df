"""What may be imported by whom: the inventory is on the side without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".inventory",
        ".inventory_file",
        ".walk",
        ".live",
        ".classes",
        ".spec_syntax",
        ".specs",
        ".inventory_cache",
        ".schema",
    ],
)
def test_the_model_side_imports_no_torch(module):
    """Importing it brings in neither torch nor a library of models; only the schema needs pydantic."""
    code = (
        f"import sys, layerlr_dsl.model{module}\n"
        "print(*{'torch', 'torchvision', 'timm', 'transformers', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == (["pydantic"] if module == ".schema" else [])


def test_a_stored_inventory_is_loaded_without_torch(tmp_path):
    """Reading and checking a file from outside needs pydantic and nothing heavier."""
    from torch import nn

    from layerlr_dsl.model import Inventory

    Inventory.of(nn.Linear(2, 2)).save(tmp_path / "model.json")
    code = (
        "import sys\nfrom layerlr_dsl.model import Inventory\n"
        f"print(len(Inventory.load({str(tmp_path / 'model.json')!r})), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
