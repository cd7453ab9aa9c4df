"""The digest by which processes agree on a plan."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

DIGESTS = textwrap.dedent("""
    import torch
    import layerlr_dsl as layerlr
    from layerlr_dsl.training.agreement import fingerprint

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    schedules = (
        "constant", "step(every=1 epoch, gamma=0.5)", "multistep(at=(1 epoch, 2 epochs), gamma=0.5)", "linear", "cosine",
        "exponential(gamma=0.9)", "cosine_restarts(every=1 epoch)", "polynomial(power=2)", "one_cycle", "slanted_triangular",
        "inverse_sqrt", "wsd", "plateau(metric=loss)", "cosine(warmup=1 epoch, warmup_type=cosine) for 2 epochs then linear",
        "moving",
    )
    for schedule in schedules:
        text = f"let moving = 1 - progress / 2\\nschedule {schedule}\\n** -> lr 1e-3 * (2 - progress)\\nfreeze 0 until epoch 1"
        plan = layerlr.parse(text).resolve(model, epochs=3, steps_per_epoch=4)
        print(schedule, fingerprint(plan))
""")


def _digests(seed: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    ran = subprocess.run(
        [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()


def test_every_process_has_the_same_digest_of_a_plan() -> None:
    """Whatever schedule it has: no address and no order of a set finds its way in."""
    one, other = _digests(1), _digests(2)
    assert one == other
    assert len({line.rsplit(" ", 1)[1] for line in one}) == len(one) == 15
