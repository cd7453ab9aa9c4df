"""Every test runs in an empty folder, with models remembered in a folder of the session's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def remembered_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remembered")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered_models: Path) -> Path:
    """The working directory, empty; nothing of the caller's terminal or cache shows through."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "LAYERLR_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(remembered_models))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(empty_folder: Path) -> Callable[..., Path]:
    """Writes a file into the empty folder."""

    def writes(name: str, content: str | bytes) -> Path:
        path = empty_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writes
