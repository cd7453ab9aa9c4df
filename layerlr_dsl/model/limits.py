"""Limits on building a model that someone else's rule file names: `depth=1000000000` is quickly written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from layerlr_dsl.model.errors import ModelError

MOST_REGISTRATIONS = 1_000_000
MOST_OF_AN_ARCHITECTURE = 50_000
"""Of torchvision's and timm's architectures, of which the largest have a few thousand."""
MOST_MEMORY = 4 * 2**30  # bytes beyond what the process has


@contextlib.contextmanager
def limited_size(most: int) -> Iterator[None]:
    """Stop a constructor that goes on for ever, as `depth=1000000000` in a rule file would make it."""
    from torch.nn.modules.module import (
        register_module_module_registration_hook,
        register_module_parameter_registration_hook,
    )

    seen = 0

    def count(module: object, name: str, member: object) -> None:
        nonlocal seen
        seen += 1
        if seen > most:
            raise ModelError(f"the model has more than {most:,} modules and parameters")

    handles = [
        register_module_module_registration_hook(count),
        register_module_parameter_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Let allocations fail, where Linux allows that, before a constructor eats the machine's memory."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MOST_MEMORY
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
