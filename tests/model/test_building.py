"""Building models from their specs with the real libraries."""

from __future__ import annotations

import json
import random
import resource
import socket
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from layerlr_dsl.model import Inventory, ModelError, limits
from layerlr_dsl.model.libraries import import_library
from layerlr_dsl.model.specs import build, inventory_of_spec


def described(inventory: Inventory) -> object:
    """All of it but the order in which modules run, which only a model that is built for its inventory tells."""
    return replace(inventory, order=None).to_json()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any attempt at a connection fails the test."""

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.slow
def test_every_torchvision_model_builds_without_memory():
    """All names of list_models(), detection, segmentation, video and quantised ones included."""
    names = import_library("torchvision.models").list_models()
    assert len(names) >= 121
    for name in names:
        model = build(f"torchvision:{name}", meta=True)
        inventory = Inventory.of(model)
        assert inventory.total_numel > 300_000, name
        assert all(parameter.is_meta for parameter in model.parameters()), name


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_b_16", "regnet_y_400mf", "maskrcnn_resnet50_fpn", "googlenet"]
)
def test_a_model_without_memory_has_the_inventory_of_the_real_one(name):
    """Names, shapes, classes and ties are those of a model that was built with memory."""
    tv = import_library("torchvision.models")
    make = tv.get_model_builder(name)
    backbone = {"weights_backbone": None} if "rcnn" in name else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = make(weights=None, **backbone)
    spec = f"torchvision:{name}"
    assert described(inventory_of_spec(spec)) == described(Inventory.of(real, source=spec))


@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",
        "vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "convnext_atto",
        "tf_efficientnet_lite0",
        "mobilenetv3_small_050.lamb_in1k",
        "eva02_tiny_patch14_224",
        "dm_nfnet_f0",
        "mixer_s32_224",
        "xcit_nano_12_p8_224",
        "regnetx_002",
    ],
)
def test_timm_models_have_the_inventory_of_the_real_ones(name):
    """timm's architectures, pretrained tags in names included."""
    real = import_library("timm").create_model(name, pretrained=False)
    inventory = inventory_of_spec(f"timm:{name}")
    assert described(inventory) == described(Inventory.of(real, source=f"timm:{name}"))


def test_arguments_reach_the_constructor():
    """num_classes is the head's height, in torchvision and timm."""
    for spec in ("torchvision:resnet18(num_classes=7)", "timm:resnet10t(num_classes=7, in_chans=1)"):
        inventory = inventory_of_spec(spec)
        assert inventory.shapes[inventory.names.index("fc.bias")] == (7,)
        assert inventory.source.startswith(spec.partition("(")[0])


@pytest.mark.parametrize(
    ("spec", "message", "help"),
    [
        ("torchvision:resnet81", "torchvision has no model `resnet81`", "resnet18"),
        ("timm:vit_tiny_patch16_225", "timm has no model", "vit_tiny_patch16_224"),
        ("torchvision:resnet18(num_clases=3)", "takes no `num_clases`", "num_classes"),
        ("torchvision:vit_b_16(imagesize=3)", "takes no `imagesize`", "image_size"),
        ("timm:resnet10t(num_clases=3)", "takes no `num_clases`", "num_classes"),
        ("torchvision:resnet18(num_classes='ten')", "cannot be built: TypeError", None),
        ("torchvision:vit_b_16(image_size=15)", "indivisible by patch size", None),
        ("timm:vit_tiny_patch16_224(num_heads=7)", "cannot be built: AssertionError", None),
        ("torchvision:resnet18(num_classes=-1)", "cannot be built", None),
    ],
)
def test_what_cannot_be_built_is_told_in_a_sentence(spec, message, help):
    """The cause, a near miss where there is one, and no traceback."""
    with pytest.raises(ModelError) as caught:
        inventory_of_spec(spec)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is None
    if help:
        assert help in (caught.value.help or "")


def test_a_constructor_without_end_is_stopped(monkeypatch):
    """A depth of 50,000 ends in an error, not in a full memory; the next model is built as ever."""
    monkeypatch.setattr(limits, "MOST_OF_AN_ARCHITECTURE", 2000)
    with pytest.raises(ModelError, match="more than 2,000 modules and parameters"):
        inventory_of_spec("timm:vit_tiny_patch16_224(depth=50000)")
    assert len(inventory_of_spec("timm:resnet10t")) > 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory can only be bounded there")
