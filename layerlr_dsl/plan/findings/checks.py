"""How a finding of the plan comes to be looked for: its check stands in the file of its family, marked as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from layerlr_dsl.language.diagnostics import Diagnostic

if TYPE_CHECKING:
    from layerlr_dsl.plan.plan import Plan
    from layerlr_dsl.plan.resolution import Resolution

Check = TypeVar("Check", bound=Callable[..., Iterator[Diagnostic]])


class Checks:
    """The checks of one family. Each names what it looks at as its parameters: `plan`, `resolution` or both."""

    def __init__(self) -> None:
        self._checks: list[tuple[Callable[..., Iterator[Diagnostic]], tuple[str, ...]]] = []

    def __call__(self, check: Check) -> Check:
        """Mark a function as a check."""
        code = check.__code__
        self._checks.append((check, code.co_varnames[: code.co_argcount]))
        return check

    def found(self, plan: Plan, resolution: Resolution) -> Iterator[Diagnostic]:
        """What the checks find, in the order in which they stand in their file."""
        known = {"plan": plan, "resolution": resolution}
        for check, needs in self._checks:
            yield from check(*[known[name] for name in needs])
