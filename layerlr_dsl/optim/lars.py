from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from layerlr_dsl.optim.common import checked


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        adapt: bool = True,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "dampening": dampening,
            "nesterov": nesterov,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
            "adapt": adapt,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, checked("lars", settings))
