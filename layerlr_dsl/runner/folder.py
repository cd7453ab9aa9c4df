"""The folder of a run: everything needed to know what was trained, how it went, and to go on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from layerlr_dsl.language.source import Source
from layerlr_dsl.runner import checkpoint
from layerlr_dsl.runner.about import ABOUT_FILE, About
from layerlr_dsl.runner.config import CONFIG_FILE, TrainConfig, stored, to_json
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.files import make_folder, write_text
from layerlr_dsl.runner.metrics import METRICS_FILE, TIMING_FILE, LineLog

PLAN_FILE, SUMMARY_FILE, RULES_FOLDER = "plan.json", "summary.json", "rules"


class RunFolder:
    """Writes the files of one run. Every method raises RunFailed where the disk says no."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = LineLog(path / METRICS_FILE)
        self.timing = LineLog(path / TIMING_FILE)

    def check_free(self) -> None:
        """Raise RunnerError if a run is in the folder already, or another program's configuration."""
        if any((self.path / name).exists() for name in (checkpoint.LAST, checkpoint.PREVIOUS)):
            raise RunnerError(
                f"--out {self.path} already holds a run", "go on with it by --resume, or give another folder"
            )
        if (self.path / CONFIG_FILE).exists():
            try:
                stored(self.path)
            except RunnerError as fault:
                raise RunnerError(
                    f"--out: {fault.message}", "give another folder: it would be lost"
                ) from None

    def describe(
        self, config: TrainConfig, sources: Sequence[Source], plan: Mapping[str, Any], about: About
    ) -> None:
        """Write the rules with their includes, the plan, the configuration, and what the model is and takes."""
        for name, text in rule_texts(sources).items():
            target = self.path / RULES_FOLDER / name
            make_folder(target.parent)
            write_text(target, text)
        write_text(self.path / PLAN_FILE, json.dumps(plan, indent=1, ensure_ascii=False) + "\n")
        write_text(self.path / ABOUT_FILE, about.to_json())
        write_text(self.path / CONFIG_FILE, to_json(config))

    def summarise(self, summary: Mapping[str, Any]) -> None:
        write_text(self.path / SUMMARY_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def rule_texts(sources: Sequence[Source]) -> dict[str, str]:
    """Every rule text by its path, relative to the folder that holds them all; the main file is first."""
    paths = [
        source.path.resolve() if source.path is not None else Path(source.name).resolve()
        for source in sources
    ]
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return {
        str(PurePosixPath(path.relative_to(common))): source.text
        for path, source in zip(paths, sources, strict=True)
    }
