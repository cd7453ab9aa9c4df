"""What is left when a run is over: figures, and a picture of the plan."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.metrics import finite
from layerlr_dsl.runner.progress import Progress
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.tools.version import __version__

if TYPE_CHECKING:
    from layerlr_dsl.api import Plan


def summary(config: TrainConfig, progress: Progress, task: Task, facts: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run as plain data; `facts` are added as they are."""
    import torch

    return {
        "version": 1,
        "epochs": progress.epoch,
        "steps": progress.total,
        "skipped_steps": progress.skipped,
        "metric": task.metric.name,
        **{f"val_{name}": finite(value) for name, value in progress.val_metrics.items()},
        "val_loss": None if progress.val_loss is None else finite(progress.val_loss),
        f"best_val_{task.metric.name}": None if progress.best is None else finite(progress.best),
        "best_epoch": progress.best_epoch,
        "seconds": round(progress.seconds, 3),
        "precision": config.precision,
        "seed": config.seed,
        **facts,
        "versions": {"layerlr": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def write_plot(plan: Plan, title: str, folder: Path, fired: Mapping[int, int]) -> Path | None:
    """Draw learning rates and freezing over the run into `folder`: a PNG, or without matplotlib a page.

    `fired` gives the tick at which each metric condition came true. Returns the file, or None where it could not be written.
    """
    try:
        from layerlr_dsl.plots import picture
        from layerlr_dsl.plots.chart import of_groups
        from layerlr_dsl.plots.figure import draw

        path, data = folder / "plan.png", draw(of_groups(picture(plan, title, fired)))
    except ImportError:
        from layerlr_dsl.plots.html import draw as draw_page
        from layerlr_dsl.plots.network import drawing

        path, data = folder / "plan.html", draw_page(drawing(plan, title, fired)).encode()
    try:
        write_atomically(path, data)
    except OSError:
        return None
    return path
