"""What is known of a module from its class alone: its names, its families, whether it wraps another.

Classes are told by their qualified names along the MRO, so nothing is imported to recognise them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args
from weakref import WeakKeyDictionary

from layerlr_dsl.tools.records import record

Family = Literal["norm", "conv", "linear", "embedding", "attention"]
FAMILIES: tuple[Family, ...] = get_args(Family)

# The child under which each wrapper keeps the module that it wraps.
WRAPPERS: Mapping[str, str] = {
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": "_fsdp_wrapped_module",
    "torch.distributed.algorithms._checkpoint.checkpoint_wrapper.ActivationWrapper": "_checkpoint_wrapped_module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "timm.utils.model_ema.ModelEmaV2": "module",
    "timm.utils.model_ema.ModelEmaV3": "module",
    "peft.peft_model.PeftModel": "base_model",
    "peft.mixed_model.PeftMixedModel": "base_model",
    "peft.tuners.tuners_utils.BaseTuner": "model",
    "lightning.fabric.wrappers._FabricModule": "_forward_module",
    "lightning_fabric.wrappers._FabricModule": "_forward_module",
    "deepspeed.runtime.engine.DeepSpeedEngine": "module",
}

PARAMETRIZATION_LIST = "torch.nn.utils.parametrize.ParametrizationList"


@record
class ModuleClass:
    """A module's class as `where module is ...` sees it.

    `bases` are the names of its base classes in method resolution order, `object` left out;
    `families` are those of norm, conv, linear, embedding and attention that it belongs to.
    """

    name: str
    qualified: str
    bases: tuple[str, ...]
    families: frozenset[Family]

    def is_called(self, word: str) -> bool:
        """Whether `module is WORD` names this class or a base of it."""
        return word in (self.name, self.qualified) or word in self.bases


@record
class Kind:
    """How the walk treats modules of one Python type."""

    original: type  # the class before parametrize or fully_shard replaced it
    described: ModuleClass
    inner: str | None  # for a wrapper: the child that it wraps
    parametrization: bool


# A word of CamelCase that names the family, and nothing but trimmings after it: `LlamaRMSNorm`,
# `BatchNormAct2d` and `MambaRMSNormGated` are norms, `NormMlpClassifierHead` and `ConvNormAct` are not.
_TRIMMINGS = r"(?:[1-3N]?[dD]|Act|Gated|Layer|Fp32|Exp|Tlu|Same|Transpose|[BS]\d[ab]?|\d)*$"
# A `ResidualAttentionBlock` has an attention and much else.
_LARGER = r"(?:Block|Layer|Stage|Encoder|Decoder|Transformer|Model|Net|For)(?![a-z])"
_NAMED: Mapping[Family, re.Pattern[str]] = {
    "norm": re.compile(r"(?<!Conv)Norm" + _TRIMMINGS),
    "conv": re.compile(r"Conv" + _TRIMMINGS),
    "linear": re.compile(r"(?:(?<!Non)Linear|Bilinear)(?:\d\w*|NF4|FP[48]|Layer|ReLU)?$"),
    "embedding": re.compile(r"Embeddings?(?:Bag)?" + _TRIMMINGS),
    "attention": re.compile(rf"(?<!With)(?<!No)(?:Attention|Attn(?![a-z]))(?!\w*{_LARGER})"),
}
_LINEAR_IN_SPITE_OF_ITS_NAME = "transformers.pytorch_utils.Conv1D"

_kinds: WeakKeyDictionary[type, Kind] = WeakKeyDictionary()


def qualified_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def kind_of(cls: type) -> Kind:
    """What the walk must know of a module's Python type (remembered for as long as the type lives)."""
    kind = _kinds.get(cls)
    if kind is None:
        original = original_class(cls)
        along = [qualified_name(base) for base in original.__mro__]
        inner = next((WRAPPERS[name] for name in along if name in WRAPPERS), None)
        kind = Kind(original, describe(original), inner, PARAMETRIZATION_LIST in along)
        _kinds[cls] = kind
    return kind


def original_class(cls: type) -> type:
    """The class that `parametrize` and `fully_shard` (or `replicate`) replaced in place, else `cls`."""
    while True:
        bases = cls.__bases__
        if cls.__module__ == "torch.nn.utils.parametrize" and cls.__name__.startswith("Parametrized"):
            cls = bases[0]
        elif len(bases) == 2 and _is_sharding_mixin(bases[0]) and cls.__name__.endswith(bases[1].__name__):
            cls = bases[1]
        else:
            return cls


def _is_sharding_mixin(cls: type) -> bool:
    return cls.__module__.startswith("torch.distributed.") and cls.__name__ in (
        "FSDPModule",
        "ReplicateModule",
        "DDP",
    )


def describe(cls: type) -> ModuleClass:
    """The class as rules see it."""
    bases = tuple(base.__name__ for base in cls.__mro__[1:] if base is not object)
    families: set[Family] = {
        family for family, pattern in _NAMED.items() if any(map(pattern.search, (cls.__name__, *bases)))
    }
    if any(qualified_name(base) == _LINEAR_IN_SPITE_OF_ITS_NAME for base in cls.__mro__):
        families = families - {"conv"} | {"linear"}
    return ModuleClass(cls.__name__, qualified_name(cls), bases, frozenset(families))
