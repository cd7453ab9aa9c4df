"""Pretrained weights: all of them or a list of what does not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from published import LITE0, minilm
from torch import nn

from layerlr_dsl.runner import weight_files
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.runner.models import build_model
from layerlr_dsl.runner.weight_files import efficientnet_lite0
from layerlr_dsl.runner.weights import load_weights

DAISY = 985


class Net(nn.Module):
    def __init__(self, classes: int = 10, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)


@pytest.fixture
def saved(tmp_path):
    """A file of weights of Net(10)."""
    path = tmp_path / "net.pt"
    torch.save(Net().state_dict(), path)
    return path


def test_the_flower_of_scikit_learn_is_a_daisy():
    """The converted ImageNet weights see what is in a real picture, in the model's own preprocessing."""
    from sklearn.datasets import load_sample_image
    from torch.nn.functional import interpolate

    model = build_model(LITE0, from_file=True, root=None)
    loaded = load_weights(model, "efficientnet-lite0", LITE0)
    assert loaded.fresh == ()
    picture = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None].float() / 255
    side = min(picture.shape[2:])
    top, left = (picture.shape[2] - side) // 2, (picture.shape[3] - side) // 2
    square = picture[:, :, top : top + side, left : left + side]
    square = interpolate(square, (224, 224), mode="bicubic", antialias=True, align_corners=False)
    with torch.no_grad():
        scores = model.eval()((square - 0.5) / 0.5)
    assert int(scores.argmax()) == DAISY


def test_every_name_of_the_packaged_file_is_converted_and_strange_ones_are_refused():
    """A file with one tensor more or less must not half fit."""
    with pytest.raises(RunnerError, match=r"_blocks\.16\._bn1\.weight"):
        efficientnet_lite0({"_blocks.16._bn1.weight": torch.zeros(1)})
    with pytest.raises(RunnerError, match=r"_blocks\.0\._expand_conv\.weight"):
        efficientnet_lite0({"_blocks.0._expand_conv.weight": torch.zeros(1)})
    with pytest.raises(RunnerError, match="classifier"):
        efficientnet_lite0({"classifier.weight": torch.zeros(1)})


def test_a_head_of_other_classes_starts_afresh_and_the_rest_is_loaded():
    """1000 classes in the file, 10 in the model: said, and the new head keeps its own values."""
    spec = f"{LITE0}(num_classes=10)"
    model = build_model(spec, from_file=True, root=None)
    head = model.classifier.weight.detach().clone()
    loaded = load_weights(model, "efficientnet-lite0", spec)
    assert loaded.fresh == ("classifier.bias", "classifier.weight")
    assert "classifier.bias, classifier.weight start afresh" in loaded.text()
    assert torch.equal(model.classifier.weight, head)


def test_weights_of_another_model_are_listed_and_nothing_is_touched(saved):
    """Names and shapes that differ, and the model as it was."""
    model = Net(width=6)
    model.other, model.head = nn.Linear(2, 2), nn.Linear(6, 10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RunnerError) as refused:
        load_weights(model, str(saved), None)
    text = str(refused.value)
    assert "holds the weights of another model" in text
    assert "stem.weight: file 4x3x3x3, model 6x3x3x3" in text
    assert "in the model, not in the file (2):\n    other.weight\n    other.bias" in text
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_middle_layer_of_other_width_is_not_taken_for_a_head(tmp_path):
    """Only a classifier may differ: a stem of another width that loads by half would be a ruin."""
    torch.save(
        {**Net().state_dict(), "stem.weight": torch.zeros(6, 3, 3, 3), "stem.bias": torch.zeros(6)},
        tmp_path / "x.pt",
    )
    with pytest.raises(RunnerError, match=r"stem\.weight: file 6x3x3x3, model 4x3x3x3"):
        load_weights(Net(), str(tmp_path / "x.pt"), None)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.module."])
def test_names_saved_from_a_wrapped_model_are_understood(tmp_path, wrapper):
    """DataParallel and torch.compile leave prefixes on every name."""
    source = Net()
    torch.save({"state_dict": {wrapper + k: v for k, v in source.state_dict().items()}}, tmp_path / "w.pt")
    model = Net()
    load_weights(model, str(tmp_path / "w.pt"), None)
    assert torch.equal(model.stem.weight, source.stem.weight)


