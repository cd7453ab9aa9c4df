"""A phrase of another language, and what names and lists look like in them."""

from __future__ import annotations

import re
from collections.abc import Callable

from layerlr_dsl.tools.records import record

Match = re.Match[str]


@record
class Phrase:
    """How something is said elsewhere, what is wrong with it, and how it is said here.

    written: the whole statement. meant: what stands for it here, as a template
    of the match (`\\1`) or made from it; None where only a person can know. safe: it can mean nothing else.
    example: what is meant holds names that the reader must put others in the place of, so that it is no fix.
    """

    written: re.Pattern[str]
    message: str
    meant: str | Callable[[Match], str] | None = None
    help: str = "write `{}`"
    safe: bool = False
    example: bool = False


def phrase(
    pattern: str,
    message: str,
    meant: str | Callable[[Match], str] | None = None,
    help: str = "write `{}`",
    safe: bool = False,
    example: bool = False,
) -> Phrase:
    return Phrase(re.compile(pattern), message, meant, help, safe, example)


NUMBERED = "numbered layers are written with a range in braces, after the name that the model gives them"
AS_NAMED = "name them as the model does, as in `{}`"


def numbered(found: Match, before: str = "") -> str:
    """`blocks 0-5` as a range: modules in a list are called `blocks.0`, single ones `block0`."""
    stem = f"{found['stem']}s." if found["many"] else found["stem"]
    return f"{before}{stem}{{{found['low']}..{found['high']}}}{found['after']}"


NAME = r"(?:[\w.*?\[\]]|-(?!>)|\{[\w,.]*\}|<\w+>)+"
PLAIN = (
    r"(?!(?:freeze|unfreeze|expect|let|group|train|only|no|not|if|when|with|unless|exclude|select|set|for|in|is|at|from|until"
    r"|every|warmup|then|where|except|and|or|but|to|lr|learning_rate|weight_decay|epochs?|steps?|optimizer|schedule"
    r"|layers?|first|last|all)\b)[A-Za-z_*][\w.*]*"
)
LAYER = (
    r"(?!(?:\w*epochs?|\w*steps?|steps_per_epoch|version|warm_?up\w*|lr|learning_rate|weight_decay|wd|decay|momentum|eps|betas"
    r"|\w*layer\w*_decay|llrd\w*|seed|batch_size|floor|gamma|min_lr|model|optimizer|schedule|let|group|freeze|unfreeze"
    r"|expect|include|stage|no|not|for|if)\b)"
)
"""Ahead of a name: not a word of this or another language."""
LIST = rf"{NAME}(?:\s*,\s*{NAME})*"
ALL = r"(?:all|everything|every\s+(?:layer|parameter)s?|\*\*?)"
BUT = r"(?:but|except(?:\s+for)?|besides|apart\s+from|other\s+than|without|excluding)"
OPTION = {"learning_rate": "lr", "wd": "weight_decay"}
