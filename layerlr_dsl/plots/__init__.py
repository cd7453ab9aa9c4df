"""Pictures of a plan: learning rate and freezing of every group over time.

`picture` works out the courses of groups and what they are called, `drawing` the network, and `chart` makes of
either what is to be drawn. That is drawn by `svg`, by `figure` (with matplotlib: PNG, and figures for Python) and by
`characters` in the terminal; `html` makes a page to look around in.
"""

from layerlr_dsl.plots.series import Picture, Series, picture

__all__ = ["Picture", "Series", "picture"]
