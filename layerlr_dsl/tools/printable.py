"""Text that came from elsewhere, made safe to print: no control characters, one line, not too long."""

from __future__ import annotations

from pathlib import Path

_JOINER = 0x200D  # between the parts of an emoji


def _shown(char: str) -> str:
    """`char` as it may be printed: control, format, surrogate and odd blank characters are spelled out."""
    code = ord(char)
    if char.isprintable() or code == _JOINER:
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape(text: str) -> str:
    """`text` on one line, safe to print: no control characters, no escape sequences, no bidi marks."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def spelled_path(path: str | Path) -> str:
    """A path as text that can be written to any file: bytes of it that are no UTF-8 are spelled out."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def escape_json(text: str) -> str:
    """JSON text safe to print: characters that `escape` spells out are, in JSON's own way."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(char if char.isprintable() or char == "\n" else _as_in_json(char) for char in text)


def _as_in_json(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def shown(text: str, longest: int = 200) -> str:
    """`text` as it may stand in a message; what is cut off is replaced by `...`."""
    printable = escape(text[: longest + 1])
    return printable if len(text) <= longest and len(printable) <= longest else printable[:longest] + "..."


def first_line(fault: BaseException, longest: int = 300) -> str:
    """What an exception says, in one line; two where the first ends in a colon, its class where it is mute."""
    lines = [line.strip() for line in str(fault)[:10_000].splitlines() if line.strip()]
    if not lines:
        return type(fault).__name__
    return shown(" ".join(lines[: 2 if lines[0].endswith(":") else 1]), longest)
