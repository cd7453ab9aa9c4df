"""`layerlr validate rules` beside the bare imports, and the first time, when no model is remembered.

python benchmarks/bench_validate.py

Processor seconds of whole processes, the least of several, in turns. Both sides run from bytecode, as what
is installed does, whatever the environment says of writing it. The bound was set when `rules` had the fifteen
files of `FIFTEEN`; they are measured by themselves too, so that it keeps its meaning as files are added.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, report

ROUNDS = 9
RULES = Path(__file__).parent.parent / "rules"
VALIDATE = ["-m", "layerlr_dsl", "validate", str(RULES)]
ONE = ["-m", "layerlr_dsl", "validate", str(RULES / "resnet18.lr")]
FIFTEEN = [
    "bert_layer_decay",
    "bitfit",
    "convnext_layer_decay",
    "efficientnet_lite0_digits",
    "gradual_unfreezing",
    "lora_plus",
    "lp_ft",
    "mobilenet_v3",
    "muon_adamw",
    "resnet18",
    "surgical",
    "swin_layer_decay",
    "ulmfit",
    "vit_b_16",
    "vit_layer_decay",
]
SIDES = {
    "validate": VALIDATE,
    "fifteen": ["-m", "layerlr_dsl", "validate", *(str(RULES / f"{name}.lr") for name in FIFTEEN)],
    "one": ONE,
    "imports": ["-c", "import click, lark, pydantic"],
}


def processor_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    """User and system time of one process that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "LAYERLR_CACHE_DIR": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        first = processor_seconds(VALIDATE, environment)
        least = dict.fromkeys(SIDES, math.inf)
        for _ in range(ROUNDS):
            for name, arguments in SIDES.items():
                least[name] = min(least[name], processor_seconds(arguments, environment))
    floor = "import click, lark, pydantic"
    files = sum(1 for _ in RULES.rglob("*.lr"))
    return [
        Row("layerlr validate, one file, warm", least["one"], least["imports"], floor, 2.0),
        Row(
            "layerlr validate, the fifteen files of the bound, warm",
            least["fifteen"],
            least["imports"],
            floor,
            2.0,
        ),
        Row(f"layerlr validate rules, warm: {files} files", least["validate"], least["imports"], floor, 2.0),
        Row("the same for the first time: models built", first, least["imports"], floor),
    ]


if __name__ == "__main__":
    report(rows())
