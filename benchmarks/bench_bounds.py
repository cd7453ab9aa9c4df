"""The worst rule files of 100,000 characters that are known, each of one kind, against ResNet-18.

python benchmarks/bench_bounds.py

Each is checked in a process of its own: processor seconds from the text to the findings, beside the 2
seconds that are the bound, and the most memory that the process ever held.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from time import process_time

from measure import Row, report

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

SIZE = 100_000
BOUND = 2.0
"""Seconds in which any file of that size is answered."""


def measured(kind: str) -> tuple[float, float]:
    """Seconds and MiB of one kind, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, kind], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def alone(kind: str) -> None:
    """Check one file and print seconds and MiB."""
    import layerlr_dsl as layerlr
    from layerlr_dsl.model.specs import inventory_of_spec
    from tests.worst_files import WORST

    text, model = WORST[kind](SIZE), inventory_of_spec("torchvision:resnet18")
    started = process_time()
    try:
        layerlr.parse(text).check(model)
    except layerlr.RuleError:
        pass  # refused, with findings: that is an answer too
    seconds = process_time() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def rows() -> list[Row]:
    from tests.worst_files import WORST

    found = []
    for kind in WORST:
        seconds, memory = measured(kind)
        what = f"a file of 100 KB full of {kind}, {memory:.0f} MiB"
        found.append(Row(what, seconds, BOUND, "the bound of 2 s", 1.0))
    return found


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        alone(sys.argv[1])
    else:
        report(rows())
