"""Norms that stand still by statistics of images of another size are told of, where the size is known."""

from __future__ import annotations

import pytest
import torch

from layerlr_dsl.runner.models import build_model

NET = "torchvision:resnet18(num_classes=10)"


@pytest.fixture
def trains(layerlr, tmp_path):
    """What `layerlr train` says of one step with the body frozen: of these weights, at this size of image."""
    rules = tmp_path / "held.lr"
    rules.write_text(f'model "{NET}"\nfreeze ** except fc\n** -> lr 0\n')
    small = ["--data", "digits", "--steps", 1, "--validation", 0.01, "--batch-size", 2, "--device", "cpu"]

    def said(size: int, *more: object, rules=rules) -> str:
        ran = layerlr("train", rules, *small, "--image-size", size, *more, "--plain")
        assert ran.status == 0, ran.err
        return " ".join(ran.out.split())

    return said


@pytest.fixture
def published(tmp_path):
    """A file of weights of the network, as torchvision's own are."""
    torch.save(build_model(NET, from_file=False, root=None).state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


TOLD = "20 batch norms stand still by statistics of images of 224 pixels, and these have 32"


def test_a_network_of_torchvision_is_known_by_its_published_weights(trains, published):
    """Its library says at which size they were trained."""
    assert TOLD in trains(32, "--weights", published)


def test_weights_of_a_run_of_our_own_are_of_the_size_of_that_run(trains, published, tmp_path):
    """Whatever the network was first trained at: there is nothing to say where the size is the same."""
    trains(32, "--weights", published, "--out", tmp_path / "first")
    assert "stand still by" not in trains(32, "--weights", tmp_path / "first")
    assert "of images of 32 pixels, and these have 48" in trains(48, "--weights", tmp_path / "first")


def test_norms_that_do_not_stand_still_are_nothing_to_tell_of(trains, published, tmp_path):
    """They go by the images at hand."""
    rules = tmp_path / "free.lr"
    rules.write_text(f'model "{NET}"\nfreeze ** except fc updating statistics\n** -> lr 0\n')
    assert "stand still by" not in trains(32, "--weights", published, rules=rules)


@pytest.mark.parametrize(("size", "said"), [(32, True), (224, False)])
def test_norms_held_by_statistics_of_another_image_size_are_told_of(layerlr, tmp_path, size, said):
    """timm's models know the size they were trained at; only loaded weights bring statistics of it."""
    rules = tmp_path / "held.lr"
    rules.write_text(
        'model "timm:tf_efficientnet_lite0(num_classes=10)"\nfreeze ** except classifier\n** -> lr 0\n'
    )
    line = ["train", rules, "--data", "digits", "--weights", "efficientnet-lite0", "--steps", 1]
    ran = layerlr(
        *line, "--image-size", size, "--validation", 0.01, "--batch-size", 2, "--device", "cpu", "--plain"
    )
    assert ran.status == 0, ran.err
    assert (
        "batch norms stand still by statistics of images of 224 pixels, and these have 32" in ran.out
    ) is said
