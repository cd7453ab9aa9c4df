"""mmengine's `optim_wrapper` with `paramwise_cfg`, and the layer-decay constructors of mmseg and mmdet.

Source: mmengine/optim/optimizer/default_constructor.py (0.10.7) and
mmseg/engine/optimizers/layer_decay_optimizer_constructor.py (1.2). Python files are read, never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.common import (
    Setup,
    checked_option,
    containing,
    literal,
    plain_names,
    product,
    setup,
)
from layerlr_dsl.importers.description import Description, LeftOut, Rule, SourceFault
from layerlr_dsl.importers.mmengine_schedules import mmengine_schedule
from layerlr_dsl.importers.reading import Node, Section, as_section
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.printing import text_of

if TYPE_CHECKING:
    import torch
    from torch import nn

KIND = "mmengine"
ABOUT = "mmengine, mmdet, mmseg, ...: `optim_wrapper` of a Python, JSON or YAML configuration"

_MULTIPLIERS = ("norm_decay_mult", "bias_decay_mult", "bias_lr_mult", "dwconv_decay_mult", "flat_decay_mult")
_LAYERED = ("LearningRateDecayOptimizerConstructor", "LayerDecayOptimizerConstructor")
_DEFAULT = ("DefaultOptimWrapperConstructor",)
_NORMS = ("_BatchNorm", "_InstanceNorm", "GroupNorm", "LayerNorm")


def recognizes(root: Node) -> bool:
    """Whether the data has an `optim_wrapper`, or the `optimizer` of before mmengine."""
    return isinstance(root.value, dict) and "optim_wrapper" in root.value


def describe(root: Node, model: nn.Module | None = None) -> Description:
    """The rules of a configuration. Raises SourceFault."""
    top = as_section(root)
    wrapper = top.section("optim_wrapper")
    if wrapper is None:
        old = "optimizer" in top
        help = "mmcv's `optimizer = dict(...)` of 2022 is another format: move it into `optim_wrapper`"
        raise SourceFault("there is no `optim_wrapper`", top.line("optimizer"), help if old else None)
    made = _optimizer(wrapper)
    paramwise = wrapper.section("paramwise_cfg")
    rate = made.value("lr")
    if rate is None:
        raise SourceFault("the optimizer has no `lr`", wrapper.line("optimizer"))
    rules = [Rule(nodes.selector(), {"lr": rate})]
    left = [*made.left_out]
    constructor = wrapper.text("constructor", _DEFAULT[0]).rpartition(".")[2]
    if paramwise is not None:
        rules += _rules(paramwise, constructor, made, left, wrapper, _backbone(top))
    left += _unsaid(wrapper)
    alike = len({text_of(nodes.value(rule.options.get("lr", rate))) for rule in rules}) == 1
    over_time = mmengine_schedule(top, rate, alike, left)
    return Description(
        KIND,
        tuple(rules),
        made.factory,
        lets=over_time.lets,
        schedule=over_time.schedule,
        epochs=over_time.epochs,
        steps=over_time.steps,
        left_out=tuple(left),
        lines={
            "optimizer": wrapper.line("optimizer"),
            "schedule": top.line("param_scheduler"),
            **dict.fromkeys(("epochs", "steps"), top.line("train_cfg")),
        },
    )


def _backbone(top: Section) -> str:
    """The class of the backbone, where the file describes the model."""
    model = top.section("model")
    backbone = None if model is None else model.section("backbone")
    return "" if backbone is None else backbone.text("type", "")


def _optimizer(wrapper: Section) -> Setup:
    section = wrapper.section("optimizer")
    if section is None:
        raise SourceFault("`optim_wrapper` has no `optimizer`", wrapper.node.line)
    kind = section.text("type")
    if kind is None:
        raise SourceFault("`optimizer` has no `type`", section.node.line)
    named = kind.rpartition(".")[2]
    arguments = {key: section.take(key) for key in section.node.value if key != "type"}
    return setup(named, arguments, section.line("type"), {key: section.line(key) for key in arguments})


def _unsaid(wrapper: Section) -> Iterator[LeftOut]:
    reasons = {
        "clip_grad": "gradients are clipped in the training loop, not by rules",
        "accumulative_counts": "gradients are accumulated by the training loop",
    }
    wrapper.ignore("type", "dtype", "loss_scale", *reasons)
    yield from wrapper.refused(reasons)
    yield from wrapper.unknown()


def _rules(
    paramwise: Section, constructor: str, made: Setup, left: list[LeftOut], wrapper: Section, backbone: str
) -> list[Rule]:
    if constructor in _LAYERED:
        return list(_layered(paramwise, constructor, made, left, backbone))
    if constructor not in _DEFAULT:
        message = f"`constructor` `{constructor}`: what it does is not known here; read as the default one"
        left.append(LeftOut(message, wrapper.line("constructor")))
    return list(_default(paramwise, made, left))


def _default(paramwise: Section, made: Setup, left: list[LeftOut]) -> Iterator[Rule]:
    decay = made.arguments.get("weight_decay")
    multipliers = {key: paramwise.number(key, None, 0) for key in _MULTIPLIERS}
    for key, factor in multipliers.items():
        if factor is not None and key != "bias_lr_mult" and decay is None:
            raise SourceFault(f"`{key}` needs a `weight_decay` of the optimizer", paramwise.line(key))
    yield from _by_kind(paramwise, multipliers, made)
    yield from _custom(paramwise, made, left)
    if paramwise.flag("bypass_duplicate"):
        left.append(
            LeftOut(
                "`bypass_duplicate`: needs no rule, a parameter that stands at several places is one",
                paramwise.line("bypass_duplicate"),
                matters=False,
            )
        )
    left += paramwise.refused(
        {"dcn_offset_lr_mult": "for mmcv's deformable convolutions; write a rule for `**.conv_offset`"}
    )
    left += paramwise.unknown()


def _by_kind(paramwise: Section, multipliers: Mapping[str, Any], made: Setup) -> Iterator[Rule]:
    """Rules for flat parameters, depthwise convolutions, biases and norms: each wins over those before it."""
    norms = nodes.any_of(tuple(nodes.module_is(word) for word in _NORMS))
    short = (nodes.selector(where=nodes.module_is("norm")),)
    biases = nodes.compared("name", "==", "bias")
    depthwise = nodes.all_of((nodes.module_is("Conv2d"), nodes.module_is("depthwise")))
    anywhere = nodes.selector(nodes.pattern("**.bias"))
    conditions: tuple[tuple[str, s.Expression, tuple[s.Selector, ...]], ...] = (
        (
            "flat_decay_mult",
            nodes.compared("ndim", "==", 1),
            (nodes.selector(where=nodes.compared("ndim", "<=", 1)),),
        ),
        ("dwconv_decay_mult", depthwise, (nodes.selector(where=nodes.module_is("depthwise")),)),
        ("bias_decay_mult", biases, (anywhere,)),
        ("norm_decay_mult", norms, short),
    )
    for key, where, shorter in conditions:
        if multipliers[key] is not None:
            options = {"weight_decay": product(made.arguments["weight_decay"], multipliers[key])}
            yield Rule(nodes.selector(where=where), options, paramwise.line(key), key, shorter)
    if multipliers["bias_lr_mult"] is not None:
        where = nodes.all_of((biases, nodes.negated(norms)))
        shorter = (nodes.selector(where=nodes.all_of((biases, nodes.negated(nodes.module_is("norm"))))),)
        options = {"lr": product(made.value("lr"), multipliers["bias_lr_mult"])}
        yield Rule(
            nodes.selector(where=where), options, paramwise.line("bias_lr_mult"), "bias_lr_mult", shorter
        )


def _custom(paramwise: Section, made: Setup, left: list[LeftOut]) -> Iterator[Rule]:
    """The longest key that a name holds decides, and of those as long the first in the alphabet."""
    section = paramwise.section("custom_keys")
    keys = [] if section is None else sorted(sorted(section.node.value), key=len, reverse=True)
    for key in reversed(keys):
        assert section is not None
        entry = section.section(key)
        if entry is None:
            raise SourceFault(f"`{key}` must be a mapping", section.line(key))
        options = dict(_multiplied(entry, made, left))
        where = _holding(key)
        yield Rule(where, options, section.line(key), f"custom key `{key}`", plain_names(key))


def _holding(key: str) -> s.Selector:
    """Names that hold the key; mmengine writes a dot before the names of the root's own parameters."""
    if key.startswith(".") and len(key) > 1:
        return nodes.selector(nodes.regex(f"(.*\\.)?{literal(key[1:])}.*"))
    return nodes.selector(containing(key))


