"""torch.compile around the model and around the optimizer step."""

import warnings

import pytest
import torch
from nets import Stack, moved, resolve, seeded, snapshot
from torch import nn
from torch._dynamo.testing import CompileCounter

from layerlr_dsl.training.compiling import tensor_rates
from layerlr_dsl.training.errors import ScheduleWarning

THREE_PHASES = "** -> lr 1e-2\nfreeze stem until epoch 2\nfreeze mid until epoch 1"


class Rows(nn.Module):
    """Linear layers with batch norm and dropout: quick to trace."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.mid = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.mid(self.stem(x)))


@pytest.fixture(autouse=True)
def fresh_compiler():
    """With torch's own limit: one of timm's modules raises it to a million when it is imported."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(recompile_limit=8):
        yield
    torch._dynamo.reset()


def made(rules, model, epochs=3, steps=2, **settings):
    plan = resolve(rules, model, epochs, steps)
    optimizer = torch.optim.AdamW(plan.param_groups(model), **{"lr": 1e-2, **settings})
    return plan, optimizer, plan.schedule(model, optimizer)


def as_wrapper(model, counter):
    return torch.compile(model, backend=counter)


def in_place(model, counter):
    model.compile(backend=counter)
    return model


@pytest.mark.parametrize("when", ["before the schedule", "after the schedule"])
@pytest.mark.parametrize("compile", [as_wrapper, in_place])
def test_a_new_phase_costs_one_compilation_and_no_graph_break(compile, when):
    """Train mode, an epoch's model.train() and our hooks add none; frozen bytes and statistics stay."""
    model, counter = seeded(Rows), CompileCounter()
    compiled = compile(model, counter) if when == "before the schedule" else None
    _, optimizer, schedule = made(THREE_PHASES, model if compiled is None else compiled)
    compiled = compile(model, counter) if compiled is None else compiled
    compilations = []
    for _ in range(3):
        compiled.train()
        still = [n for n in ("stem.", "mid.") if any(f.startswith(n) for f in schedule.frozen)]
        before = snapshot(model, still) if still else {}
        for _ in range(2):
            compiled(torch.randn(8, 4)).square().sum().backward()
            optimizer.step()
            assert moved(before, model) == set()
            schedule.step()
            optimizer.zero_grad()
        compilations.append(counter.frame_count)
    assert compilations == [1, 2, 3]
    assert not torch._dynamo.utils.counters["graph_break"]
    assert model.mid[1].training


def test_more_phases_than_torch_will_compile_draw_a_warning_at_the_start():
    """Past the limit torch.compile silently runs uncompiled; the warning names the setting."""
    model = seeded(lambda: Stack(depth=6))
    turns = " then ".join(f"layers.{i}" for i in range(5))
    rules = f"** -> lr 1e-2\nfreeze layers\nunfreeze layers.5 at epoch 0\nunfreeze {turns} every 1 epochs starting at epoch 1"
    with pytest.warns(ScheduleWarning, match="recompile_limit = 8"):
        made(rules, torch.compile(model, backend="eager"), epochs=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScheduleWarning)
        made(THREE_PHASES, torch.compile(seeded(Rows), backend="eager"))
        made(rules, model, epochs=8)


def test_a_wrapper_put_around_the_model_later_is_noticed_too():
    """torch.compile after plan.schedule hides from us until the model has run."""
    model = seeded(lambda: Stack(depth=6))
    turns = " then ".join(f"layers.{i}" for i in range(5))
    rules = f"** -> lr 1e-2\nfreeze layers\nunfreeze layers.5 at epoch 0\nunfreeze {turns} every 1 epochs starting at epoch 1"
    _, optimizer, schedule = made(rules, model, epochs=8, steps=1)
    compiled = torch.compile(model, backend="eager")
    compiled(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    with pytest.warns(ScheduleWarning, match="silently stops compiling"):
        schedule.step()


def test_a_compiled_optimizer_step_is_compiled_once_a_phase_and_moves_nothing_frozen():
    """With one rate tensor a group, a changing rate costs no compilation; the guard works inside the graph."""
    model, counter = seeded(Stack), CompileCounter()
    rules = "schedule cosine\n** -> lr 1e-2\nlayers.2 -> lr 1e-1\nfreeze layers.0 until epoch 1"
    _, optimizer, schedule = made(rules, model, steps=3)
    tensor_rates(optimizer)
    schedule.step(0)
    step = torch.compile(optimizer.step, backend=counter)
    counts, rates = [], []
    for _ in range(6):
        model(torch.randn(2, 4)).sum().backward()
        if schedule.frozen:
            model.layers[0].weight.grad = torch.ones(4, 4)
        before = snapshot(model, ["layers.0"])
        step()
        assert bool(moved(before, model)) == (not schedule.frozen)
        counts.append(counter.frame_count)
        rates.append([float(rate) for rate in schedule.get_last_lr()])
        schedule.step()
        optimizer.zero_grad()
    assert counts[:3] == [counts[0]] * 3
    assert counts[-1] == counts[-2]
    assert len({tuple(r) for r in rates}) == 6
    assert rates[0] == pytest.approx([1e-2, 1e-2, 1e-1])


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_what_the_documents_say_of_a_compiled_step_at_rate_0(kind):
    """Where this fails, torch has mended it, and the page on embedding need not warn of it any more."""
    found = []
    for compiled in (False, True):
        weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        optimizer = kind([weight], lr=0.0)
        step = torch.compile(lambda made=optimizer: made.step(), backend="aot_eager")
        weight.grad = torch.tensor([0.0, 1.0])
        (step if compiled else optimizer.step)()
        found.append(weight.detach().clone())
    assert found[0].tolist() == [1.0, 2.0]
    assert found[1].isnan().tolist() == [True, False]
