"""The page of the Python interface, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import layerlr_dsl as layerlr
from layerlr_dsl.training.schedule import LayerSchedule

INTRODUCTION = """# Python interface

```python
import layerlr_dsl as layerlr
```

Everything here is typed. `import layerlr_dsl` is lazy: torch is imported when something needs it.
"""

FUNCTIONS = ("load", "parse")
CLASSES: dict[str, tuple[str, ...]] = {
    "Rules": ("model", "epochs", "diagnostics", "resolve", "check"),
    "Plan": (
        "groups",
        "phases",
        "diagnostics",
        "param_groups",
        "optimizer",
        "schedule",
        "at",
        "explain",
        "to_json",
    ),
    "Configured": ("__call__", "resolve"),
    "Inventory": ("of", "save", "load", "to_json", "from_json"),
    "Diagnostic": (),
    "RuleError": (),
}
SCHEDULE = (
    "step",
    "report",
    "verify",
    "state_dict",
    "load_state_dict",
    "get_last_lr",
    "frozen",
    "carried",
    "unreported",
    "thawed",
)
OPTIMIZERS = ("LayerAdaptive", "LARS", "LAMB")
ATTRIBUTES = {
    "Rules.diagnostics": "Findings of the language alone: tuple of `Diagnostic`.",
    "Plan.groups": "The parameter groups: tuple of `Group` with `name`, `parameters`, `numel`, `options`, `schedule`, `kind`.",
    "Plan.diagnostics": "Every finding: tuple of `Diagnostic`.",
}


def api_page() -> str:
    """Every public name."""
    parts = [INTRODUCTION, "## Functions"]
    parts += [_entry(f"layerlr.{name}", getattr(layerlr, name)) for name in FUNCTIONS]
    for name, members in CLASSES.items():
        parts += [f"## {name}", _doc(getattr(layerlr, name))]
        parts += [_member(name, getattr(layerlr, name), member) for member in members]
    parts += [
        "## The schedule",
        "`plan.schedule(model, optimizer)` returns a `LayerSchedule`.",
        _doc(LayerSchedule),
    ]
    parts += [_member("LayerSchedule", LayerSchedule, member) for member in SCHEDULE]
    parts.append("## Optimizers")
    parts += [_class(f"layerlr.optim.{name}", getattr(layerlr.optim, name)) for name in OPTIMIZERS]
    return "\n\n".join(parts) + "\n"


def _member(owner: str, cls: type, name: str) -> str:
    known = ATTRIBUTES.get(f"{owner}.{name}")
    if known is not None:
        return f"### {owner}.{name}\n\n{known}"
    return _entry(f"{owner}.{name}", inspect.getattr_static(cls, name))


def _entry(name: str, thing: Any) -> str:
    called = getattr(thing, "__func__", thing)
    if callable(called):
        return f"### {name}\n\n```text\n{name}{_signature(called)}\n```\n\n{_doc(called)}"
    return f"### {name}\n\n{_doc(getattr(called, 'fget', None) or getattr(called, 'func', called))}"


def _class(name: str, cls: type) -> str:
    return f"### {name}\n\n```text\n{name.rpartition('.')[2]}{_signature(cls.__init__)}\n```\n\n{_doc(cls)}"


def _signature(called: Any) -> str:
    text = str(inspect.signature(called)).replace("self, ", "", 1).replace("(self)", "()")
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text.replace("cls, ", "", 1))


def _doc(thing: Any) -> str:
    """A docstring as Markdown: its `name: meaning` lines as a list, `Raises` as a paragraph of its own."""
    text = inspect.getdoc(thing) or ""
    before, _, listed = text.partition("Args:\n")  # as parsers of command lines read it
    text = before + inspect.cleandoc(" " * 4 + listed.lstrip()) if listed else text
    text = re.sub(r"(?m)^(Raises |Returns )", r"\n\1", text)
    lines = []
    for line in text.splitlines():
        item = re.match(r"([a-z_]+): (.*)", line)
        if item and (not lines or not lines[-1].startswith("- ")):
            lines.append("")
        lines.append(f"- `{item[1]}`: {item[2]}" if item else line)
    return "\n".join(lines).strip()
