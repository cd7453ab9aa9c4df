"""The page of the architecture is true: its rooms are those of the package, and every "add a ..." does what it says.

Each recipe is followed in a copy of the package, as the page has it: changes are made, files written, and
commands run with the copy in the place of the package.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import MAY_IMPORT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
_, *_PARTS = re.split(r"^## (Add [a-z ]+)$", PAGE, flags=re.M)
RECIPES = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))
_ROW = re.compile(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", re.M)
_FENCE = re.compile(
    r'^(?P<fence>```+)(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^(?P=fence)$', re.M | re.S
)
PROGRAMS = {
    "layerlr": ["-m", "layerlr_dsl"],
    "pytest": ["-m", "pytest", "-n0", "-p", "no:cacheprovider"],
    "python": [],
}


def test_the_page_has_every_room_and_what_it_may_import() -> None:
    """The table, and the picture that is drawn from it, is the one that the test of the flow holds."""
    rooms = [(name, set(re.findall(r"\w+", below))) for name, below in _ROW.findall(PAGE)]
    assert rooms == list(MAY_IMPORT.items())


def test_every_module_that_the_page_names_is_there() -> None:
    """`plan.course`, `cli/app.py` and `language/check_*.py` all lead somewhere."""
    prose = _FENCE.sub("", PAGE)
    paths = re.findall(r"`([\w./*]+\.(?:py|json))`", prose)
    modules = re.findall(rf"`((?:{'|'.join(MAY_IMPORT)})\.\w+)(?:\.\w+)*`", prose)
    paths += [f"{name.replace('.', '/')}.py" for name in modules]
    package = ROOT / "layerlr_dsl"
    places = (ROOT, package, package / "catalogue")
    assert [
        path
        for path in paths
        if not any([*place.glob(path)] or (place / path[:-3]).is_dir() for place in places)
    ] == []


@pytest.fixture(scope="module", autouse=True)
def _models_are_built_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERLR_CACHE_DIR", str(tmp_path_factory.mktemp("inventories")))
        yield


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout to change: the package is a copy, what lies beside it is looked at only."""
    package = tmp_path / "layerlr_dsl"
    shutil.copytree(ROOT / "layerlr_dsl", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "editors", tmp_path / "editors")
    for name in ("rules", "grammar", "tests", "docs", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_followed_to_the_letter_does_what_it_shows(title: str, copy: Path) -> None:
    """Nothing else needs to be touched."""
    done = 0
    for found in _FENCE.finditer(RECIPES[title]):
        if found["language"] == "diff":
            _change(copy / found["title"], found["body"])
        elif found["language"] == "console":
            done += sum(_ran_as_shown(copy, *shown) for shown in _commands(found["body"]))
        else:
            (copy / found["title"]).write_text(found["body"], encoding="utf-8")
    assert done >= 1


def _change(path: Path, difference: str) -> None:
    """Make a change that stands at exactly one place of a file."""
    lines = difference.splitlines(keepends=True)
    old = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
    new = "".join(line[1:] for line in lines if not line.startswith("-"))
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path.name}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def _commands(body: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        command, _, wanted = part.partition("\n")
        yield command, wanted


def _ran_as_shown(copy: Path, command: str, wanted: str) -> bool:
    program, *arguments = shlex.split(command)
    here = {
        "PYTHONPATH": str(copy),
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    ran = subprocess.run(
        [sys.executable, *PROGRAMS[program], *arguments],
        cwd=copy,
        env=os.environ | here,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    printed = ran.stdout + ran.stderr
    assert "Traceback" not in printed
    assert program == "layerlr" or ran.returncode == 0, f"$ {command}\n{printed}"
    assert re.fullmatch(_pattern(wanted), printed), f"$ {command}\n{printed}"
    return True


def _pattern(wanted: str) -> str:
    """What was shown, where a line `...` stands for any lines, and `...` within one for any characters."""
    lines = (
        r"(?:.*\n)*?" if line == "..." else r".*?".join(map(re.escape, line.split("..."))) + r"[ ]*\n"
        for line in wanted.splitlines()
    )
    return "".join(lines)
