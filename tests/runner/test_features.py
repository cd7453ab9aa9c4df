"""Remembered features: frozen layers are computed once, and nothing else changes."""

from __future__ import annotations

import random

import pytest
import torch
from published import minilm
from tinyruns import again, content, settings
from torch import nn
from torch.nn import functional

from layerlr_dsl.model.specs import build
from layerlr_dsl.training.prefix import NoPrefix, cut


def _freeze(model: nn.Module, *parts: str) -> nn.Module:
    model.train()
    for part in parts:
        module = model.get_submodule(part)
        module.eval()
        module.requires_grad_(False)
    return model


def _same_output(model, size=32):
    """Whether both halves together give what the model gives, in eval."""
    inputs = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    model.eval()
    halves = cut(model, inputs)
    with torch.no_grad():
        assert torch.allclose(model(inputs), halves.after(*halves.before(inputs)), atol=1e-6)
    return halves


@pytest.mark.parametrize(
    ("name", "frozen", "last"),
    [
        ("torchvision:resnet18", ["conv1", "bn1", "layer1", "layer2", "layer3"], "layer3"),
        ("torchvision:resnet18", ["conv1", "bn1", "layer1.0"], "layer1.0"),
        ("torchvision:mobilenet_v3_small", ["features"], "features"),
        ("timm:tf_efficientnet_lite0", ["conv_stem", "bn1", "blocks.0", "blocks.1"], "blocks.1"),
        ("torchvision:swin_t", ["features.0", "features.1"], "features.1"),
    ],
)
def test_real_models_are_cut_behind_their_last_frozen_layer(name, frozen, last):
    """Both halves together are the model."""
    model = _freeze(build(f"{name}(num_classes=4)"), *frozen)
    halves = cut(model, torch.randn(3, 3, 32, 32))
    assert halves.modules[-1] == last
    _same_output(model)


