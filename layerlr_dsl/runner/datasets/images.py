"""Images in folders, one folder a class, and the classification sets of torchvision."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.data import Data, Request, Wanted
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.datasets.split import split, without_test
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.libraries import library
from layerlr_dsl.runner.preparation import Preparation, read_image
from layerlr_dsl.tools.nearest import nearest

SIDE = 224
VALIDATION_FOLDERS = ("val", "valid", "validation")
TEST_FOLDER = "test"


def load_folder(text: str, request: Request) -> Data:
    """`PATH` with train/, val/ and test/ below it, or with one folder for each class.

    What is not there of val/ and test/ is split off the training images as `request` says.
    """
    path = Path(text).expanduser()
    if not path.is_dir():
        raise RunnerError(f"imagefolder:{text}: no such folder")
    name, train = f"imagefolder:{text}", path / "train"
    if not train.is_dir():
        return parted(name, Sets(_open_folder(path)), request, SIDE)
    held_out = next((path / name for name in VALIDATION_FOLDERS if (path / name).is_dir()), None)
    test = path / TEST_FOLDER if (path / TEST_FOLDER).is_dir() else None
    first = _open_folder(train)
    others = (None if part is None else _like(first, train, part) for part in (held_out, test))
    return parted(name, Sets(first, *others), request, SIDE)


def _like(first: Any, train: Path, part: Path) -> Any:
    """The set in the folder `part`, which must hold the classes of the `first`, that in `train`."""
    dataset = _open_folder(part)
    _check_same_classes(first.classes, dataset.classes, train, part)
    return dataset


def _open_folder(path: Path) -> Any:
    datasets = library("torchvision.datasets")
    if not any(entry.is_dir() for entry in path.iterdir()):
        raise RunnerError(
            f"{path} holds no class folders", "an image folder has one subfolder for each class"
        )
    try:
        return datasets.ImageFolder(str(path), loader=read_image)
    except (FileNotFoundError, PermissionError) as fault:
        if empty := _without_images(path, datasets.folder.IMG_EXTENSIONS):
            raise RunnerError(
                f"{path}: no images in {', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}",
                f"each folder is a class: put images there ({', '.join(datasets.folder.IMG_EXTENSIONS)}) or remove it",
            ) from None
        raise RunnerError(f"{path}: {str(fault).splitlines()[0]}") from None


def _without_images(path: Path, endings: Sequence[str]) -> list[str]:
    """The folders below `path` that hold no images at any depth."""
    return sorted(
        folder.name
        for folder in path.iterdir()
        if folder.is_dir() and not any(file.suffix.lower() in endings for file in folder.rglob("*"))
    )


def _check_same_classes(train: list[str], held_out: list[str], first: Path, second: Path) -> None:
    differ = sorted(set(train) ^ set(held_out))
    if differ:
        names = ", ".join(differ[:5]) + (", ..." if len(differ) > 5 else "")
        raise RunnerError(f"{first} and {second} hold different classes: {names} is in one only")


def load_named(text: str, request: Request) -> Data:
    """A classification set of torchvision, by its class name; downloaded once where there is a network."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", text, re.DOTALL)
    datasets = library("torchvision.datasets")
    known = list(datasets.__all__)
    if match is None or match[1] not in known:
        guess = nearest(match[1], known) if match else None
        raise RunnerError(
            f"torchvision has no data set {text!r}", f"did you mean torchvision:{guess}?" if guess else None
        )
    make = getattr(datasets, match[1])
    arguments = _literal_arguments(match[2] or "", text)
    name = f"torchvision:{text}"
    sets = (
        None if part is None else _construct(make, {**arguments, **part}, text) for part in _parts_of(make)
    )
    return parted(name, Sets(*sets), request, SIDE)


