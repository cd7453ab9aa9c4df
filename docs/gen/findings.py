"""The reference of findings: one page for each code, as `layerlr rule` prints it."""

from __future__ import annotations

from layerlr_dsl.language.codes import CODES, FAMILIES

INTRODUCTION = """# Findings

Everything that layerlr has to say of a rule file is a finding, with a code, the place, and help.
Errors make a file unusable; warnings fail `layerlr validate --strict`; notes are shown with
`--info`, advice with `--advice`. `layerlr rule CODE` prints the page of a code in the terminal.

All findings of all files come in one run. A syntax error costs its own statement and breeds no
others: the rest of the file is checked all the same.
"""


def finding_pages() -> dict[str, str]:
    """Paths in the documentation, and what stands there."""
    parts = [INTRODUCTION]
    for family, about in FAMILIES.items():
        rows = [
            f"| [{c.code}]({c.code}.md) | {c.severity} | {c.title} |"
            for c in CODES.values()
            if c.code.startswith(family)
        ]
        parts.append(f"## {family}xx: {about}\n\n| code | severity | |\n|---|---|---|\n" + "\n".join(rows))
    pages = {f"findings/{code.code}.md": code.read_page() for code in CODES.values()}
    return {"findings/index.md": "\n\n".join(parts) + "\n", **pages}
