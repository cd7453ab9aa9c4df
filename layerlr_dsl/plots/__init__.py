"""Pictures of a plan: learning rate and freezing of every group over time.

`picture` works out what to draw, once; the other modules draw it: as PNG or SVG with matplotlib,
as one HTML page that needs nothing else, or with characters.
"""

from layerlr_dsl.plots.series import Picture, Series, picture

__all__ = ["Picture", "Series", "picture"]
