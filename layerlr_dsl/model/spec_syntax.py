"""Model specs: the text that says which model is meant, and what may stand in it.

    torchvision:NAME(keyword=literal, ...)    timm:NAME(keyword=literal, ...)
    hf:FOLDER    python:package.module:callable(keyword=literal, ...)    inventory.json

Reading a spec imports no library and runs nothing.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import shown
from layerlr_dsl.tools.records import record

Kind = Literal["torchvision", "timm", "hf", "python", "inventory"]

_LONGEST = 2000
_FORMS = "torchvision:NAME, timm:NAME, hf:FOLDER, python:package.module:callable or a path ending in .json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_KEY = re.compile(r"[^\W\d]\w*")
_BRINGS_WEIGHTS = re.compile(r"(pretrained|weights|checkpoint|hub)(_.*)?|cache_dir|trust_remote_code")


@record
class Spec:
    """A spec that was read: `name` is an architecture, `package.module:callable`, or "" where `path` says it."""

    kind: Kind
    name: str
    arguments: tuple[tuple[str, object], ...] = ()
    path: Path | None = None
    given: str = ""

    @property
    def text(self) -> str:
        """One canonical spelling; arguments in alphabetical order."""
        if self.path is not None:
            return self.given
        arguments = ", ".join(f"{key}={value!r}" for key, value in sorted(self.arguments))
        return f"{self.kind}:{self.name}" + (f"({arguments})" if arguments else "")

    def __str__(self) -> str:
        return shown(self.text)


def parse_spec(spec: str, *, root: Path | None = None, allow_python: bool = False) -> Spec:
    """Read a spec and check what may be checked without building it. Raises ModelError."""
    if len(spec) > _LONGEST:
        raise ModelError(f"this model spec is longer than {_LONGEST} characters")
    text = spec.strip()
    kind, colon, rest = text.partition(":")
    if not colon or kind not in get_args(Kind) or kind == "inventory":
        if text.endswith(".json"):
            path = _path(text, root, allow_python)
            if (keyed := _keyed(text)) is not None and not path.exists():
                raise keyed
            return Spec("inventory", "", path=path, given=text)
        raise _unknown_form(text, kind if colon else "")
    if kind == "hf":
        if not rest:
            raise ModelError("hf: needs the folder that holds config.json", "write hf:FOLDER")
        return Spec("hf", "", path=_path(rest, root, allow_python), given=text)
    if kind == "python" and not allow_python:
        raise ModelError(
            "a rule file cannot name a python: model, since that would run code",
            "leave the model out of the file and give it on the command line: --model " + shown(text, 80),
        )
    name, arguments = _split_call(rest, text)
    _check_name(kind, name, text)
    if kind != "python":
        arguments = _without_weights(arguments)
    return Spec(kind, name, tuple(sorted(arguments.items())))  # type: ignore[arg-type]


def located(spec: str, beside: Path | None, root: Path | None) -> str:
    """A spec of a rule file whose path lies beside the file, spelled from the root; any other as it is.

    So paths of models are looked up as those of includes are: beside the file, then in the root.
    """
    text = spec.strip()
    path = text.removeprefix("hf:")
    if beside is None or root is None or not (path != text or text.endswith(".json")):
        return spec
    try:
        found, inside = (beside / path).resolve(), root.resolve()
        near = found.exists() and found.is_relative_to(inside) and beside.resolve() != inside
    except (OSError, ValueError, RuntimeError):
        return spec
    return f"{text[: len(text) - len(path)]}{found.relative_to(inside)}" if near else spec


def file_of(spec: str, root: Path | None) -> Path | None:
    """The file that a model's shape is read from, whether it exists or not; None for one that code builds."""
    text = spec.strip()
    folder = text.removeprefix("hf:")
    if folder != text:
        return (root or Path()) / folder / "config.json"
    return (root or Path()) / text if text.endswith(".json") else None


def _keyed(text: str) -> ModelError | None:
    """What is wrong with `KEY=SPEC` where no key belongs; None for anything else."""
    key, equals, bare = text.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return None
    return ModelError(
        f"`{shown(key, 80)}=` names one of several models under one plan, and only one can be given here",
        f"write `{shown(bare, 80)}` without the key; several go as one module that has them as attributes "
        f"(`self.{shown(key, 80)}`, so that the names stay as they are) and calls them, given as `python:MODULE:CLASS`",
    )


