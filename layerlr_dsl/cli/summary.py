"""The one line that ends `validate`."""

from __future__ import annotations

from collections.abc import Sequence

from layerlr_dsl.tools.words import count


def summary_line(files: int, found: Sequence[str], hidden: int, fixed: int, modelled: bool) -> str:
    """`2 files: 1 error, 2 warnings`.

    found: what there is, counted. hidden: notes that were not shown. modelled: whether any file was held
    against a model.
    """
    line = f"{count(files, 'file')}: {', '.join(found) or 'no errors, no warnings'}"
    if fixed:
        line += f"; {count(fixed, 'fix').replace('fixs', 'fixes')} applied"
    if not modelled:
        line += " (checked without a model)"
    if hidden:
        line += f" ({count(hidden, 'note')} with --info)"
    return line
