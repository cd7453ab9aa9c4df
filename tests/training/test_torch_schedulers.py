"""torch's own schedulers drive our groups where the file gives no schedule."""

import warnings

import pytest
import torch
from nets import resolve, seeded
from torch.optim import lr_scheduler as torch_schedulers

RULES = "** -> lr 1e-3\nhead -> lr 1e-2\nfreeze mid until epoch 1"
STEPS = 8

SCHEDULERS = {
    "LambdaLR": lambda o: torch_schedulers.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: torch_schedulers.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: torch_schedulers.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: torch_schedulers.MultiStepLR(o, [2, 5], 0.5),
    "ConstantLR": lambda o: torch_schedulers.ConstantLR(o, 0.5, 3),
    "LinearLR": lambda o: torch_schedulers.LinearLR(o, 0.1, total_iters=4),
    "ExponentialLR": lambda o: torch_schedulers.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: torch_schedulers.PolynomialLR(o, STEPS),
    "CosineAnnealingLR": lambda o: torch_schedulers.CosineAnnealingLR(o, STEPS),
    "CosineAnnealingWarmRestarts": lambda o: torch_schedulers.CosineAnnealingWarmRestarts(o, 3),
    "CyclicLR": lambda o: torch_schedulers.CyclicLR(o, 1e-4, 1e-2, 3, cycle_momentum=False),
    "OneCycleLR": lambda o: torch_schedulers.OneCycleLR(o, [0.1] * len(o.param_groups), STEPS + 1),
    "SequentialLR": lambda o: torch_schedulers.SequentialLR(
        o, [torch_schedulers.LinearLR(o, 0.1, total_iters=3), torch_schedulers.StepLR(o, 2)], [3]
    ),
    "ReduceLROnPlateau": lambda o: torch_schedulers.ReduceLROnPlateau(o, patience=1),
}


def drive(optimizer, scheduler, ours=None):
    seen = []
    for step in range(STEPS):
        optimizer.step()
        scheduler.step(1.0) if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau) else scheduler.step()
        if ours is not None:
            ours.step()
        seen.append([(g["lr"], g.get("betas"), step) for g in optimizer.param_groups])
    return seen


@pytest.mark.parametrize("before", [True, False], ids=["made before ours", "made after ours"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_torch_scheduler_drives_our_groups_as_if_ours_were_not_there(name, before):
    """Rates are those that the scheduler gives plain groups, and our schedule freezes and thaws beside it."""
    model = seeded()
    plan = resolve(RULES, model)
    plain = torch.optim.AdamW(
        [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": g["lr"]} for g in plan.param_groups(model)]
    )
    expected = drive(plain, SCHEDULERS[name](plain))
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = SCHEDULERS[name](optimizer) if before else None
        ours = plan.schedule(model, optimizer)
        scheduler = scheduler or SCHEDULERS[name](optimizer)
        assert not model.mid[0].weight.requires_grad
        assert drive(optimizer, scheduler, ours) == expected
    assert model.mid[0].weight.requires_grad
