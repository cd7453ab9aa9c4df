"""What the training side costs: schedule.step() beside LambdaLR, the hooks around a step, a frozen prefix.

python benchmarks/bench_schedule.py
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

import torch
from measure import Row, in_turns, median_of_builds, report
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

import layerlr_dsl as layerlr


def least(sides: dict[str, Callable[[], object]], calls: int, rounds: int = 15) -> dict[str, float]:
    """Processor seconds of a call of each side, taken in turn."""
    return in_turns(sides, rounds, calls)


def row(what: str, seconds: dict[str, float], target: float | None) -> Row:
    ours, theirs = seconds.values()
    return Row(what, ours, theirs, list(seconds)[1], target)


def stack(width: int, depth: int) -> nn.Module:
    holder = nn.Module()
    holder.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
    return holder


def step_between_boundaries(groups: int, tensors: bool) -> Row:
    """One schedule.step() where nothing changes but the cosine."""
    model = stack(2, groups)
    text = "schedule cosine(warmup=5%)\n" + "".join(
        f"layers.{i} -> lr {(i + 1) * 1e-4!r}\n" for i in range(groups)
    )
    plan = layerlr.parse(text).resolve(model, epochs=1000, steps_per_epoch=1000)
    ours = torch.optim.AdamW(plan.param_groups(model))
    theirs = torch.optim.AdamW(plan.param_groups(model))
    if tensors:
        for optimizer in (ours, theirs):
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(group["lr"])
    schedule = plan.schedule(model, ours)
    peer = LambdaLR(theirs, lambda step: 0.5 * (1 + math.cos(math.pi * step / 1e6)))
    ours.step(), theirs.step()
    assert len(ours.param_groups) == groups
    return row(
        f"schedule.step(), {groups} groups{', tensor rates' if tensors else ''}",
        least({"ours": schedule.step, "LambdaLR": peer.step}, 1000),
        0.5,
    )


SCHEDULED = "schedule cosine(warmup=5%)\n"
BY_ITSELF = " * ramp((0%, 1), (100%, 0), shape=cosine)"
MOVING = """
** -> weight_decay ramp((0%, 0.04), (100%, 0.4), shape=cosine)
** -> betas (ramp((0%, 0.95), (30%, 0.85), (100%, 0.95), shape=cosine), 0.999)
"""
TOTAL = 1_000_000


def everything_moves(groups: int, by_itself: bool = False) -> Row:
    """One schedule.step() where rates, weight decay and betas all move, beside LambdaLR and two setters.

    by_itself: the rates move as values do, and not by a schedule.
    """
    model = stack(2, groups)
    rates = ((i + 1) * 1e-4 for i in range(groups))
    rules = MOVING if by_itself else SCHEDULED + MOVING
    rules += "".join(f"layers.{i} -> lr {r!r}{BY_ITSELF * by_itself}\n" for i, r in enumerate(rates))
    plan = layerlr.parse(rules).resolve(model, epochs=1000, steps_per_epoch=1000)
    ours = torch.optim.AdamW(plan.param_groups(model))
    theirs = torch.optim.AdamW(plan.param_groups(model))
    schedule = plan.schedule(model, ours)
    peer = LambdaLR(theirs, lambda step: _eased(1.0, 0.0, step / TOTAL))
    ours.step(), theirs.step()

    def by_hand() -> None:
        peer.step()
        p = peer.last_epoch / TOTAL
        decay = _eased(0.04, 0.4, p)
        for group in theirs.param_groups:
            group["weight_decay"] = decay
        first = _eased(0.95, 0.85, p / 0.3) if p < 0.3 else _eased(0.85, 0.95, (p - 0.3) / 0.7)
        for group in theirs.param_groups:
            group["betas"] = (first, 0.999)

    assert len(ours.param_groups) == groups
    what = f"schedule.step(), {groups} groups whose lr{' (a ramp)' * by_itself}, weight decay and betas move"
    return row(what, least({"ours": schedule.step, "LambdaLR and two setters": by_hand}, 1000), 0.5)


def _eased(first: float, last: float, p: float) -> float:
    return first + (last - first) * (1 - math.cos(math.pi * p)) / 2


def stage_change() -> Row:
    """The step at which a stage begins, beside one at which the same layers thaw."""
    sides = {
        "stage": _boundary("stage a for 1 epoch\nfreeze layers.{0..19}\nstage b"),
        "thaw": _boundary("freeze layers.{0..19} until epoch 1"),
    }
    spent = dict.fromkeys(sides, math.inf)
    for _ in range(60):
        for name, ready in sides.items():
            step = ready()
            start = time.process_time()
            step()
            spent[name] = min(spent[name], time.process_time() - start)
    return row("a stage change, 60 layers", spent, 1.1)


def _boundary(rules: str) -> Callable[[], Callable[[], None]]:
    """Makes a schedule whose next step is the one at which 20 of 60 layers begin to train."""
    text = f"schedule cosine\n** -> lr 1e-3\n**.bias -> weight_decay 0\n{rules}"
    plan = layerlr.parse(text).resolve(stack(8, 60), epochs=3, steps_per_epoch=1)

    def ready() -> Callable[[], None]:
        model = stack(8, 60)
        schedule = plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
        schedule.optimizer.step()
        return schedule.step

    return ready


def hooks_around_a_step() -> Row:
    """optimizer.step() of a plan with a frozen third, beside the same groups with nothing of ours attached."""
    return row(
        "optimizer.step(), 120 tensors, 40 frozen", median_of_builds(_with_and_without_hooks, 31, 3, 20), 1.03
    )


def _with_and_without_hooks() -> dict[str, Callable[[], object]]:
    model, bare_model = stack(32, 60), stack(32, 60)
    plan = layerlr.parse("** -> lr 1e-3\n**.bias -> weight_decay 0\nfreeze layers.{0..19}").resolve(
        model, epochs=10, steps_per_epoch=10
    )
    bare = torch.optim.AdamW(plan.param_groups(bare_model), foreach=True)
    optimizer = torch.optim.AdamW(plan.param_groups(model), foreach=True)
    schedule = plan.schedule(model, optimizer)
    for place in (model, bare_model):
        for index, layer in enumerate(place.layers):
            for parameter in layer.parameters():
                parameter.grad = None if index < 20 else torch.full_like(parameter, 1e-3)

    assert schedule.frozen
    # The schedule goes with the step: its hooks look at nothing once it is gone.
    return {"ours": lambda kept=schedule: optimizer.step(), "bare": lambda: bare.step()}


def frozen_prefix() -> Row:
    """A training step with the stem to layer3 of a ResNet-18 frozen, beside no_grad and eval by hand."""
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    models = with_torchvision(lambda: __import__("torchvision").models)
    images = torch.randn(8, 3, 64, 64)

    def ours() -> Callable[[], None]:
        torch.manual_seed(0)
        model = models.resnet18(num_classes=10)
        plan = layerlr.parse("** -> lr 1e-3\nfreeze conv1, bn1, layer1, layer2, layer3").resolve(
            model, epochs=10, steps_per_epoch=10
        )
        optimizer = plan.optimizer(model)
        schedule = plan.schedule(model, optimizer)
        model.train()

        def step() -> None:
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
            schedule.step()

        return step

    def by_hand() -> Callable[[], None]:
        torch.manual_seed(0)
        model = models.resnet18(num_classes=10)
        prefix = nn.Sequential(
            model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3
        ).eval()
        rest = nn.Sequential(model.layer4, model.avgpool, nn.Flatten(), model.fc).train()
        optimizer = torch.optim.AdamW(rest.parameters(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad()
            with torch.no_grad():
                features = prefix(images)
            rest(features).square().mean().backward()
            optimizer.step()

        return step

    seconds = median_of_builds(lambda: {"ours": ours(), "by hand": by_hand()}, 7, 5)
    return row("training step, frozen prefix of ResNet-18", seconds, 1.03)


def proof() -> Row:
    """verify() over a frozen ResNet-18 beside one forward pass of it."""
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    models = with_torchvision(lambda: __import__("torchvision").models)
    model = models.resnet18(num_classes=10)
    plan = layerlr.parse("** -> lr 1e-3\nfreeze * except fc").resolve(model, epochs=10, steps_per_epoch=10)
    schedule = plan.schedule(model, plan.optimizer(model))
    images = torch.randn(8, 3, 64, 64)
    return row(
        "verify(), 11 million frozen parameters",
        least({"verify": schedule.verify, "forward": lambda: model(images)}, 2, 8),
        None,
    )


def rows() -> list[Row]:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    return [
        step_between_boundaries(7, tensors=False),
        step_between_boundaries(60, tensors=False),
        step_between_boundaries(60, tensors=True),
        everything_moves(60),
        everything_moves(60, by_itself=True),
        stage_change(),
        hooks_around_a_step(),
        frozen_prefix(),
        proof(),
    ]


if __name__ == "__main__":
    report(rows())
