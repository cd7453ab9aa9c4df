"""What names mean in an expression, and which of them a file may not give to something of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

from layerlr_dsl.language.vocabulary import ATTRIBUTES

FUNCTIONS = ("min", "max", "sqrt", "log2", "floor", "ceil")
LATER_FUNCTIONS = ("cos", "sin", "exp", "log", "abs", "choose", "ramp")
"""Functions whose names a file may give to something of its own: files that are older must go on to work."""
TIME_NAMES: Mapping[str, str] = {
    "step": "optimizer steps done",
    "steps": "optimizer steps of the run, or of the stage",
    "epoch": "epochs done, a fraction",
    "epochs": "epochs of the run, or of the stage",
    "progress": "the share of the run, or of the stage, that is done",
}
"""What an expression may ask of the clock; a `let` or a capture of that name hides it."""
NUMBERS: Mapping[str, float] = {"pi": math.pi}
CAPTURE_FUNCTIONS = ("last", "first", "count", "rank")
"""Functions of what a selector, or a group, binds in the model."""
GROUP_FUNCTIONS = ("last", "first", "count")
"""Those of them that may be asked of a group: `last(@blocks)`."""
PLACE_FUNCTIONS = ("count", "rank")
"""Those that may name captures of this selector beside a group: `rank(@blocks, s)`."""
_HIDEABLE = frozenset(("rank",))
"""Capture functions whose names a file may give to something of its own."""
WORDS = frozenset(("and", "or", "not", "is", "matches", "mod", "true", "false"))
PLAIN_FUNCTIONS = frozenset((*FUNCTIONS, *LATER_FUNCTIONS)) - {"ramp"}
"""Those whose value is made of their arguments' values alone."""
ARITY = {
    "min": (1, 64),
    "max": (1, 64),
    "choose": (3, 3),
    "ramp": (1, 1000),
    "count": (1, 64),
    "rank": (1, 64),
    **dict.fromkeys(
        ("sqrt", "log2", "floor", "ceil", "cos", "sin", "exp", "log", "abs", "last", "first"), (1, 1)
    ),
}
"""How many arguments a function takes, at least and at most."""
DTYPES = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "complex64",
    "complex128",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "bool",
    "float8_e4m3fn",
    "float8_e5m2",
)
RESERVED = (
    frozenset((*ATTRIBUTES, *FUNCTIONS, *CAPTURE_FUNCTIONS, *DTYPES, *WORDS, "where", "except")) - _HIDEABLE
)
"""What no `let` and no capture may be called: an expression would read something else in it."""
