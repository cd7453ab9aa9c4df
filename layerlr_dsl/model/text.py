"""Text that came from elsewhere, made safe to print: one line, no control characters, not too long."""

from __future__ import annotations


def shown(text: str, longest: int = 200) -> str:
    """`text` as it may stand in a message; what is cut off is replaced by `...`."""
    cut = text[: longest + 1]
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return printable if len(text) <= longest and len(printable) <= longest else printable[:longest] + "..."


def first_line(fault: BaseException, longest: int = 300) -> str:
    """What an exception says, in one line; two where the first ends in a colon, its class where it is mute."""
    lines = [line.strip() for line in str(fault)[:10_000].splitlines() if line.strip()]
    if not lines:
        return type(fault).__name__
    return shown(" ".join(lines[: 2 if lines[0].endswith(":") else 1]), longest)