def _multiplied(entry: Section, made: Setup, left: list[LeftOut]) -> Iterator[tuple[str, Any]]:
    lr = product(made.value("lr"), entry.number("lr_mult", 1.0, 0))
    yield "lr", entry.number("lr", None, 0) if "lr" in entry else lr
    decay = made.arguments.get("weight_decay")
    factor = entry.number("decay_mult", 1.0, 0)
    if decay is not None:
        own = entry.number("weight_decay", None, 0)
        yield "weight_decay", product(decay, factor) if own is None else own
    elif "decay_mult" in entry:
        raise SourceFault("`decay_mult` needs a `weight_decay` of the optimizer", entry.line("decay_mult"))
    for key, node in entry.node.value.items():
        if key in ("lr_mult", "decay_mult", "lr", "weight_decay"):
            continue
        if key in made.info.options:
            yield key, checked_option(made, key, _plain(entry.take(key)), node.line)
        else:
            left.append(LeftOut(f"`{entry.name}.{key}`: {made.info.name} reads no such option", node.line))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# ---------------------------------------------------------------- layer decay


def _layered(
    paramwise: Section, constructor: str, made: Setup, left: list[LeftOut], backbone: str
) -> Iterator[Rule]:
    """Rates that fall towards the input, by the names that ConvNeXt, BEiT and MAE have in mmseg and mmdet."""
    old = constructor == "LayerDecayOptimizerConstructor"
    layers = paramwise.whole("num_layers", least=1)
    ratio = paramwise.number("layer_decay_rate" if old else "decay_rate", least=0)
    kind = "layer_wise_vit" if old else paramwise.text("decay_type", "layer_wise")
    if layers is None or ratio is None:
        raise SourceFault(f"{constructor} needs `num_layers` and `decay_rate`", paramwise.node.line)
    if kind not in ("layer_wise", "stage_wise", "layer_wise_vit"):
        raise SourceFault("`decay_type` is `layer_wise` or `stage_wise`", paramwise.line("decay_type"))
    base, line = made.value("lr"), paramwise.node.line
    if kind == "stage_wise":
        levels = list(_stage_wise(layers))
    elif old or "BEiT" in backbone or "MAE" in backbone:
        levels = list(_of_transformer(layers))
    elif "ConvNeXt" in backbone:
        levels = list(_of_convnext(layers))
    else:
        levels = [*_of_transformer(layers), *_of_convnext(layers)]
    for which, level in levels:
        yield Rule(which, {"lr": nodes.arithmetic(base, "*", nodes.arithmetic(ratio, "^", level))}, line, "")
    flat = nodes.any_of((nodes.compared("ndim", "==", 1), nodes.compared("name", "==", "bias")))
    shorter = (nodes.selector(where=nodes.compared("ndim", "<=", 1)),)
    yield Rule(nodes.selector(where=flat), {"weight_decay": 0}, line, constructor, shorter)
    left += paramwise.unknown()


