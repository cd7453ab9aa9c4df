"""Where weights come from is said, and layers that were never trained are not frozen unawares."""

from __future__ import annotations

import json

import pytest
import torch
from published import LITE0, minilm
from tinyruns import content, settings
from torch import nn

from layerlr_dsl.runner.models import build_model
from layerlr_dsl.runner.origin import looks_untrained

HALF = "epochs 1\n** -> lr 1e-3\nfreeze layer1, layer2\n"


def _train(layerlr, rules, *more, model="torchvision:resnet18(num_classes=3)"):
    """One short epoch of a real network on the tiny images, as small as it takes them."""
    line = ["train", rules, "--data", "python:tiny:data", "--model", model, "--epochs", 1]
    return layerlr(*line, "--batch-size", 60, *more)


@pytest.fixture
def resnet(tmp_path):
    """A file of trained weights, told by their statistics, with a head of 1,000 classes."""
    model = build_model("torchvision:resnet18", from_file=True, root=None)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    torch.save(model.state_dict(), tmp_path / "resnet.pt")
    return tmp_path / "resnet.pt"


def test_frozen_layers_of_a_random_network_are_refused(tmp_path, rules, layerlr):
    """What is frozen, that it is random, and both ways out; nothing is written."""
    rules.write_text(HALF)
    ran = _train(layerlr, rules, "--out", tmp_path / "run")
    assert ran.status == 2
    assert "the rules freeze layer1, layer2, whose weights are random: frozen layers learn nothing" in ran.err
    assert "give trained weights with --weights PATH|NAME, or say --from-scratch if that is meant" in ran.err
    assert not (tmp_path / "run").exists()


def test_from_scratch_says_that_it_is_meant_and_is_remembered(tmp_path, rules, layerlr):
    """A resumed run is not asked again, nor told otherwise of its weights."""
    rules.write_text(HALF)
    out = tmp_path / "run"
    ran = _train(layerlr, rules, "--from-scratch", "--out", out)
    assert ran.status == 0, ran.err
    assert "weights: random, nothing was loaded" in ran.out
    assert json.loads((out / "config.json").read_text())["from_scratch"] is True
    ran = layerlr("train", "--resume", "--out", out, "--data", "python:tiny:data")
    assert ran.status == 0, ran.err
    assert "weights: random, nothing was loaded" in ran.out


def test_a_random_network_in_which_nothing_is_frozen_at_first_trains(rules, layerlr):
    """A layer that is frozen later has been trained by then."""
    rules.write_text("** -> lr 1e-3\nfreeze layer1 from 50%\n")
    assert _train(layerlr, rules).status == 0


def test_trained_weights_may_be_frozen_and_are_named(tmp_path, rules, layerlr, resnet):
    """With the tensors that start afresh; the run's folder keeps it too."""
    rules.write_text(HALF)
    out = tmp_path / "run"
    ran = _train(layerlr, rules, "--weights", resnet, "--out", out)
    assert ran.status == 0, ran.err
    assert f"weights: 120 tensors from {resnet}; fc.bias, fc.weight start afresh" in ran.out
    told = json.loads((out / "model.json").read_text())["weights"]
    assert told == content(out)["about"]["weights"]
    assert str(resnet) in told


def test_a_head_that_starts_afresh_must_not_be_frozen(rules, layerlr, resnet):
    """The same fault in small: the file has no head of three classes."""
    rules.write_text("** -> lr 1e-3\nfreeze fc\n")
    ran = _train(layerlr, rules, "--weights", resnet)
    assert ran.status == 2
    assert "the rules freeze fc, whose weights are random" in ran.err
    assert "let them train" in ran.err


def test_the_weights_in_the_folder_of_a_model_are_pointed_at(tmp_path, rules, layerlr):
    """`hf:FOLDER` builds from the configuration alone, whatever lies beside it."""
    spec, published = minilm(tmp_path)
    (tmp_path / "minilm" / "model.safetensors").symlink_to(published / "model.safetensors")
    rules.write_text("** -> lr 1e-3\nfreeze bert\n")
    ran = layerlr("train", rules, "--data", "python:tiny:words", "--model", spec, "--epochs", 1)
    assert ran.status == 2, ran
    assert f"give trained weights: --weights {tmp_path / 'minilm'}, or say --from-scratch" in ran.err


@pytest.mark.parametrize(
    ("name", "random"),
    [("Net", True), ("Plain", True), ("Normless", True), ("Trained", False), ("Constant", False)],
)
def test_weights_that_ones_own_code_made_are_looked_at(rules, layerlr, name, random):
    """It may have loaded them itself: nothing but the numbers tells."""
    part = {"Net": "stem", "Trained": "stem"}.get(name, "body")
    rules.write_text(f"** -> lr 1e-3\nfreeze {part}\n")
    ran = _train(layerlr, rules, model=f"python:tiny:{name}")
    assert ran.status == (2 if random else 0), ran
    assert (f"the rules freeze {part}, whose weights seem to be random" in ran.err) is random
    if not random:
        assert f"weights: as python:tiny:{name} makes them" in ran.out


