"""Settings of all tests; its folder is on the path, so every test can import `strategies` and `writing`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from layerlr_dsl.catalogue import other_packages

# Other work on the machine must not turn a slow example into a failure.
settings.register_profile("layerlr", deadline=None)
settings.load_profile("layerlr")

# A shell without job control starts what it puts into the background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package that registers an optimizer: its name, and where its class is (`module:Class`)."""

    def register(name: str, target: str) -> None:
        about = tmp_path / "somebodys-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{other_packages.ENTRY_POINTS}]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        _forget()

    yield register
    _forget()


def _forget() -> None:
    for looked_up in (other_packages.find, other_packages.read, other_packages._entry_points):
        looked_up.cache_clear()
