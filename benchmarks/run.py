"""Every benchmark in one go, and one table of what came out.

    make bench        # installs the peers in .bench-venv, then runs this there
    python benchmarks/run.py [--only NAME,...] [--no-scaling]

Each benchmark runs in a process of its own with one thread of torch; every row is a ratio of two times of
the same process, taken in turns. Progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from measure import Row, markdown

HERE = Path(__file__).parent
SUITE = ("resolve", "parse", "validate", "schedule", "optim", "features", "editor", "bounds")


def machine() -> str:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cores} cores of {platform.machine()}{load}; Python {platform.python_version()}, torch {torch.__version__}"


def measured(name: str) -> list[Row]:
    """The rows of one benchmark; none, and a word on standard error, where it fails."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / f"bench_{name}.py"), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(f"{name}: {time.monotonic() - started:.0f} s, status {done.returncode}", file=sys.stderr)
    if done.returncode:
        return []
    return [Row(**row) for row in json.loads(done.stdout.strip().splitlines()[-1])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SUITE), help="some of " + ", ".join(SUITE))
    parser.add_argument(
        "--no-scaling", action="store_true", help="leave the plots and the parts of a large model out"
    )
    given = parser.parse_args()
    chosen = given.only.split(",")
    found = {name: measured(name) for name in chosen}
    rows = [row for each in found.values() for row in each]
    print(f"{time.strftime('%Y-%m-%d')}, {machine()}\n")
    print(markdown(rows))
    if not given.no_scaling:
        print(flush=True)
        for name in ("scaling", "parts"):
            subprocess.run([sys.executable, "-W", "ignore", str(HERE / f"bench_{name}.py")], check=True)
            print(flush=True)
    return int(not all(found.values()))


if __name__ == "__main__":
    sys.exit(main())
