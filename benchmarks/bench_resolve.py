"""Resolving against a live model, beside one `list(model.named_parameters())` of it and beside peers.

python benchmarks/bench_resolve.py
"""

from __future__ import annotations

from collections.abc import Callable

from measure import Row, in_turns, report
from models import mixture
from peers import mmengine_paramwise, regex_loop, timm_layer_decay
from torch import nn

import layerlr_dsl as layerlr
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.model.specs import build

FLOOR = "list(named_parameters())"

RESNET = """\
version 1
epochs 30
let base = 1e-3
let decay = 0.7
optimizer adamw(weight_decay=0.05)
schedule cosine(warmup=1 epoch, floor=0.01)
group stem = conv1, bn1
group head = fc
** -> lr base
layer<i> -> lr *= decay ^ (last(i) - i + 1)
@stem -> lr *= decay ^ 5
@head -> lr base * 2
layer4.*.conv2 -> lr 5e-4
** where ndim <= 1 or module is norm -> weight_decay 0
freeze @stem until epoch 5
freeze layer1 until epoch 3
freeze layer2.*.bn1 until epoch 2
expect layer4.0.conv1.weight lr == base * decay
expect @head lr == base * 2
expect @stem frozen at epoch 4
"""
VIT = """\
version 1
epochs 100
let base = 5e-4
let decay = 0.65
let layers = 12
optimizer adamw(betas=(0.9, 0.999), weight_decay=0.05)
schedule cosine(warmup=5 epochs)
group embeddings = patch_embed, cls_token, pos_embed
group top = head, norm
** -> lr base
blocks.<i> -> lr *= decay ^ (last(i) - i + 1)
@embeddings -> lr *= decay ^ (layers + 1)
** where ndim <= 1 or module is norm -> weight_decay 0
cls_token, pos_embed -> weight_decay 0
freeze @embeddings until epoch 5
freeze blocks.{0..3} until epoch 3
blocks.*.mlp.fc2 -> betas (0.9, 0.98)
expect @top lr == base
expect blocks.11 lr == base * decay
expect @embeddings frozen at epoch 4
"""


def sixty_rules() -> str:
    """One rule for each layer."""
    lines = [f"layers.{i} -> lr {1e-4 * 0.9 ** (60 - i):.6g}" for i in range(60)]
    return "\n".join(["embedding, head -> lr 1e-3", *lines])


def thousand_rules(conditions: bool) -> str:
    """A thousand rules; with `conditions`, every other one asks for ndim, module and a capture."""
    lines = ["** -> lr 1e-4"]
    for k in range(1000):
        if k % 2 or not conditions:
            lines.append(f"layers.{k % 60}.experts.{k * 7 % 415} -> lr {1e-5 * (k + 1):.6g}")
        else:
            where = f"ndim == 2 and module is linear and i >= {k % 60}"
            projection = f"{'qkvo'[k // 2 % 4]}_proj"
            lines.append(f"layers.<i>.attention.{projection} where {where} -> weight_decay {k * 1e-5:.6g}")
    return "\n".join(lines)


def broad_conditions() -> str:
    """A thousand rules, half of which look at every expert of every layer."""
    lines = ["** -> lr 1e-4"]
    for k in range(1000):
        if k % 2:
            lines.append(f"layers.{k % 60}.experts.{k * 7 % 415} -> lr {1e-5 * (k + 1):.6g}")
        else:
            where = f"ndim == {1 + k // 2 % 2} and module is linear and i >= {k % 60}"
            lines.append(f"layers.<i>.experts where {where} -> weight_decay {k * 1e-5:.6g}")
    return "\n".join(lines)


def held_against_the_floor(
    model: nn.Module,
    sides: dict[str, tuple[Callable[[], object] | None, float | None]],
    rounds: int,
    calls: int = 1,
) -> list[Row]:
    """A row for each side that there is, all timed in turns with the bare walk."""
    present = {name: call for name, (call, _) in sides.items() if call is not None}
    seconds = in_turns({FLOOR: lambda: list(model.named_parameters()), **present}, rounds, calls)
    return [Row(name, seconds[name], seconds[FLOOR], FLOOR, sides[name][1]) for name in present]


def resolving(text: str, model: nn.Module, times: int) -> Callable[[], object]:
    """Resolving rules up to so many times; they are parsed outside the clock."""
    parsed = [layerlr.parse(text) for _ in range(times)]
    return lambda: parsed.pop().resolve(model)


def large() -> list[Row]:
    model = mixture()
    keys = {f"layers.{i}.": {"lr_mult": 0.9 ** (60 - i)} for i in range(60)}
    patterns = [rf"layers\.{i}\." for i in range(60)]
    rounds = 3
    sides: dict[str, tuple[Callable[[], object] | None, float | None]] = {
        "Inventory.of, 99,963 tensors": (lambda: Inventory.of(model), None)
    }
    for what, text, target in (
        ("60 rules, 99,963 tensors", sixty_rules(), 2.0),
        ("1,000 rules", thousand_rules(False), 3.0),
        ("1,000 rules, `where` in half", thousand_rules(True), 3.0),
        ("1,000 rules, `where` over every expert in half", broad_conditions(), 3.0),
    ):
        sides[f"resolve {what}"] = (resolving(text, model, rounds), target)
    sides["peer: ordered regex loop, 60 patterns"] = (regex_loop(model, patterns), None)
    sides["peer: mmengine, 60 keys"] = (mmengine_paramwise(model, keys), None)
    return held_against_the_floor(model, sides, rounds)


def small(name: str, spec: str, text: str, keys: dict[str, dict[str, float]]) -> list[Row]:
    model = build(spec, meta=True)
    rounds, calls = 25, 4
    return held_against_the_floor(
        model,
        {
            f"resolve 20 lines on {name}": (resolving(text, model, rounds * calls), 5.0),
            f"Inventory.of, {name}": (lambda: Inventory.of(model), None),
            f"peer: timm's layer decay, {name}": (timm_layer_decay(model), None),
            f"peer: mmengine, {name}": (mmengine_paramwise(model, keys), None),
        },
        rounds=rounds,
        calls=calls,
    )


def rows() -> list[Row]:
    stages = {f"layer{i}.": {"lr_mult": 0.7 ** (5 - i)} for i in range(1, 5)}
    blocks = {f"blocks.{i}.": {"lr_mult": 0.65 ** (12 - i)} for i in range(12)}
    return [
        *large(),
        *small("ResNet-18", "timm:resnet18", RESNET, stages),
        *small("ViT-B/16", "timm:vit_base_patch16_224", VIT, blocks),
    ]


if __name__ == "__main__":
    report(rows())
