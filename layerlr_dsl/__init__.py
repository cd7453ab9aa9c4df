"""Per-layer learning rates, weight decay and freezing for PyTorch, written as rules."""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, whose import would be the first that Ctrl-C can cut short

if TYPE_CHECKING:
    from typing import Any

    from layerlr_dsl import optim
    from layerlr_dsl.api import Configured, Plan, Rules, configured, load, parse
    from layerlr_dsl.language.diagnostics import Diagnostic, RuleError
    from layerlr_dsl.model.inventory import Inventory
    from layerlr_dsl.tools.version import __version__
    from layerlr_dsl.tuning import tune

__all__ = [
    "Configured",
    "Diagnostic",
    "Inventory",
    "Plan",
    "RuleError",
    "Rules",
    "__version__",
    "configured",
    "load",
    "optim",
    "parse",
    "tune",
]

_HOMES = {
    "Configured": "layerlr_dsl.api",
    "Diagnostic": "layerlr_dsl.language.diagnostics",
    "Inventory": "layerlr_dsl.model.inventory",
    "Plan": "layerlr_dsl.api",
    "RuleError": "layerlr_dsl.language.diagnostics",
    "Rules": "layerlr_dsl.api",
    "__version__": "layerlr_dsl.tools.version",
    "configured": "layerlr_dsl.api",
    "load": "layerlr_dsl.api",
    "parse": "layerlr_dsl.api",
    "tune": "layerlr_dsl.tuning.own_loop",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in ("optim", "training", "tuning"):
        value = import_module(f"layerlr_dsl.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext layerlr_dsl` calls: the cell magic `%%layerlr`."""
    from layerlr_dsl.notebook import load

    load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
