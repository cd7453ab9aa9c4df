from __future__ import annotations

import pytest

from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import inventory_of_spec


@pytest.fixture(scope="session")
def resnet18() -> Inventory:
    return inventory_of_spec("torchvision:resnet18", root=None, allow_python=False)