def test_a_constructor_that_eats_memory_is_stopped(monkeypatch):
    """A list of a thousand million entries is refused by the system; the limit ends with the build."""
    monkeypatch.setattr(limits, "MOST_MEMORY", 2**30)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ModelError, match="cannot be built"):
        inventory_of_spec("timm:vit_tiny_patch16_224(depth=1000000000)")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_head_of_a_terabyte_takes_no_memory():
    """Sizes are names on the meta device."""
    inventory = inventory_of_spec("torchvision:resnet18(num_classes=500000000)")
    assert inventory.total_numel > 2.5e11


def test_a_fault_that_is_no_matter_of_memory_is_the_one_that_is_told(tmp_path, monkeypatch):
    """A constructor that fails at its end takes real memory when it is tried again; not that is its fault."""
    (tmp_path / "eats.py").write_text(
        "import torch\n"
        "def wrong():\n    torch.empty(2**50)\n    return {}['no such layer']\n"
        "def reads():\n    return torch.zeros(2**50).sum().item()\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="KeyError: 'no such layer'"):
        inventory_of_spec("python:eats:wrong", allow_python=True)
    with pytest.raises(ModelError, match="too much memory"):
        inventory_of_spec("python:eats:reads", allow_python=True)


def test_no_random_state_moves():
    """Reading a model for its names changes no seed of torch, NumPy or Python."""
    import_library("timm")
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()
    build("torchvision:regnet_y_400mf", meta=True)
    build("python:testing_models:real", meta=True)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert numpy.random.get_state()[1].tolist() == before[2][1].tolist()


def test_a_real_build_follows_the_seed():
    """What the runner builds is initialised by the process's own random state."""
    torch.manual_seed(3)
    first = build("timm:resnet10t").fc.weight
    second = build("timm:resnet10t").fc.weight
    torch.manual_seed(3)
    assert torch.equal(build("timm:resnet10t").fc.weight, first)
    assert not torch.equal(first, second)
    assert not first.is_meta


def test_an_inventory_is_no_model_to_train(tmp_path):
    """build refuses a stored inventory; inventory_of_spec reads it."""
    path = tmp_path / "model.json"
    Inventory.of(nn.Linear(2, 2)).save(path)
    assert inventory_of_spec("model.json", root=tmp_path).names == ["weight", "bias"]
    with pytest.raises(ModelError, match="holds names and shapes"):
        build("model.json", root=tmp_path)


def test_progress_is_told_before_something_slow_and_only_then():
    """One sentence for a build, none for what is remembered."""
    said: list[str] = []
    inventory_of_spec("timm:resnet10t", progress=said.append)
    inventory_of_spec("timm:resnet10t", progress=said.append)
    assert len(said) == 1
    assert "timm:resnet10t" in said[0]


# ---------------------------------------------------------------- python:


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch) -> Path:
    """A working directory with a module of models; forgotten afterwards."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "testing_models.py").write_text(
        textwrap.dedent(
            """
            import random
            import torch
            from torch import nn

            def real(width=3):
                random.random()
                weight = torch.rand(width, width)
                assert weight.sum().item() > 0
                print("on standard output")
                return nn.Sequential(nn.Linear(width, width), nn.Flatten())

            class Nets:
                Tiny = nn.Flatten

            def no_model(): return 3
            def leaves(): raise SystemExit(7)
            def breaks(): raise KeyError("no\\x1b[31m key\\nat all")
            number = 3
            """
        )
    )
    (folder / "broken_models.py").write_text("import missing_dependency")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "testing_models", raising=False)
    return folder


def test_python_specs_name_a_callable_in_the_working_folder():
    """A function or a class, by its path in the module, arguments given."""
    before = list(sys.path)
    spec = "python:testing_models:real(width=5)"
    assert inventory_of_spec(spec, allow_python=True).shapes == [(5, 5), (5,)]
    assert len(inventory_of_spec("python:testing_models:Nets.Tiny", allow_python=True)) == 0
    assert sys.path == before


def test_python_specs_are_never_remembered(own_cache):
    """The code may have changed since."""
    inventory_of_spec("python:testing_models:real", allow_python=True)
    assert not own_cache.exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("python:no_such_module:x", "there is no module `no_such_module`"),
        ("python:testing_models.sub:x", "there is no module `testing_models.sub`"),
        ("python:testing_models:raal", "there is no `raal`"),
        ("python:testing_models:number", "is a int, not something to call"),
        ("python:testing_models:no_model", "gives a int"),
        ("python:testing_models:leaves", "SystemExit"),
        ("python:testing_models:breaks", "KeyError"),
        ("python:testing_models:real(depth=1)", "takes no `depth`"),
        ("python:broken_models:x", "No module named 'missing_dependency'"),
    ],
)
def test_python_specs_that_fail_are_told_in_a_sentence(spec, message):
    """The user's own code may do anything; the message stays on one printable line."""
    with pytest.raises(ModelError) as caught:
        inventory_of_spec(spec, allow_python=True)
    assert message in caught.value.message
    assert caught.value.message.isprintable()


