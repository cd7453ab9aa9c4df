"""What the runner's tests share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Results are compared bit for bit, and the tests share their machine."""
    torch.set_num_threads(1)
