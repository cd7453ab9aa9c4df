"""Which device a run uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.processes import Processes

if TYPE_CHECKING:
    import torch


def choose_device(name: str, place: Processes) -> torch.device:
    """The device that `name` asks for; `auto` is a GPU where there is one. Raises RunnerError."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RunnerError(f"--device {name}: no such device", "give cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        return _cuda(device, name, place)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RunnerError(f"--device {name}: this torch has no Metal support here")
    if device.type not in ("cpu", "mps"):
        raise RunnerError(f"--device {name}: layerlr train runs on cpu, cuda and mps")
    return device


def _cuda(device: torch.device, name: str, place: Processes) -> torch.device:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise RunnerError(f"--device {name}: torch sees no GPU here", "use --device cpu")
    index = place.local_rank if place.several else device.index
    if index is not None and index >= count:
        raise RunnerError(f"--device {name}: there is no GPU number {index}, torch sees {count}")
    return torch.device("cuda", index or 0)


def describe(device: torch.device) -> str:
    """What the device is called: `cpu, 2 threads` or the GPU's name."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s'[: threads > 1]}" if device.type == "cpu" else device.type