def test_what_a_constructor_prints_leaves_standard_output_alone(capsys):
    """Standard output is for results."""
    with pytest.raises(ModelError):
        inventory_of_spec("torchvision:resnet18(num_clases=1)")
    inventory_of_spec("torchvision:googlenet")
    inventory_of_spec("python:testing_models:real", allow_python=True)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- broken pairs


def test_a_torchvision_without_its_operators_still_gives_models():
    """Where torchvision's operators do not load, its import is mended; where they do, nothing is touched."""
    code = (
        "from layerlr_dsl.model.torchvision_compat import with_torchvision, _declared\n"
        "import importlib\n"
        "try:\n    import torchvision; broken = False\n"
        "except RuntimeError: broken = True\n"
        "tv = with_torchvision(lambda: importlib.import_module('torchvision'))\n"
        "assert tv.models.resnet18 and bool(_declared) == broken\n"
        "import torchvision.transforms.v2\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_other_failures_of_an_import_are_not_tried_again():
    """Only the one failure that can be mended is."""
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    calls: list[int] = []

    def fails() -> None:
        calls.append(1)
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        with_torchvision(fails)
    assert len(calls) == 1


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch):
    """timm and transformers come with an extra."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="timm") as caught:
        build("timm:resnet10t", meta=True)
    assert 'pip install "layerlr-dsl[models]"' in (caught.value.help or "")


# ---------------------------------------------------------------- hf:

BASE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
}
CONFIGS = {
    "BertForMaskedLM": {**BASE, "model_type": "bert"},
    "BertForSequenceClassification": {**BASE, "model_type": "bert", "num_labels": 5, "dtype": "bfloat16"},
    "LlamaForCausalLM": {**BASE, "model_type": "llama", "num_key_value_heads": 2},
    "MixtralForCausalLM": {**BASE, "model_type": "mixtral", "num_key_value_heads": 2, "num_local_experts": 4},
    "ViTForImageClassification": {**BASE, "model_type": "vit", "image_size": 32, "patch_size": 16},
    "GPT2LMHeadModel": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 100},
    "T5ForConditionalGeneration": {
        "model_type": "t5",
        "d_model": 32,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 2,
        "d_kv": 16,
        "vocab_size": 100,
    },
}


def folder_of(tmp_path: Path, config: object, name: str = "model") -> Path:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_transformers_folder_gives_the_class_that_its_config_names(architecture, tmp_path):
    """The same names, shapes, dtypes and ties as from_pretrained's own way to the class."""
    transformers = import_library("transformers")
    folder = folder_of(tmp_path, {**CONFIGS[architecture], "architectures": [architecture]})
    inventory = inventory_of_spec("hf:model", root=tmp_path)
    config = transformers.AutoConfig.from_pretrained(folder)
    cls = getattr(transformers, architecture)
    real = cls._from_config(config)
    assert described(inventory) == described(Inventory.of(real, source="hf:model"))
    assert inventory.classes[0].name == architecture


def test_a_config_without_architectures_gives_the_bare_model(tmp_path):
    """As AutoModel does."""
    folder_of(tmp_path, {**BASE, "model_type": "bert"})
    assert inventory_of_spec("hf:model", root=tmp_path).classes[0].name == "BertModel"


