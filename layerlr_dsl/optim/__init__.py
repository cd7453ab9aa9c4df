"""Optimizers that torch.optim lacks, several optimizers as one, and building them by name."""

from __future__ import annotations

from layerlr_dsl.optim.build import build
from layerlr_dsl.optim.lamb import LAMB
from layerlr_dsl.optim.lars import LARS
from layerlr_dsl.optim.layer_adaptive import LayerAdaptive
from layerlr_dsl.optim.several import Several

__all__ = ["LAMB", "LARS", "LayerAdaptive", "Several", "build"]