def test_safetensors_and_our_own_checkpoints_are_files_of_weights(tmp_path):
    """The two other forms that a user has at hand."""
    from safetensors.torch import save_file

    from layerlr_dsl.runner import checkpoint

    source = Net()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    rest = {part: {} for part in checkpoint.PARTS if part != "model"}
    checkpoint.save(tmp_path, {"model": source.state_dict(), **rest}, best=False)
    for name in ("w.safetensors", "last.pt"):
        model = Net()
        assert load_weights(model, str(tmp_path / name), None).tensors == 9
        assert torch.equal(model.head.weight, source.head.weight)


def test_a_file_that_would_run_code_is_refused_and_not_run(tmp_path):
    """Weights come from strangers."""
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"a": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(RunnerError, match="loading it would run code"):
        load_weights(Net(), str(tmp_path / "bomb.pt"), None)
    assert not marker.exists()


def test_no_advice_to_load_unsafely_is_passed_on(tmp_path, recwarn):
    """torch's own text of a strange pickle tells how to run what is in it."""
    path = tmp_path / "strange.pt"
    path.write_bytes(pickle.dumps({"a": Path}, protocol=5))
    with pytest.raises(RunnerError, match="would run code") as caught:
        weight_files.read(path)
    assert "weights_only" not in str(caught.value)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pt", b"nonsense"), ("a.pt", b""), ("a.safetensors", b"nonsense"), ("a.pth", b"PK\x03\x04rest")],
)
def test_a_broken_file_is_a_sentence(tmp_path, name, content):
    """Cut or foreign files are refused with their path."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunnerError, match="cannot be read as weights"):
        load_weights(Net(), str(tmp_path / name), None)


def test_a_file_without_names_is_no_file_of_weights(tmp_path):
    """A bare tensor, or a list."""
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(RunnerError, match="holds no tensors by name"):
        load_weights(Net(), str(tmp_path / "list.pt"), None)


def test_unknown_names_say_which_there_are(tmp_path):
    """By family of the model."""
    with pytest.raises(RunnerError, match=r"no such file[\s\S]*IMAGENET1K_V1"):
        load_weights(Net(), "some/where.pt", "torchvision:resnet18")
    with pytest.raises(RunnerError, match=r"no such weights for resnet18[\s\S]*IMAGENET1K_V1 and DEFAULT"):
        load_weights(Net(), "IMAGENET1K_V9", "torchvision:resnet18")
    with pytest.raises(RunnerError, match=r"no such file[\s\S]*give the path of a \.safetensors"):
        load_weights(Net(), "some/where.pt", "python:net:net")
    with pytest.raises(
        RunnerError, match=r"no such file[\s\S]*for this model: efficientnet-lite0, pretrained"
    ):
        load_weights(Net(), "some/where.pt", "timm:tf_efficientnet_lite0(num_classes=2)")
    with pytest.raises(RunnerError, match="belongs to timm:tf_efficientnet_lite0"):
        load_weights(Net(), "efficientnet-lite0", "timm:resnet18")
    with pytest.raises(RunnerError, match="is a folder without model"):
        load_weights(Net(), str(tmp_path), None)


def test_a_download_without_a_network_is_a_sentence(tmp_path, monkeypatch):
    """torchvision would fetch these."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(RunnerError, match=r"could not be downloaded[\s\S]*path of a file"):
        load_weights(Net(), "DEFAULT", "torchvision:mobilenet_v3_small")


def test_published_minilm_weights_load_into_a_classifier(tmp_path):
    """The file is of the bare model and holds `position_ids`; only the head starts afresh."""
    spec, published = minilm(tmp_path)
    model = build_model(spec, from_file=False, root=None)
    loaded = load_weights(model, str(published), spec)
    assert loaded.fresh == ("classifier.bias", "classifier.weight")
    assert loaded.tensors == 103
    from safetensors.torch import load_file

    tensors = load_file(published / "model.safetensors")
    own = model.state_dict()
    assert all(
        torch.equal(own[f"bert.{name}"], tensors[name]) for name in tensors if "position_ids" not in name
    )