@pytest.mark.parametrize("architecture", ["os", "LlamaForCausalLM", "__class__", "AutoModel", 3, None])
def test_an_architecture_that_does_not_fit_gives_the_bare_model(architecture, tmp_path):
    """Only a model class of transformers for this very configuration is taken."""
    folder_of(tmp_path, {**BASE, "model_type": "bert", "architectures": [architecture]})
    assert inventory_of_spec("hf:model", root=tmp_path).classes[0].name == "BertModel"


def test_a_model_that_was_saved_by_transformers_is_read_from_its_config_alone(tmp_path):
    """The folder's weights are not opened: one that is damaged makes no difference."""
    transformers = import_library("transformers")
    config = transformers.BertConfig(**BASE)
    model = transformers.BertForTokenClassification(config)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    inventory = inventory_of_spec("hf:model", root=tmp_path)
    assert inventory.names == [name for name, _ in model.named_parameters()]


def test_a_detection_model_never_fetches_its_backbone(tmp_path):
    """use_pretrained_backbone is off whatever the config says, and no request leaves the process."""
    detr = {
        "model_type": "detr",
        "architectures": ["DetrForObjectDetection"],
        "use_timm_backbone": True,
        "backbone": "resnet18",
        "use_pretrained_backbone": True,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
    }
    folder_of(tmp_path, detr)
    assert inventory_of_spec("hf:model", root=tmp_path).classes[0].name == "DetrForObjectDetection"
    folder_of(tmp_path, {**detr, "use_timm_backbone": False, "backbone": "some-hub-model"}, "hub")
    with pytest.raises(ModelError, match="offline"):
        inventory_of_spec("hf:hub", root=tmp_path)


def test_offline_mode_ends_with_the_build(tmp_path):
    """The user's own downloads are not switched off."""
    import_library("transformers")
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    folder_of(tmp_path, {**BASE, "model_type": "bert"})
    inventory_of_spec("hf:model", root=tmp_path)
    assert constants.HF_HUB_OFFLINE is before


BAD_CONFIGS = {
    "code of its own": ({**BASE, "model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
    "code of its own, inside": (
        {"model_type": "bert", "text_config": {"auto_map": {"AutoConfig": "a.B"}}},
        "auto_map",
    ),
    "unknown type": ({**BASE, "model_type": "brt"}, "knows no model_type `brt`"),
    "no type": ({**BASE}, "names no model_type"),
    "a list": ([1], "names no model_type"),
    "not JSON": ("{", "is not JSON"),
    "deep": ("[" * 100_000, "is not JSON"),
    "a size that does not fit": ({**BASE, "model_type": "bert", "hidden_size": 33}, "cannot be built"),
    "a size that is text": ({**BASE, "model_type": "bert", "hidden_size": "x"}, "hidden_size"),
    "a backbone elsewhere": (
        {"model_type": "detr", "backbone": "../../elsewhere", "use_timm_backbone": False},
        "not a plain name",
    ),
}


@pytest.mark.parametrize(("config", "message"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_config_that_cannot_be_used_is_told_in_a_sentence(config, message, tmp_path):
    """Code of its own is never run, and never asked about."""
    folder_of(tmp_path, config)
    with pytest.raises(ModelError) as caught:
        inventory_of_spec("hf:model", root=tmp_path)
    assert message in caught.value.message


def test_a_kernel_named_in_a_config_is_not_fetched(tmp_path):
    """attn_implementation may name a hub repository with code; it changes no name, so it is left out."""
    odd = {
        "attn_implementation": "kernels-community/flash-attn",
        "_attn_implementation": "x/y",
        "use_kernels": True,
    }
    folder_of(tmp_path, {**BASE, "model_type": "bert", **odd})
    folder_of(tmp_path, {**BASE, "model_type": "bert"}, "plain")
    names = [inventory_of_spec(f"hf:{name}", root=tmp_path).names for name in ("model", "plain")]
    assert names[0] == names[1]


def test_a_folder_without_a_config_is_told(tmp_path):
    """Neither a missing folder nor an empty one is a traceback; a config linked from outside is refused."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "linked" / "config.json").symlink_to(tmp_path / "config.json")
    for name, message in (
        ("missing", "no folder"),
        ("empty", "no config.json"),
        ("linked", "leaves its folder"),
    ):
        with pytest.raises(ModelError, match=message):
            inventory_of_spec(f"hf:{name}", root=tmp_path)
