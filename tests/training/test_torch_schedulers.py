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


@pytest.mark.parametrize(
    ("rules", "driven", "warned"),
    [
        ("** -> lr 1e-3\nfreeze mid until epoch 1 warmup 1 epochs", True, True),
        ("** -> lr 1e-3\nhead -> lr 1e-2 until epoch 1", True, True),
        ("** -> lr 1e-3\nhead -> lr 1e-2 until epoch 1", False, False),
        ("** -> lr 1e-3\nfreeze mid until epoch 1 warmup 1 epochs", False, False),
        ("** -> lr 1e-3\nfreeze mid until epoch 1", True, False),
        ("schedule cosine\n" + RULES + " warmup 1 epochs", False, False),
    ],
)
def test_rates_that_are_written_over_another_scheduler_are_told(rules, driven, warned):
    """A window or a thaw warm-up sets what the rules give; what a torch scheduler had made of it is lost."""
    model = seeded()
    plan = resolve(rules, model)
    optimizer = torch.optim.AdamW(plan.param_groups(model))
    ours = plan.schedule(model, optimizer)
    theirs = torch_schedulers.ExponentialLR(optimizer, 0.9 if driven else 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(STEPS):
            optimizer.step()
            theirs.step()
            ours.step()
    messages = [str(w.message) for w in caught]
    assert len(messages) == warned, messages
    assert all("something else drives it" in message for message in messages)
    assert all(w.filename == __file__ for w in caught)


def test_a_resumed_window_is_no_other_scheduler():
    """A checkpoint brings rates that the window had written; loading them tells of nobody else."""
    rules = "** -> lr 1e-3\nhead -> lr 1e-2 from epoch 1\nfreeze mid until epoch 1 warmup 1 epochs"
    model = seeded()
    plan = resolve(rules, model)
    first = torch.optim.AdamW(plan.param_groups(model))
    ours = plan.schedule(model, first)
    for _ in range(3):
        ours.step()
    again = torch.optim.AdamW(plan.param_groups(model))
    resumed = plan.schedule(model, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.load_state_dict(first.state_dict())
        resumed.load_state_dict(ours.state_dict())
        resumed.step()
    ours.step()
    assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in first.param_groups]


@pytest.mark.parametrize("name", ["OneCycleLR", "StepLR", "CosineAnnealingLR"])
def test_a_torch_scheduler_resumes_on_our_optimizer(name):
    """Rates, and the momentum that OneCycleLR moves, come from the checkpoint where the rules say nothing of them."""

    def made():
        model = seeded()
        plan = resolve(RULES, model)
        optimizer = plan.optimizer(model)
        return optimizer, plan.schedule(model, optimizer), SCHEDULERS[name](optimizer)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = made()
        for _ in range(3):
            for part in parts:
                part.step()
        again = made()
        for part, saved in zip(again, [part.state_dict() for part in parts], strict=True):
            part.load_state_dict(saved)
        for _ in range(3):
            there, here = (
                [(g["lr"], g["betas"]) for g in optimizer.param_groups] for optimizer, *_ in (parts, again)
            )
            assert here == there
            for part in (*parts, *again):
                part.step()
