"""Optimizers that torch.optim lacks, several optimizers as one, and building them by name."""

from __future__ import annotations

from layerlr_dsl.optim.lamb import LAMB
from layerlr_dsl.optim.lars import LARS
from layerlr_dsl.optim.layer_adaptive import LayerAdaptive

__all__ = ["LAMB", "LARS", "LayerAdaptive"]
