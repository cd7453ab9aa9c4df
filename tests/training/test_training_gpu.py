"""On a CUDA device: half precision with a scaler, fused and captured steps, and no host sync from the schedule."""

import pytest
import torch
from nets import Net, Stack, images, moved, resolve, seeded, snapshot

from layerlr_dsl.training.compiling import tensor_rates
from layerlr_dsl.training.errors import TrainingError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RULES = """
schedule cosine(warmup=1 steps)
** -> lr 1e-2
head -> lr 3e-2
freeze stem until epoch 2
freeze mid from epoch 1 until epoch 2
"""


def made(rules=RULES, model=None, **settings):
    model = (model or seeded(Net)).cuda()
    plan = resolve(rules, model, epochs=3, steps=2)
    optimizer = torch.optim.AdamW(plan.param_groups(model), **{"lr": 1e-2, **settings})
    return model, optimizer, plan.schedule(model, optimizer)


@pytest.mark.parametrize("settings", [{}, {"fused": True}, {"foreach": True}, {"capturable": True}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_frozen_bytes_stand_still_in_half_precision(dtype, settings):
    """Autocast, GradScaler and every implementation of the step leave frozen parameters and statistics alone."""
    model, optimizer, schedule = made(**settings)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**20, enabled=dtype is torch.float16)
    for step in range(6):
        model.train()
        still = tuple({name.split(".")[0] + "." for name in schedule.frozen})
        before = snapshot(model, still) if still else {}
        with torch.autocast("cuda", dtype):
            loss = model(images(step).cuda()).square().sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        assert moved(before, model) == set()
        schedule.verify()
        schedule.step()
        optimizer.zero_grad(set_to_none=step % 2 == 0)


@pytest.mark.parametrize("tensors", [False, True], ids=["numbers", "tensor rates"])
def test_stepping_the_schedule_never_waits_for_the_device(tensors):
    """Between boundaries and at them, schedule.step() makes no host sync; torch raises on any."""
    model, optimizer, schedule = made(capturable=True)
    if tensors:
        tensor_rates(optimizer)
        schedule.step(0)
    for step in range(6):
        model(images(step).cuda()).square().sum().backward()
        optimizer.step()
        torch.cuda.set_sync_debug_mode("error")
        try:
            schedule.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        optimizer.zero_grad()
    assert schedule.last_epoch == 6


def captured_step(rules):
    model, optimizer, schedule = made(rules, seeded(Stack), capturable=True)
    tensor_rates(optimizer)
    schedule.step(0)
    x = torch.randn(4, 4, device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x).square().sum().backward()
        optimizer.step()
    return model, optimizer, schedule, graph


def test_a_captured_step_follows_the_schedule_through_its_tensor_rates():
    """Replays use the rate of their own step; what is frozen for ever stays so."""
    model, optimizer, schedule, graph = captured_step("schedule cosine\n** -> lr 1e-2\nfreeze layers.0")
    before = snapshot(model)
    rates = []
    for _ in range(5):
        graph.replay()
        schedule.step()
        rates.append([float(group["lr"]) for group in optimizer.param_groups][-1])
    assert moved(before, model) == {"layers.1.weight", "layers.2.weight"}
    assert len(set(rates)) == 5


def test_capturing_a_step_that_must_change_later_is_refused():
    """A replayed graph would go on training what the rules freeze later."""
    with pytest.raises(TrainingError, match="captured in a CUDA graph"):
        captured_step("** -> lr 1e-2\nfreeze layers.0 from epoch 1")
