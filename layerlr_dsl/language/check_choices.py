"""What `expect` may ask of `optimizer` and `schedule`: which one was chosen, by name."""

from __future__ import annotations

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.diagnostics import Findings
from layerlr_dsl.tools.nearest import nearest

CHOICES = ("schedule", "optimizer")


def expected_choice(statement: s.ExpectOption) -> str | None:
    """The name that an `expect` asks for, in quotes or not; None for anything else."""
    value = statement.value
    if isinstance(value, s.String):
        return value.value
    return value.name if isinstance(value, s.Name) else None


def check_expected_choice(statement: s.ExpectOption, found: Findings) -> None:
    """`expect fc optimizer == "adamw"`, `expect fc schedule != "constant"`."""
    option, name = statement.option, expected_choice(statement)
    example = "cosine" if option == "schedule" else "adamw"
    if name is None or statement.operator not in ("==", "!="):
        message = f"`{option}` is compared with a name, by `==` or `!=`"
        span = statement.value.span if name is None else statement.span
        found.error("LR107", message, span, f'write `{option} == "{example}"`')
    elif option == "optimizer" and optimizers.find(name) is None:
        near = nearest(name.lower(), optimizers.names())
        help = f"did you mean `{near}`?" if near else None
        found.error("LR104", f"unknown optimizer `{name}`", statement.value.span, help)
