"""Writes the extension of the editor Zed: `python -m layerlr_dsl.editor.zed FOLDER`.

Zed takes a grammar from a git repository alone, so the folder holds one beside the extension. Installed with
"zed: install dev extension".
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from layerlr_dsl.editor.colours import zed_query
from layerlr_dsl.editor.treesitter import grammar_folder

_AS = ("-c", "user.name=layerlr", "-c", "user.email=layerlr@localhost")


def write(target: Path) -> Path:
    """Write the extension into `target`, a new folder or an empty one. Raises OSError."""
    folder = grammar_folder()
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise FileExistsError(0, "is not empty", str(target))
    shutil.copytree(folder / "zed", target, dirs_exist_ok=True)
    (target / "languages" / "layerlr" / "highlights.scm").write_text(zed_query(), encoding="utf-8")
    repository = (target / "grammar").resolve()
    revision = _committed(folder, repository)
    manifest = target / "extension.toml"
    place = f"repository = {json.dumps(repository.as_uri())}\nrev = {json.dumps(revision)}\n"
    manifest.write_text(
        manifest.read_text(encoding="utf-8") + "\n[grammars.layerlr]\n" + place, encoding="utf-8"
    )
    return target


def _committed(folder: Path, repository: Path) -> str:
    """The grammar as a git repository, and its one commit."""
    shutil.copytree(folder / "src", repository / "src")
    shutil.copy(folder / "grammar.js", repository)
    for command in (("init", "-q"), ("add", "."), (*_AS, "commit", "-q", "-m", "The grammar")):
        _git(repository, *command)
    return _git(repository, "rev-parse", "HEAD").strip()


def _git(repository: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m layerlr_dsl.editor.zed FOLDER\n")
        return 2
    try:
        written = write(Path(arguments[0]))
    except FileNotFoundError as fault:
        sys.stderr.write(f"{fault.filename}: not found; Zed takes grammars from git\n")
        return 2
    except OSError as fault:
        sys.stderr.write(f"{arguments[0]}: {fault.strerror or fault}\n")
        return 2
    except subprocess.CalledProcessError as fault:
        sys.stderr.write(f"git: {fault.stderr.strip()}\n")
        return 2
    sys.stdout.write(f"wrote {written}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
