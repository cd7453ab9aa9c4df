"""Patterns written as Python, regular expressions, another wrapping or a shell would have them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_INDEX = re.compile(r"\[(\d+)\]")
_INDEX_RANGE = re.compile(r"\[(\d+)[:-](\d+)\]")
_BRACED = re.compile(r"\{(\d+)(?:-|:|,?\.\.\.,?)(\d+)\}")
_DASHED = re.compile(r"(?<![\w{\[-])(\w*?)(\d+)[-:](\w*?)(\d+)(?![\w}\]-])")
_WRAPPER = re.compile(
    r"(?:module|model|backbone|base_model|_orig_mod|net|encoder|_fsdp_wrapped_module)\.(?=.)"
)


def rewritten(text: str, top: tuple[str, ...]) -> Iterator[str]:
    """What a pattern that matches nothing may have been meant as, the likeliest first.

    top: the modules at the top of the model, any of which may have been left out.
    """
    for meant in (
        _INDEX.sub(r".\1", text),
        _INDEX_RANGE.sub(r".{\1..\2}", text),
        _BRACED.sub(r"{\1..\2}", text),
        _DASHED.sub(_range, text),
        text.replace("/", "."),
        text.removesuffix(".*"),
        f"**.{text[2:]}" if text.startswith("*.") else text,
        text.replace("[]", "<i>"),
    ):
        if meant != text:
            yield meant
    yield from _rewrapped(text, top)


def _range(found: re.Match[str]) -> str:
    stem, low, other, high = found.groups()
    return f"{stem}{{{low}..{high}}}" if other in ("", stem) else found[0]


def _rewrapped(text: str, top: tuple[str, ...]) -> Iterator[str]:
    """Without the wrapper's name at its front, and with that of the model at hand."""
    bare = text
    while wrapper := _WRAPPER.match(bare):
        bare = bare[wrapper.end() :]
        yield bare
    if len(top) == 1:
        yield f"{top[0]}.{bare}"