def _of_transformer(layers: int) -> Iterator[tuple[s.Selector, Any]]:
    tokens = ("cls_token", "mask_token", "pos_embed", "patch_embed")
    early = tuple(nodes.pattern(f"backbone.{token}") for token in tokens)
    number = nodes.name("i")
    for item in early:
        yield nodes.selector(item), layers + 1
    yield nodes.selector(nodes.pattern("backbone.layers.<i>")), nodes.arithmetic(layers, "-", number)


def _of_convnext(layers: int) -> Iterator[tuple[s.Selector, Any]]:
    for stage, level in enumerate((0, 2, 3, layers)):
        yield nodes.selector(nodes.pattern(f"backbone.downsample_layers.{stage}")), layers + 1 - level
    for stage, level in ((0, 1), (1, 2), (3, layers)):
        yield nodes.selector(nodes.pattern(f"backbone.stages.{stage}")), layers + 1 - level
    thirds = nodes.call("floor", nodes.arithmetic(nodes.name("i"), "/", 3))
    yield nodes.selector(nodes.pattern("backbone.stages.2.<i>")), nodes.arithmetic(layers - 2, "-", thirds)


def _stage_wise(layers: int) -> Iterator[tuple[s.Selector, Any]]:
    yield nodes.selector(nodes.pattern("backbone.downsample_layers")), layers + 1
    number = nodes.name("i")
    yield nodes.selector(nodes.pattern("backbone.stages.<i>")), nodes.arithmetic(layers, "-", number)


def own(root: Node, model: nn.Module) -> torch.optim.Optimizer | None:
    """mmengine's own optimizer of a configuration. Raises ImportError where it is not installed."""
    from mmengine.optim import build_optim_wrapper

    config = as_section(root).section("optim_wrapper")
    assert config is not None
    plain = config.node.plain()
    if str(plain.get("constructor", _DEFAULT[0])).rpartition(".")[2] not in _DEFAULT:
        return None
    plain["type"] = "OptimWrapper"
    plain.pop("loss_scale", None)
    plain.pop("dtype", None)
    optimizer: torch.optim.Optimizer = build_optim_wrapper(model, plain).optimizer
    return optimizer
