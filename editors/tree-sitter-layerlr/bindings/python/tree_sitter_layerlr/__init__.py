"""Rule files of layerlr for tree-sitter: `Parser(Language(tree_sitter_layerlr.language()))`."""

from pathlib import Path

from ._binding import language

__all__ = ["HIGHLIGHTS", "language"]

HIGHLIGHTS = (Path(__file__).parent / "queries" / "highlights.scm").read_text(encoding="utf-8")
"""The query that says what to colour how."""
