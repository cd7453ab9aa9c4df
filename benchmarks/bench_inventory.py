"""What an inventory costs, beside `list(model.named_parameters())` of the same model in the same run.

python benchmarks/bench_inventory.py
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from models import mixture

from layerlr_dsl.model import Inventory
from layerlr_dsl.model.specs import build

MODELS = {
    "ResNet-18": (lambda: build("torchvision:resnet18", meta=True), 300),
    "ViT-B/16": (lambda: build("torchvision:vit_b_16", meta=True), 300),
    "100,000 parameters": (mixture, 9),
}


def best_of(rounds: int, *functions: Callable[[], Any]) -> list[float]:
    """The shortest time of each function, in seconds, the functions taking turns."""
    times = [float("inf")] * len(functions)
    gc.collect()
    for _ in range(rounds):
        for place, function in enumerate(functions):
            start = perf_counter()
            kept = function()
            times[place] = min(times[place], perf_counter() - start)
            del kept
    return times


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'model':20} {'tensors':>8} {'named_parameters':>17} {'Inventory.of':>13} {'ratio':>6}")
    for name, (make, rounds) in MODELS.items():
        model = make()
        floor, ours = best_of(
            rounds, lambda m=model: list(m.named_parameters()), lambda m=model: Inventory.of(m)
        )
        tensors = len(Inventory.of(model))
        print(f"{name:20} {tensors:8} {floor * 1e3:14.3f} ms {ours * 1e3:10.3f} ms {ours / floor:6.2f}")


if __name__ == "__main__":
    main()
