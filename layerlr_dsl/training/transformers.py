"""transformers: the `optimizers` of a Trainer, and a callback that reports metrics.

Trainer(model, args, train_dataset=data, optimizers=optimizers(rules, model, args, data), callbacks=[ReportMetrics()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerlr_dsl.training.trainer import LogRates, ReportMetrics, optimizers, run_length, steps_per_epoch

if TYPE_CHECKING:
    from layerlr_dsl.training.layer_trainer import LayerTrainer

__all__ = ["LayerTrainer", "LogRates", "ReportMetrics", "optimizers", "run_length", "steps_per_epoch"]


def __getattr__(name: str) -> Any:
    # Importing the Trainer imports torchvision where it is installed, which who only wants a callback need not pay.
    if name != "LayerTrainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from layerlr_dsl.training.layer_trainer import LayerTrainer

    return LayerTrainer