def test_cutting_leaves_statistics_and_generators_alone():
    """Looking at the values runs layers in training mode, which must leave no trace."""
    model = _freeze(build("torchvision:resnet18(num_classes=4)"), "conv1", "bn1", "layer1")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    cut(model, torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Skipping(nn.Module):
    """A skip from the input around everything that is frozen, a size, dropout in two spellings."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(3, 3, 1)
        self.third = nn.Conv2d(3, 3, 1)
        self.dropout = dropout

    def forward(self, x):
        early = self.first(x)
        late = self.second(functional.dropout(early, self.dropout, self.training))
        return self.third(late + early).reshape(x.size(0), -1)


def test_a_value_that_skips_over_trained_layers_is_remembered_beside_the_last():
    """A cut between modules would lose it."""
    model = _freeze(Skipping(), "first", "second")
    model.dropout = 0.0
    halves = _same_output(model, 4)
    assert halves.modules == ("first", "second")


def test_functional_dropout_ends_what_can_be_remembered():
    """Its output differs each time, though every layer around it is frozen."""
    model = _freeze(Skipping(), "first", "second")
    assert cut(model, torch.randn(2, 3, 4, 4)).modules == ("first",)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (
            nn.Sequential(nn.Dropout(0.5), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)),
            "no frozen layer comes before",
        ),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)), "no frozen layer comes before"),
    ],
)
def test_why_not_is_told(module, reason):
    """Dropout in training mode before the frozen layer; nothing frozen."""
    if len(module) == 3:
        _freeze(module, "1")
    with pytest.raises(NoPrefix, match=reason):
        cut(module, torch.randn(2, 3, 4, 4))


def test_a_model_whose_way_depends_on_its_input_is_told_apart():
    """torch.fx cannot follow a branch on values."""

    class Branching(Skipping):
        def forward(self, x):
            return self.third(self.second(self.first(x)) if x.sum() > 0 else x)

    with pytest.raises(NoPrefix, match="cannot be traced"):
        cut(_freeze(Branching(), "first"), torch.randn(2, 3, 4, 4))


class Parts(nn.Module):
    """A frozen `a`, trained `b` and `c`, and a way from one to the next that subclasses give."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 16)
        self.b = nn.Linear(16, 16)
        self.c = nn.Linear(16, 5)

    def forward(self, x):
        return self.c(self.b(self.between(self.a(x))))

    def between(self, h):
        return h


class OverTheBatch(Parts):
    def between(self, h):
        return (h - h.mean(0)) / (h.std(0) + 1e-3)


class BatchNormWithoutStatistics(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(16, track_running_stats=False)

    def between(self, h):
        return self.norm(h)


class FunctionalBatchNorm(Parts):
    def between(self, h):
        return functional.batch_norm(h, None, None, training=True)


class ByPlace(Parts):
    def between(self, h):
        return h + torch.arange(h.size(0)).view(-1, 1) * 0.01


class LayerDrop(Parts):
    def forward(self, x):
        h = self.a(x)
        return self.c(h if self.training and torch.rand(()).item() < 0.5 else self.b(h))


class PythonCoin(Parts):
    def forward(self, x):
        h = self.a(x)
        return self.c(h if self.training and random.random() < 0.5 else self.b(h))


class Noise(Parts):
    def between(self, h):
        return h + torch.randn(16) if self.training else h


class Counting(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def between(self, h):
        self.calls += 1
        return h * (1 + 0.1 * self.calls)


class ThroughAView(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Linear(8, 16)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.a(x)
        left, right = h.chunk(2, 1)
        self.relu(left)
        return self.c(self.b(right) + h)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (OverTheBatch, "depends on the rest of its batch"),
        (BatchNormWithoutStatistics, "depends on the rest of its batch"),
        (FunctionalBatchNorm, "depends on the rest of its batch"),
        (ByPlace, "depends on the rest of its batch"),
        (LayerDrop, "draws random numbers of its own"),
        (PythonCoin, "draws random numbers of its own"),
        (Noise, "draws random numbers of its own"),
        (Counting, "does not do what it does as a whole"),
        (ThroughAView, "does not do what it does as a whole"),
    ],
)
def test_what_a_graph_cannot_hold_is_not_remembered(kind, reason):
    """These would train on something else in silence; looking leaves buffers and generators as they were."""
    torch.manual_seed(0)
    model = kind()
    _freeze(model, *(name for name in ("a", "norm") if hasattr(model, name)))
    states = [buffer.clone() for buffer in model.buffers()]
    chance = torch.get_rng_state(), random.getstate()
    with pytest.raises(NoPrefix, match=reason):
        cut(model, torch.randn(7, 6, generator=torch.Generator().manual_seed(1)))
    assert all(torch.equal(a, b) for a, b in zip(states, model.buffers(), strict=True))
    assert torch.equal(chance[0], torch.get_rng_state())
    assert chance[1] == random.getstate()


class Positions(nn.Module):
    """Tokens with frozen places, of which there are as many as samples are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.places = nn.Embedding(7, 8)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        places = self.places(torch.arange(x.shape[1]))
        return self.head(functional.relu(self.mix(self.tokens(x)) + places).mean(1))


def test_a_value_with_as_many_rows_by_chance_is_not_taken_for_one_row_a_sample():
    """It would be looked up by sample, and fail or mislead at another batch size."""
    torch.manual_seed(0)
    model = _freeze(Positions(), "tokens", "places")
    halves = cut(model, torch.randint(0, 11, (7, 7)))
    tokens = torch.randint(0, 11, (12, 7))
    with torch.no_grad():
        rows = halves.before(tokens)
        assert all(len(row) == 12 for row in rows)
        assert torch.allclose(halves.after(*rows), model(tokens), atol=1e-6)


def test_a_batch_that_is_too_small_for_the_model_is_a_reason():
    """Not the end of the run, which may have larger ones."""

    class Large(Parts):
        def between(self, h):
            return h.view(-1, 3, 16)[:, 0]

    with pytest.raises(NoPrefix, match="a look at a small batch fails"):
        cut(_freeze(Large(), "a"), torch.randn(7, 6))


RULES = """
optimizer adamw
schedule cosine
** -> lr 1e-2
freeze stem
freeze body until epoch 3
"""


@pytest.mark.parametrize("more", [[], ["--feature-memory", 0], ["--precision", "bf16"]])
def test_the_final_weights_are_those_of_a_run_that_computes_everything(tmp_path, rules, layerlr, more):
    """In memory, on disk and in half precision; through a thaw in mid-run, with dropout behind the cut."""
    rules.write_text(RULES)
    line = [*settings(rules, None, "--epochs", 5), *more]
    assert layerlr(*line, "--out", tmp_path / "plain").status == 0
    ran = layerlr(*line, "--out", tmp_path / "quick", "--remember-features")
    assert ran.status == 0, ran.err
    assert "remembering what stem to body give" in ran.out
    assert "remembering what stem gives" in ran.out.split("thawed body")[1]
    assert ("on disk" in ran.out) is ("--feature-memory" in more)
    one, other = (content(tmp_path / name)["model"] for name in ("plain", "quick"))
    tolerance = 1e-5 if "bf16" not in more else 2e-2
    assert [n for n, v in one.items() if not torch.allclose(v, other[n], atol=tolerance)] == []
    assert [p.name for p in (tmp_path / "quick").iterdir() if "features" in p.name] == []


def test_frozen_layers_are_run_once_for_each_sample(tmp_path, rules, layerlr, monkeypatch):
    """60 training and 18 validation samples, however many epochs."""
    import tiny

    seen = []
    monkeypatch.setattr(tiny, "_trace", lambda training: None)
    original = tiny.Net.__init__

    def counting(self, *arguments):
        original(self, *arguments)
        self.stem.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))

    monkeypatch.setattr(tiny.Net, "__init__", counting)
    rules.write_text("optimizer sgd\n** -> lr 1e-2\nfreeze stem, body\n")
    assert layerlr(*settings(rules, None, "--epochs", 6, "--remember-features")).status == 0
    # besides the table, batches of a few samples are run to see where to cut, and that it does no harm
    assert sum(samples for samples in seen if samples > 7) == 60 + 18


@pytest.mark.parametrize(
    ("text", "more", "data", "reason"),
    [
        ("** -> lr 1e-2", [], "data", "nothing is frozen"),
        ("** -> lr 1e-2\nfreeze head", [], "data", "no frozen layer comes before the first one that trains"),
        ("** -> lr 1e-2\nfreeze stem until epoch 1", [], "data", "lasts only 1 epoch more"),
        ("** -> lr 1e-2\nfreeze stem", [], "noisy", "does not say `deterministic = True`"),
        ("** -> lr 1e-2\nfreeze stem updating statistics", [], "data", "no frozen layer comes before"),
    ],
)
def test_the_runner_says_why_nothing_is_remembered_and_trains_all_the_same(
    rules, layerlr, text, more, data, reason
):
    """Each cause in a sentence."""
    rules.write_text(f"optimizer adamw\n{text}\n")
    ran = layerlr(*settings(rules, None, "--remember-features", *more, data=data))
    assert ran.status == 0, ran.err
    assert f"features are not remembered: {reason}" in ran.out or reason in ran.out
    assert ran.out.count("features are not remembered") >= 1


def test_a_token_of_the_models_own_is_remembered_with_the_rest_while_it_stands_still():
    """It belongs to the module that holds the head too, which trains."""
    model = build("timm:vit_tiny_patch16_224(num_classes=4,img_size=32)").requires_grad_(False)
    model.head.requires_grad_(True)
    assert _same_output(model).modules == ("patch_embed", "blocks", "norm")
    model.cls_token.requires_grad_(True)
    assert _same_output(model).modules == ("patch_embed",)


def test_a_text_model_with_named_inputs_is_remembered_behind_its_body(tmp_path, layerlr):
    """It returns no tensor, and takes a mask beside its words; the run scores what it does without."""
    spec, _ = minilm(tmp_path, num_hidden_layers=1)
    (tmp_path / "t.lr").write_text("epochs 3\noptimizer adamw\n** -> lr 1e-2\nfreeze bert\n")
    line = ["train", tmp_path / "t.lr", "--model", spec, "--data", "python:tiny:words", "--batch-size", 8]
    line += ["--from-scratch", "--plain", "--device", "cpu"]
    assert layerlr(*line, "--out", tmp_path / "plain").status == 0
    ran = layerlr(*line, "--out", tmp_path / "quick", "--remember-features")
    assert ran.status == 0, ran.err
    assert "remembering what bert gives" in ran.out
    one, other = (content(tmp_path / name)["model"] for name in ("plain", "quick"))
    assert [n for n, v in one.items() if not torch.allclose(v, other[n], atol=1e-5)] == []


def test_a_run_with_remembered_features_resumes_to_the_same_bits(tmp_path, rules, layerlr, monkeypatch):
    """The table is filled anew, in the same order and the same batches."""
    from tinyruns import run_differences

    from layerlr_dsl.runner import loop

    rules.write_text(RULES)
    line = settings(rules, None, "--epochs", 4, "--remember-features")
    assert layerlr(*line, "--out", tmp_path / "whole").status == 0
    original = loop.Loop._step
    with monkeypatch.context() as patch:
        patch.setattr(
            loop.Loop,
            "_step",
            lambda self, *a: self._stop() if self.progress.total == 8 else original(self, *a),
        )
        assert layerlr(*line, "--out", tmp_path / "parted").status == 143
    assert layerlr(*again(tmp_path / "parted")).status == 0
    assert run_differences(tmp_path / "whole", tmp_path / "parted") == []
