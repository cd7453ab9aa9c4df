"""`make effect`: the study, from packages to RESULTS.md. Ctrl-C ends it, and the same command goes on.

PYTHONPATH=benchmarks python -m effect [--full] [--tasks NAME,...] [--arms NAME,...] [--jobs N] [--report]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from effect.arms import STUDY
from effect.record import TRIALS

HERE = Path(__file__).parent


def main() -> int:
    given = _arguments()
    if given.worker:
        return _work(given)
    if given.go_on:
        take_over(given.to / TRIALS, given.cache / TRIALS)
    if not given.report:
        status = _workers(given)
        if status:
            return status
    from effect.report import write

    print(f"results: {write(given.cache, given.to)}")
    if given.to == HERE:
        _advise()
    return 0


def _advise() -> None:
    """Have starters, recipes and docs say what the results say."""
    from effect import advice

    for path in advice.write(HERE):
        print(f"brought up to date: {path.relative_to(advice.ROOT)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="effect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the parts that the core leaves out too")
    parser.add_argument("--tasks", default="", help="some tasks only, by name")
    parser.add_argument("--arms", default="", help="some arms only, by name")
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each (default: 2)")
    parser.add_argument(
        "--go-on", action="store_true", help="begin with the trials that the results came with"
    )
    parser.add_argument(
        "--report", action="store_true", help="train nothing, write the results of what is there"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/effect"), help="packages, data and trials")
    parser.add_argument("--to", type=Path, default=HERE, help="where RESULTS.md and its pictures go")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for option, of in (("tasks", "task"), ("arms", "arm")):
        known = {getattr(unit, of).name for unit in STUDY.units(("core", "full"))}
        if odd := [name for name in filter(None, getattr(given, option).split(",")) if name not in known]:
            parser.error(f"--{option}: there is no {odd[0]!r}; there are {', '.join(sorted(known))}")
    return given


def take_over(published: Path, own: Path) -> None:
    """The published trials as the first of one's own; what was run here already stays as it is."""
    if published.exists() and not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(published.read_bytes())


def _workers(given: argparse.Namespace) -> int:
    """Processes that share the trials; the status is 130 after Ctrl-C."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-W", "ignore", "-m", "effect", "--worker", *sys.argv[1:]]
    running = [subprocess.Popen(command, env={**os.environ, **threads}) for _ in range(max(1, given.jobs))]
    try:
        return max(process.wait() for process in running)
    except KeyboardInterrupt:
        for process in running:
            process.wait()
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


def _work(given: argparse.Namespace) -> int:
    import torch

    from effect.work import Worker

    torch.set_num_threads(1)
    units = STUDY.units(("core", "full") if given.full else ("core",))
    for names, of in ((given.tasks, "task"), (given.arms, "arm")):
        if names:
            units = [unit for unit in units if getattr(unit, of).name in names.split(",")]
    try:
        Worker(STUDY, units, given.cache, lambda text: print(text, flush=True), given.jobs).run()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
