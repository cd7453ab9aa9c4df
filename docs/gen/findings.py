"""The reference of findings: one page for each code, as `layerlr rule` prints it."""

from __future__ import annotations

from layerlr_dsl.catalogue.findings import FAMILIES, KINDS

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
    for family in FAMILIES:
        rows = [f"| [{k.code}]({k.code}.md) | {k.severity} | {k.title} |" for k in family.kinds]
        head = f"## {family.code}xx: {family.about}\n\n| code | severity | |\n|---|---|---|\n"
        parts.append(head + "\n".join(rows))
    pages = {f"findings/{kind.code}.md": kind.read_page() for kind in KINDS.values()}
    return {"findings/index.md": "\n\n".join(parts) + "\n", **pages}
