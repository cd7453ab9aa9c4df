"""A rule file and a model as one page of plain PyTorch."""

from layerlr_dsl.eject.page import ejected
from layerlr_dsl.eject.refusals import CannotEject

__all__ = ["CannotEject", "ejected"]
