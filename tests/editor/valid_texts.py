"""Every rule file that is shown to anyone."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.tools.resources import recipes_path

ROOT = Path(__file__).parents[2]


@cache
def valid_texts() -> dict[str, str]:
    """Rule files that ship, and those of the documentation, less what is shown as wrong."""
    found = {str(path): path.read_text(encoding="utf-8") for path in recipes_path().rglob("*.lr")}
    for page in (ROOT / "docs").rglob("*.md"):
        shown = re.findall(r"^```lr[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
        found |= {f"{page.name} {number}": text for number, text in enumerate(shown)}
    return {name: text for name, text in found.items() if not parse(Source(name, text))[1]}
