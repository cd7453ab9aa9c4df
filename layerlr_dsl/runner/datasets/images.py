"""Images in folders, one folder a class, and the classification sets of torchvision."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.data import Data, Request, Wanted
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.datasets.split import stratified
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.libraries import library
from layerlr_dsl.tools.nearest import nearest

SIDE = 224
VALIDATION_FOLDERS = ("val", "valid", "validation", "test")


def load_folder(text: str, request: Request) -> Data:
    """`PATH` with train/ and val/ below it, or with one folder for each class, split by `request`."""
    path = Path(text).expanduser()
    if not path.is_dir():
        raise RunnerError(f"imagefolder:{text}: no such folder")
    train = path / "train"
    if not train.is_dir():
        return _one_set(f"imagefolder:{text}", _open_folder(path), request, SIDE)
    held_out = next((path / name for name in VALIDATION_FOLDERS if (path / name).is_dir()), None)
    if held_out is None:
        return _one_set(f"imagefolder:{text}", _open_folder(train), request, SIDE)
    sets = (_open_folder(train), _open_folder(held_out))
    _check_same_classes(sets[0].classes, sets[1].classes, train, held_out)
    return _two_sets(f"imagefolder:{text}", sets, request, SIDE)


def _open_folder(path: Path) -> Any:
    datasets = library("torchvision.datasets")
    if not any(entry.is_dir() for entry in path.iterdir()):
        raise RunnerError(
            f"{path} holds no class folders", "an image folder has one subfolder for each class"
        )
    try:
        return datasets.ImageFolder(str(path), loader=_read_image)
    except (FileNotFoundError, PermissionError) as fault:
        raise RunnerError(f"{path}: {str(fault).splitlines()[0]}") from None


def _read_image(path: str) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError) as fault:
        raise RunFailed(f"{path} cannot be read as an image: {fault}") from None


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
    parts = _parts_of(make)
    if parts is None:
        return _one_set(name, _construct(make, arguments, text), request, SIDE)
    train, held_out = (_construct(make, {**arguments, **part}, text) for part in parts)
    return _two_sets(name, (train, held_out), request, SIDE)


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


def _parts_of(make: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The arguments that choose the training and the test part, or None where the set has only one."""
    if _takes(make, "train"):
        return {"train": True}, {"train": False}
    if not _takes(make, "split"):
        return None
    documented = inspect.getdoc(make) or ""
    quoted = set(re.findall(r"[\"'`](\w+)[\"'`]", documented))
    first = "trainval" if "trainval" in quoted and "train" not in quoted else "train"
    return {"split": first}, {"split": "val" if "val" in quoted else "test"}


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


def _one_set(name: str, dataset: Any, request: Request, side: int) -> Data:
    try:
        labels = _labels(dataset)
    except RunnerError:
        raise
    except Exception as fault:
        raise RunnerError(
            f"{name} is no classification set: {type(fault).__name__} {fault}".rstrip()
        ) from None
    train, held_out = stratified(labels, request.validation, request.seed)
    return _data(name, (dataset, train), (dataset, held_out), request, side)


def _two_sets(name: str, sets: tuple[Any, Any], request: Request, side: int) -> Data:
    first, second = ((dataset, range(len(dataset))) for dataset in sets)
    return _data(name, first, second, request, side)


def _labels(dataset: Any) -> list[int]:
    for attribute in ("targets", "labels", "_labels"):
        labels = getattr(dataset, attribute, None)
        if labels is not None and len(labels) == len(dataset):
            return [int(label) for label in labels]
    return [int(dataset[i][1]) for i in range(len(dataset))]


def _data(name: str, train: tuple[Any, Any], held_out: tuple[Any, Any], request: Request, side: int) -> Data:
    from torch.utils.data import default_collate

    classes = getattr(train[0], "classes", None)
    plain = _transform(request.wanted, side, augment=False)
    return Data(
        name,
        Prepared(name, *train, _transform(request.wanted, side, request.augment), seeded=request.augment),
        Prepared(name, *held_out, plain, seeded=False),
        collate=default_collate,
        classes=len(classes) if classes is not None else None,
        varies="the images are augmented" if request.augment else None,
    )


def _transform(wanted: Wanted, side: int, augment: bool) -> Callable[[Any], Any]:
    transforms = library("torchvision.transforms")
    size = wanted.side(side)
    if augment:
        shape = [transforms.RandomResizedCrop(size, scale=(0.5, 1.0)), transforms.RandomHorizontalFlip()]
    else:
        shape = [transforms.Resize(size), transforms.CenterCrop(size)]
    numbers = [transforms.ToTensor(), transforms.Normalize(wanted.mean, wanted.std)]
    return transforms.Compose([_three_channels, *shape, *numbers])  # type: ignore[no-any-return]


def _three_channels(image: Any) -> Any:
    return image.convert("RGB")