def _literal_arguments(text: str, spec: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
            raise ValueError
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (ValueError, SyntaxError, RecursionError):
        raise RunnerError(
            f"torchvision:{spec}: arguments must be written name=value, with plain values"
        ) from None


Choice = dict[str, Any]


def _parts_of(make: Callable[..., Any]) -> tuple[Choice, Choice | None, Choice | None]:
    """The arguments that choose the training, the validation and the test part, None for one that is not there."""
    if _takes(make, "train"):
        return {"train": True}, None, {"train": False}
    if not _takes(make, "split"):
        return {}, None, None
    documented = inspect.getdoc(make) or ""
    quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", documented))
    first = "trainval" if "trainval" in quoted and "train" not in quoted else "train"
    return (
        {"split": first},
        {"split": "val"} if "val" in quoted else None,
        {"split": "test"} if "test" in quoted or "val" not in quoted else None,
    )


def _takes(make: Callable[..., Any], name: str) -> bool:
    """Whether a data set has this argument; some only tell in their docs what they hand to their base."""
    return name in inspect.signature(make).parameters or f"{name} (bool" in (inspect.getdoc(make) or "")


def _construct(make: Callable[..., Any], arguments: dict[str, Any], text: str) -> Any:
    if _takes(make, "root"):
        arguments = {"root": str(_store()), **arguments}
    if _takes(make, "download"):
        arguments = {"download": True, **arguments}
    try:
        return make(**arguments)
    except (TypeError, ValueError) as fault:
        raise RunnerError(f"torchvision:{text}: {fault}") from None
    except (OSError, RuntimeError) as fault:
        reason = " ".join(str(fault).split())[:300] or type(fault).__name__
        if not _takes(make, "download"):
            raise RunnerError(f"torchvision:{text}: {reason}") from None
        raise RunnerError(
            f"torchvision:{text} could not be downloaded: {reason}",
            f"with no network, put the files under {_store()} by hand, or use imagefolder:PATH or digits",
        ) from None


def _store() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("layerlr")) / "data"


@dataclass(frozen=True, slots=True)
class Sets:
    """Data sets of (image, target) pairs; those that are None are split off the first."""

    train: Any
    validation: Any = None
    test: Any = None


def parted(name: str, sets: Sets, request: Request, side: int) -> Data:
    """The parts of `sets`, or of its first, prepared as images of `side` pixels where the model takes any."""
    from torch.utils.data import default_collate

    classes = getattr(sets.train, "classes", None)
    preparation = _preparation(request.wanted, side)
    prepared: dict[str, Any] = {}
    for part, (dataset, indices) in _indices(name, sets, request).items():
        augment = request.augment and part == "train"
        prepared[part] = Prepared(
            name, dataset, indices, preparation.transform(augment=augment), seeded=augment
        )
    train = prepared["train"]
    return Data(
        name,
        train,
        prepared["validation"],
        collate=default_collate,
        classes=len(classes) if classes is not None else None,
        varies="the images are augmented" if request.augment else None,
        test=prepared.get("test"),
        class_names=tuple(map(str, classes)) if classes is not None else None,
        labels=lambda: _chosen(_labels(sets.train, name), train.indices),
        preparation=preparation,
    )


def _indices(name: str, sets: Sets, request: Request) -> dict[str, tuple[Any, Sequence[int]]]:
    """Which samples of which set make each part."""
    first, validation, test = sets.train, sets.validation, sets.test
    if validation is not None and (test is not None or not request.test):
        parts = {"train": _all(first), "validation": _all(validation)}
        return parts if test is None else {**parts, "test": _all(test)}
    labels = _labels(first, name) if request.stratified else [0] * len(first)
    if validation is not None:
        rest, last = without_test(labels, request)
        return {"train": (first, rest), "validation": _all(validation), "test": (first, last)}
    train, held_out, own = split(labels, request, test=test is None)
    parts = {"train": (first, train), "validation": (first, held_out)}
    if test is not None:
        return {**parts, "test": _all(test)}
    return parts if own is None else {**parts, "test": (first, own)}


def _all(dataset: Any) -> tuple[Any, Sequence[int]]:
    return dataset, range(len(dataset))


def _chosen(labels: Sequence[int], indices: Sequence[int]) -> list[int]:
    return [labels[index] for index in indices]


def _labels(dataset: Any, name: str) -> list[int]:
    try:
        for attribute in ("targets", "labels", "_labels"):
            labels = getattr(dataset, attribute, None)
            if labels is not None and len(labels) == len(dataset):
                return [int(label) for label in labels]
        return [int(dataset[i][1]) for i in range(len(dataset))]
    except RunnerError:
        raise
    except Exception as fault:
        raise RunnerError(
            f"{name} is no classification set: {type(fault).__name__} {fault}".rstrip()
        ) from None


def _preparation(wanted: Wanted, side: int) -> Preparation:
    return Preparation(wanted.side(side), tuple(wanted.mean), tuple(wanted.std))