def test_minilm_gives_what_from_pretrained_of_transformers_gives(tmp_path):
    """The library's own loading is the oracle."""
    spec, published = minilm(tmp_path, architectures=["BertModel"])
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    model = build_model(spec, from_file=False, root=None).eval()
    load_weights(model, str(published), spec)
    theirs = with_torchvision(lambda: __import__("transformers").AutoModel.from_pretrained(published)).eval()
    tokens = torch.tensor([[101, 7592, 2088, 102]])
    with torch.no_grad():
        ours = model(input_ids=tokens).last_hidden_state
        assert torch.allclose(ours, theirs(input_ids=tokens).last_hidden_state, atol=1e-6)


class _Bert(nn.Module):
    """The names of transformers' classes for one task or another, without its sizes."""

    base_model_prefix = "bert"

    def __init__(self, head: str | None) -> None:
        super().__init__()
        bare = nn.ModuleDict({"layer": nn.Linear(3, 3), "norm": nn.LayerNorm(3)})
        self.bert = bare if head else None
        if head is None:
            self.layer, self.norm = bare["layer"], bare["norm"]
        elif head == "two":
            self.classifier = nn.ModuleDict({"dense": nn.Linear(3, 3), "out_proj": nn.Linear(3, 2)})
        else:
            self.add_module(head, nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("file", "model", "fresh", "left_out"),
    [
        (None, "classifier", 2, 0),
        (None, "two", 4, 0),
        ("cls", "classifier", 2, 2),
        ("classifier", None, 0, 2),
        ("classifier", "classifier", 0, 0),
    ],
)
def test_the_prefix_of_the_bare_model_comes_and_goes(tmp_path, file, model, fresh, left_out):
    """From the bare model into one with a head, the other way, and between heads for different tasks."""
    source, target = _Bert(file), _Bert(model)
    state = {name.replace("norm.weight", "norm.gamma"): value for name, value in source.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    loaded = load_weights(target, str(tmp_path / "w.pt"), None)
    assert (len(loaded.fresh), len(loaded.left_out)) == (fresh, left_out)
    inner = [getattr(net, "bert", None) or net for net in (source, target)]
    values = [net["layer"].weight if isinstance(net, nn.ModuleDict) else net.layer.weight for net in inner]
    assert torch.equal(*values)


def test_a_deeper_network_of_the_same_kind_is_refused(tmp_path):
    """Only heads may be left out: a layer more is another model."""
    source = _Bert("classifier")
    source.bert["more"] = nn.Linear(3, 3)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    with pytest.raises(RunnerError, match=r"in the file, not in the model \(2\)"):
        load_weights(_Bert(None), str(tmp_path / "w.pt"), None)


def test_a_bare_model_deeper_than_the_file_is_refused(tmp_path):
    """Without a prefix no tensor can be told to be of a head: layers that the file lacks would stay random."""
    torch.save(_Bert("classifier").state_dict(), tmp_path / "w.pt")
    model = _Bert(None)
    model.more = nn.Linear(3, 3)
    model.last = nn.LayerNorm(3)
    with pytest.raises(RunnerError, match=r"in the model, not in the file \(4\)[\s\S]*more\.weight"):
        load_weights(model, str(tmp_path / "w.pt"), None)


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.words.weight


def test_a_tensor_shared_with_one_of_the_file_is_not_missing(tmp_path):
    """Files keep one name of a shared tensor; a head called fresh would be drawn anew, and the words with it."""
    source, model = _Tied(), _Tied()
    torch.save({"words.weight": source.words.weight.detach()}, tmp_path / "w.pt")
    assert load_weights(model, str(tmp_path / "w.pt"), None).fresh == ()
    assert torch.equal(model.head.weight, source.words.weight)
    assert model.head.weight is model.words.weight


def _library():
    from layerlr_dsl.model.torchvision_compat import with_torchvision

    names = ("BertConfig", "BertModel", "ViTConfig", "ViTForImageClassification", "ViTModel")
    return with_torchvision(
        lambda: [getattr(pytest.importorskip("transformers"), name) for name in (*names, "PreTrainedModel")]
    )


SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def test_the_pooler_of_the_bare_model_comes_and_goes(tmp_path):
    """Many published files lack it, and many have it where the model reads the sequence itself."""
    config_of, bert, *_ = _library()
    config = config_of(vocab_size=9, **SIZES)
    with_it, without = bert(config), bert(config, add_pooling_layer=False)
    torch.save(with_it.state_dict(), tmp_path / "with.pt")
    deeper = bert(config_of(vocab_size=9, **SIZES | {"num_hidden_layers": 2})).state_dict()
    torch.save({f"bert.{name}": value for name, value in deeper.items()}, tmp_path / "deeper.pt")
    torch.save(without.state_dict(), tmp_path / "without.pt")
    left = load_weights(without, str(tmp_path / "with.pt"), None).left_out
    assert set(left) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert torch.equal(without.embeddings.word_embeddings.weight, with_it.embeddings.word_embeddings.weight)
    fresh = load_weights(bert(config), str(tmp_path / "without.pt"), None).fresh
    assert fresh == ("pooler.dense.bias", "pooler.dense.weight")
    with pytest.raises(RunnerError, match="in the file, not in the model"):
        load_weights(with_it, str(tmp_path / "deeper.pt"), None)


def test_names_of_an_earlier_release_are_read_as_the_library_reads_them(tmp_path):
    """transformers renamed the layers of its vision models, and still saves files under the former names."""
    *_, config_of, classifier, bare, _ = _library()
    torch.manual_seed(3)
    classifier(config_of(image_size=8, patch_size=4, num_labels=3, **SIZES)).save_pretrained(tmp_path)
    model = classifier(config_of(image_size=8, patch_size=4, num_labels=3, **SIZES)).eval()
    before = torch.get_rng_state()
    assert load_weights(model, str(tmp_path), None).fresh == ()
    assert torch.equal(before, torch.get_rng_state())
    theirs, image = classifier.from_pretrained(tmp_path).eval(), torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(model(image).logits, theirs(image).logits)
    other = classifier(config_of(image_size=8, patch_size=4, num_labels=5, **SIZES))
    assert load_weights(other, str(tmp_path), None).fresh == ("classifier.bias", "classifier.weight")
    assert load_weights(bare(other.config, add_pooling_layer=False), str(tmp_path), None).fresh == ()


@pytest.mark.parametrize("inside", [True, False])
def test_a_deeper_file_under_former_names_is_refused(tmp_path, inside):
    """With the prefix or without: a layer of the file is no head because the library renamed it."""
    *_, config_of, classifier, bare, _ = _library()
    deeper = config_of(image_size=8, patch_size=4, **SIZES | {"num_hidden_layers": 2})
    classifier(deeper).save_pretrained(tmp_path)
    model = (classifier if inside else bare)(config_of(image_size=8, patch_size=4, **SIZES))
    with pytest.raises(RunnerError, match="in the file, not in the model"):
        load_weights(model, str(tmp_path), None)


def test_a_class_of_ones_own_that_wants_more_than_a_configuration_loads_too(tmp_path):
    """The library cannot build another one of it; its prefix is seen to here."""
    config_of, bert, *_, base = _library()

    class Own(base):
        config_class, base_model_prefix, _supports_sdpa = config_of, "bert", True

        def __init__(self, config, classes):
            super().__init__(config)
            self.bert, self.classifier = bert(config), nn.Linear(8, classes)
            self.post_init()

    source = bert(config_of(vocab_size=9, **SIZES))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    model = Own(source.config, 3)
    assert load_weights(model, str(tmp_path / "w.pt"), None).fresh == ("classifier.bias", "classifier.weight")
    assert torch.equal(model.bert.pooler.dense.weight, source.pooler.dense.weight)


def test_weights_spread_over_several_files_are_put_together(tmp_path):
    """`save_pretrained` does so with large ones."""
    config_of, bert, *_ = _library()
    source, model = (bert(config_of(vocab_size=9, **SIZES)) for _ in range(2))
    source.save_pretrained(tmp_path, max_shard_size=2000)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert load_weights(model, str(tmp_path), None).fresh == ()
    assert all(map(torch.equal, model.state_dict().values(), source.state_dict().values()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "does not tell which files"),
        ("{", "does not tell which files"),
        ('{"weight_map": {"a": "../x.bin"}}', r"names \.\./x\.bin, which does not lie beside it"),
        ('{"weight_map": {"a": "x.bin"}}', r"x\.bin cannot be read as weights"),
    ],
)
def test_an_index_that_is_none_is_a_sentence(tmp_path, text, said):
    """It may be damaged, name files of other folders, or have lost one."""
    (tmp_path / "pytorch_model.bin.index.json").write_text(text)
    with pytest.raises(RunnerError, match=said):
        load_weights(Net(), str(tmp_path), None)
