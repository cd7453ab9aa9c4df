"""Reading rule files from disk, with every way in which that can fail said plainly."""

from __future__ import annotations

from pathlib import Path

from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.frameless import Frameless
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import spelled_path
from layerlr_dsl.tools.resources import recipes_path

RECIPE = "recipe:"
MAX_BYTES = 64 * 1024 * 1024


class Unreadable(Frameless, OSError):
    """A file that cannot be read as a rule file; the message names it and says why."""


def recipes() -> dict[str, Path]:
    """The packaged recipes by name, the folder they lie in left out of it."""
    folder = recipes_path()
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.lr"))
    }


def recipe_path(name: str) -> Path:
    """The file of a packaged recipe. Raises UnknownRecipe with the nearest name."""
    known = recipes()
    if name in known:
        return known[name]
    near = nearest(name, known)
    raise UnknownRecipe(name, f"did you mean `{RECIPE}{near}`?" if near else "`layerlr recipes` lists them")


class UnknownRecipe(Unreadable):
    """A recipe that does not come with layerlr; `hint` names the nearest."""

    def __init__(self, name: str, hint: str) -> None:
        self.hint = hint
        super().__init__(f"no recipe is called `{name}`")


def read_source(path: Path, name: str | None = None) -> Source:
    """The text of a rule file. Raises Unreadable."""
    shown = spelled_path(path if name is None else name)
    try:
        if path.is_dir():
            raise Unreadable(f"{shown}: is a directory, not a rule file")
        if path.exists() and not path.is_file():
            raise Unreadable(f"{shown}: is not a regular file")
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable(f"{shown}: no such file") from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise Unreadable(f"{shown}: cannot be read: {reason}") from None
    return decode(data, shown, path)


def decode(data: bytes, name: str, path: Path | None = None) -> Source:
    """Bytes as a rule text. Raises Unreadable where they are not UTF-8 or too many."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{name}: is larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise Unreadable(
            f"{name}: is not UTF-8 text (byte {fault.start}, line {line}): save it as UTF-8"
        ) from None
    return Source(name, text, path)
