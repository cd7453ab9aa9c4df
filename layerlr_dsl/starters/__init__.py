"""Starting files for a model, written from what its inventory shows."""

from layerlr_dsl.starters.write import STYLES, starter

__all__ = ["STYLES", "starter"]
