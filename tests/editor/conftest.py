"""A server for a whole module of tests: starting one takes a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsp_client import Client
from small_models import mixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stored inventory, `m.json`."""
    folder = tmp_path_factory.mktemp("workspace")
    mixture().save(folder / "m.json")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    environment = {**os.environ, "LAYERLR_CACHE_DIR": str(folder / "cache")}
    client = Client(folder, environment)
    yield client
    assert client.close() == 0
