"""Starting files for a model, written from what its inventory shows."""

from layerlr_dsl.starters.write import STYLES, fitting, starter

__all__ = ["STYLES", "fitting", "starter"]
