"""What goes wrong inside a training step, said to the user of the run."""

from __future__ import annotations

from layerlr_dsl.runner.errors import RunFailed
from layerlr_dsl.runner.processes import LOST, LOST_HELP
from layerlr_dsl.tools.printable import first_line


def explained(fault: Exception, step: int) -> RunFailed:
    """The sentence for an exception of step `step` that no part of the runner foresaw."""
    import torch
    import torch.distributed as dist

    from layerlr_dsl.training.errors import TrainingError

    if isinstance(fault, TrainingError):
        return RunFailed(str(fault))
    reason = first_line(fault)
    if isinstance(fault, torch.OutOfMemoryError):
        return RunFailed(
            f"step {step}: the device is out of memory", "give a smaller --batch-size, or --accumulate more"
        )
    if dist.is_available() and dist.is_initialized() and _of_a_connection(fault):
        return RunFailed(f"{LOST} ({reason})", LOST_HELP)
    if _of_the_compiler(fault):
        return RunFailed(f"the model could not be compiled: {reason}", "leave --compile out")
    return RunFailed(f"step {step} failed: {type(fault).__name__}: {reason}", "LAYERLR_DEBUG=1 shows where")


def _of_a_connection(fault: Exception) -> bool:
    import torch.distributed as dist

    # gloo's errors in a backward pass have no type of their own
    return isinstance(fault, dist.DistError) or any(word in str(fault) for word in ("gloo", "Gloo", "NCCL"))


def _of_the_compiler(fault: Exception) -> bool:
    return type(fault).__module__.partition(".")[0] == "torch" and any(
        part in type(fault).__module__ for part in ("_dynamo", "_inductor")
    )