@pytest.mark.parametrize(
    "spec", [LITE0, "torchvision:vit_b_16", "torchvision:resnet18", "torchvision:convnext_tiny"]
)
def test_networks_of_libraries_look_untrained_as_they_are_built(spec):
    """Whatever their libraries draw from: norms are all ones and zeros."""
    model = build_model(spec, from_file=True, root=None)
    before = torch.get_rng_state()
    assert looks_untrained(model, [name for name, _ in model.named_parameters()])
    assert torch.equal(before, torch.get_rng_state())


def test_trained_networks_do_not_look_untrained(tmp_path):
    """Published weights of two kinds, layer by layer."""
    from layerlr_dsl.runner.weights import load_weights

    bert, published = minilm(tmp_path, architectures=["BertModel"])
    for spec, weights in ((LITE0, "efficientnet-lite0"), (bert, str(published))):
        model = build_model(spec, from_file=False, root=None)
        load_weights(model, weights, spec)
        for name, module in model.named_modules():
            own = [f"{name}.{leaf}" for leaf, _ in module.named_parameters(recurse=False)]
            assert not (own and looks_untrained(model, own)), name


# ---------------------------------------------------------------- the head


def _first_loss(out):
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"]


def test_a_fresh_head_starts_at_the_loss_of_a_guess(tmp_path, rules, layerlr):
    """The packaged network with a head of ten classes: timm's own start is far above ln 10."""
    rules.write_text("** -> lr 1e-9\n")
    line = ["train", rules, "--data", "digits", "--model", f"{LITE0}(num_classes=10)", "--epochs", 0.1]
    line += ["--weights", "efficientnet-lite0", "--image-size", 32, "--batch-size", 100, "--validation", 0.02]
    losses = {}
    for how in ("small", "model"):
        out = tmp_path / how
        ran = layerlr(*line, "--head-init", how, "--out", out)
        assert ran.status == 0, ran.err
        losses[how] = _first_loss(out)
        told = {"small": "starts small: first loss 2.3", "model": "starts as the model draws it: first loss"}
        assert f"head classifier {told[how]}" in ran.out
        assert "that of a guess is ln 10 = 2.3" in ran.out
    assert losses["small"] == pytest.approx(2.303, abs=0.1)
    assert losses["model"] > losses["small"] + 0.3


def test_features_of_any_size_start_at_the_loss_of_a_guess():
    """Where 0.01 is too much, the head is made smaller still; layers of a head before the last keep their start."""
    from layerlr_dsl.runner import head

    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 5))
    first = model[0].weight.clone()
    inputs, targets = torch.randn(40, 64) * 1e4, torch.arange(40) % 5
    told = head.begin(
        model,
        [name for name, _ in model.named_parameters()],
        "small",
        lambda: model(inputs).detach(),
        targets,
        0,
    )
    assert float(nn.functional.cross_entropy(model(inputs).detach(), targets)) == pytest.approx(
        1.609, abs=0.15
    )
    assert told.startswith("head 1 starts small")
    assert torch.equal(model[0].weight, first)


class Cosine(nn.Module):
    """An output layer of one's own: weights, and no attribute for a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * nn.functional.linear(nn.functional.normalize(x), nn.functional.normalize(self.weight))


def test_a_head_without_a_word_of_a_bias_starts_afresh_too():
    """It was an AttributeError; the line tells the loss it then has."""
    from layerlr_dsl.runner import head

    model = Cosine()
    drawn, targets = model.weight.clone(), torch.arange(40) % 5
    inputs = torch.randn(40, 8)
    told = head.begin(model, ["weight"], "small", lambda: model(inputs).detach(), targets, 0)
    assert not torch.equal(model.weight, drawn)
    loss = float(nn.functional.cross_entropy(model(inputs).detach(), targets))
    assert f"{loss:.3g}" in told


def test_the_start_of_a_head_follows_the_seed(tmp_path, rules, layerlr):
    """The same seed, the same head; another, another."""
    from tiny import Net

    rules.write_text("** -> lr 1e-12\n")
    torch.save(Net(classes=4).state_dict(), tmp_path / "four.pt")
    heads = []
    for seed in (0, 0, 1):
        out = tmp_path / f"run{len(heads)}"
        line = settings(rules, out, "--weights", tmp_path / "four.pt", "--seed", seed, "--epochs", 1)
        assert layerlr(*line).status == 0
        heads.append(content(out)["model"]["head.weight"])
    assert torch.allclose(heads[0], heads[1])
    assert not torch.allclose(heads[0], heads[2])