def _unknown_form(text: str, kind: str) -> ModelError:
    if (keyed := _keyed(text)) is not None:
        return keyed
    meant = nearest(kind, ("torchvision", "timm", "hf", "python")) if kind else None
    if meant:
        rest = text.partition(":")[2]
        return ModelError(
            f"unknown kind of model `{shown(kind)}`", f"did you mean `{meant}:{shown(rest, 80)}`?"
        )
    help = f"write {_FORMS}"
    if not kind and _NAME.fullmatch(text.partition("(")[0]):
        help = f"did you mean `torchvision:{shown(text, 80)}`? The forms are {_FORMS}"
    return ModelError(f"`{shown(text, 80)}` is no model spec", help)


def _check_name(kind: str, name: str, text: str) -> None:
    if kind == "python":
        if not _CALLABLE.fullmatch(name):
            raise ModelError(f"`{shown(text)}` names no callable", "write python:package.module:callable")
    elif name.startswith(("hf-hub", "hf_hub", "local-dir")) or "/" in name:
        raise ModelError(
            f"`{shown(text)}`: models from a hub or a folder cannot be named here",
            f"write {kind}:NAME with one of the library's own names, or hf:FOLDER",
        )
    elif not _NAME.fullmatch(name):
        raise ModelError(f"`{shown(name)}` is no name of a model", f"write {kind}:NAME(keyword=value)")


def _path(text: str, root: Path | None, anywhere: bool) -> Path:
    base = Path.cwd() if root is None else root
    try:
        inside = base.resolve()
        path = (base / text).resolve()
    except (OSError, ValueError, RuntimeError):
        raise ModelError(f"`{shown(text)}` is no path") from None
    if not anywhere and not path.is_relative_to(inside):
        raise ModelError(
            f"`{shown(text)}` lies outside {shown(str(base))}",
            "a rule file may only name what lies inside the rules root; give other models with --model",
        )
    return path


# ---------------------------------------------------------------- arguments


def _split_call(rest: str, text: str) -> tuple[str, dict[str, object]]:
    name, bracket, inside = rest.partition("(")
    if not bracket:
        return name.strip(), {}
    if not inside.endswith(")"):
        raise ModelError(f"`{shown(text)}`: the bracket is not closed", "write NAME(keyword=value, ...)")
    return name.strip(), _arguments(inside[:-1], text)


def _arguments(inside: str, text: str) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for keyword in _keywords(inside):
        if keyword is None or keyword.arg is None or keyword.arg in arguments:
            raise ModelError(
                f"`{shown(text)}`: arguments are keyword=literal, separated by commas, each keyword once",
                "such as num_classes=10",
            )
        try:
            arguments[keyword.arg] = _literal(keyword.value, 0)
        except ValueError:
            raise ModelError(
                f"`{shown(text)}`: the value of `{shown(keyword.arg)}` is not a literal",
                "write a number, a string, True, False, None, a list, a tuple or a dict",
            ) from None
    return arguments


def _keywords(inside: str) -> Sequence[ast.keyword | None]:
    """The keywords of a call's arguments; None stands for what is not a keyword."""
    try:
        with warnings.catch_warnings():  # Python warns of odd escapes in strings
            warnings.simplefilter("ignore")
            call = ast.parse(f"f({inside})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [None]
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        return [None]
    return call.keywords


def _without_weights(arguments: dict[str, object]) -> dict[str, object]:
    """The arguments less those that say `no weights`. Raises ModelError if one asks for some."""
    kept = {}
    for name, value in arguments.items():
        if not _BRINGS_WEIGHTS.fullmatch(name):
            kept[name] = value
        elif value:
            raise ModelError(
                f"`{shown(name)}` is refused: a model spec gives names and shapes, never weights",
                "leave it out; `layerlr train` loads weights with --weights",
            )
    return kept


def _literal(node: ast.expr, depth: int) -> object:
    """The value of a literal. Raises ValueError for anything that would have to be computed."""
    if depth > 20:
        raise ValueError
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = node.operand
        if isinstance(operand, ast.Constant) and type(operand.value) in (int, float):
            return -operand.value  # type: ignore[operator]
    if isinstance(node, ast.Tuple):
        return tuple(_literal(item, depth + 1) for item in node.elts)
    if isinstance(node, ast.List):
        return [_literal(item, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict):
        items = zip(node.keys, node.values, strict=True)
        return {
            _text(None if key is None else _literal(key, depth + 1)): _literal(value, depth + 1)
            for key, value in items
        }
    raise ValueError


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError
    return key
