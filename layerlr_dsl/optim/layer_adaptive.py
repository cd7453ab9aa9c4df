from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from layerlr_dsl.optim.common import checked


class LayerAdaptive(Optimizer):
    """Adam's moments, and one rate for each tensor."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, checked("layer_adaptive", settings))
