"""Where data comes from, and what is said when it cannot be used."""

from __future__ import annotations

import random
import sys
import textwrap

import numpy
import pytest
import torch
from PIL import Image
from torch import nn

from layerlr_dsl.runner import datasets
from layerlr_dsl.runner.classification import Classification, check_head, check_labels
from layerlr_dsl.runner.data import Request, Wanted
from layerlr_dsl.runner.datasets.samples import Prepared
from layerlr_dsl.runner.datasets.split import stratified
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.models import check_fit
from layerlr_dsl.runner.preparation import read_image
from layerlr_dsl.runner.tasks import FirstLook


def _batch(samples, count: int = 4):
    return samples.__getitems__([(i, i) for i in range(count)])


def test_digits_come_at_the_models_size_with_three_normalised_channels():
    """8x8 grey figures become what an ImageNet model takes."""
    loaded = datasets.load(Request("digits", Wanted(size=32, mean=(0.5,) * 3, std=(0.25,) * 3)))
    images, labels = _batch(loaded.train, 6)
    assert images.shape == (6, 3, 32, 32)
    assert images.dtype == torch.float32
    assert float(images.min()) == pytest.approx(-2.0)
    assert float(images.max()) == pytest.approx(2.0)
    assert torch.equal(images[:, 0], images[:, 2])
    assert labels.dtype == torch.int64
    assert loaded.classes == 10


def test_digits_are_split_the_same_way_for_the_same_seed():
    """Nothing is lost or seen twice, and another seed holds out others."""
    first, again, other = (datasets.load(Request("digits", seed=s, wanted=Wanted(size=8))) for s in (0, 0, 1))
    assert len(first.train) + len(first.validation) == 1797
    assert torch.equal(first.validation.images, again.validation.images)
    assert not torch.equal(first.validation.images, other.validation.images)


def test_every_class_is_in_both_parts_in_the_same_share():
    """A plain random split would leave the rare class out of the validation set."""
    labels = [0] * 97 + [1] * 3 + [2] * 2
    train, held_out = stratified(labels, 0.2, seed=3)
    assert sorted(train + held_out) == list(range(102))
    counts = [sum(labels[i] == c for i in held_out) for c in range(3)]
    assert counts == [19, 1, 1]


def test_a_single_sample_cannot_be_split():
    """There is nothing to validate on."""
    with pytest.raises(RunnerError, match="cannot be split"):
        stratified([0], 0.5, 0)


@pytest.mark.parametrize("spec", ["nonsense", "digits:x", "imagefolder:", "python:", "python:a b:c", "", ":"])
def test_unknown_data_names_what_there_is(spec):
    """The message lists the kinds."""
    with pytest.raises(RunnerError, match=r"unknown data[\s\S]*imagefolder:PATH"):
        datasets.load(Request(spec))


def _folder(root, classes, count=4, size=(20, 30)):
    rng = numpy.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 255, (*size, 3), dtype="uint8")
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def test_a_folder_of_class_folders_is_split(tmp_path):
    """One subfolder a class; every class is in both parts."""
    loaded = datasets.load(
        Request(f"imagefolder:{_folder(tmp_path, ['a', 'b'], 5)}", Wanted(size=16), validation=0.4)
    )
    assert (len(loaded.train), len(loaded.validation), loaded.classes) == (6, 4, 2)
    images, _ = loaded.collate(_batch(loaded.train, 3))
    assert images.shape == (3, 3, 16, 16)
    assert loaded.varies is None


def test_train_and_val_folders_are_taken_as_they_are(tmp_path):
    """Where the user has split, nothing is split again."""
    _folder(tmp_path / "train", ["a", "b"], 3)
    _folder(tmp_path / "val", ["a", "b"], 2)
    loaded = datasets.load(Request(f"imagefolder:{tmp_path}", Wanted(size=16)))
    assert (len(loaded.train), len(loaded.validation)) == (6, 4)


def test_faulty_image_folders_are_told_apart(tmp_path):
    """Missing, without classes, with an empty class, with other classes: each says so."""
    with pytest.raises(RunnerError, match="no such folder"):
        datasets.load(Request(f"imagefolder:{tmp_path / 'none'}"))
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(b"")
    with pytest.raises(RunnerError, match="no class folders"):
        datasets.load(Request(f"imagefolder:{tmp_path / 'flat'}"))
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    with pytest.raises(RunnerError, match=r"no images in a\b[\s\S]*each folder is a class"):
        datasets.load(Request(f"imagefolder:{tmp_path / 'hollow'}"))
    _folder(tmp_path / "two" / "train", ["a", "b"])
    _folder(tmp_path / "two" / "val", ["a", "c"])
    with pytest.raises(RunnerError, match="different classes: b, c is in one only"):
        datasets.load(Request(f"imagefolder:{tmp_path / 'two'}"))


def test_a_broken_image_is_named_by_a_worker_too(tmp_path):
    """With what to do about it, and without the worker's traceback."""
    from layerlr_dsl.runner.errors import DataFault
    from layerlr_dsl.runner.feed import Fetcher, Loading
    from layerlr_dsl.runner.setup import Classification

    _folder(tmp_path, ["a", "b"])
    (tmp_path / "a" / "0.png").write_bytes(b"not an image")
    loaded = datasets.load(Request(f"imagefolder:{tmp_path}", Wanted(size=16), validation=0.01))
    every = [[(index, 0) for index in range(len(loaded.train))]]
    with pytest.raises(DataFault) as refused:
        list(Fetcher(loaded, loaded.train, Loading(torch.device("cpu"), 1), Classification(0.0, None))(every))
    assert refused.value.message == f"{tmp_path}/a/0.png cannot be read as an image: no format that is known"
    assert str(refused.value.help).startswith("remove it, or put an image")


def test_a_broken_image_is_named(tmp_path):
    """Deep in an epoch, the path is what the user needs."""
    _folder(tmp_path, ["a", "b"])
    (tmp_path / "a" / "0.png").write_bytes(b"not an image")
    loaded = datasets.load(Request(f"imagefolder:{tmp_path}", Wanted(size=16), validation=0.01))
    with pytest.raises(RunFailed, match=r"a/0\.png cannot be read as an image.*\n  help: remove it, or put"):
        _batch(loaded.train, len(loaded.train)), _batch(loaded.validation, len(loaded.validation))


@pytest.mark.parametrize(
    ("name", "kind", "white"),
    [("a.png", "uint16", 65535), ("a.tif", "int32", 65535), ("a.tif", "float32", 1)],
)
def test_pixels_that_are_no_bytes_keep_their_grey(tmp_path, name, kind, white):
    """PIL's own conversion cuts off what is above 255: nearly all of such an image would be white or black."""
    Image.fromarray(numpy.array([[0, white / 4, white]]).astype(kind)).save(tmp_path / name)
    image = numpy.asarray(read_image(tmp_path / name))
    assert image.shape == (1, 3, 3)
    assert image[0, :, 0].tolist() == [0, 64, 255]
    Image.fromarray(numpy.array([[0, 3 * white]], "float32")).save(tmp_path / "odd.tif")
    with pytest.raises(RunFailed, match=r"odd\.tif cannot be read as an image: its values go from 0 to"):
        read_image(tmp_path / "odd.tif")


def test_augmented_samples_depend_on_their_key_alone(tmp_path):
    """The same key gives the same picture whatever was drawn before, and leaves the global states alone."""
    loaded = datasets.load(
        Request(f"imagefolder:{_folder(tmp_path, ['a', 'b'])}", Wanted(size=16), augment=True)
    )
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = loaded.collate(loaded.train.__getitems__([(0, 5), (1, 6)]))[0]
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again = loaded.collate(loaded.train.__getitems__([(1, 6), (0, 5)]))[0]
    other = loaded.collate(loaded.train.__getitems__([(0, 7)]))[0]
    assert torch.equal(first[0], again[1])
    assert not torch.equal(first[0], other[0])
    assert loaded.varies == "the images are augmented"


def test_torchvision_sets_by_name_and_near_misses():
    """FakeData needs no network; a misspelt name gets the right one; a real set needs the network."""
    loaded = datasets.load(
        Request("torchvision:FakeData(size=20, num_classes=4, image_size=(3, 16, 16))", Wanted(size=8))
    )
    assert len(loaded.train) + len(loaded.validation) == 20
    with pytest.raises(RunnerError, match=r"did you mean torchvision:CIFAR10\?"):
        datasets.load(Request("torchvision:CIFAR1O"))
    with pytest.raises(RunnerError, match="arguments must be written"):
        datasets.load(Request("torchvision:FakeData(__import__('os'))"))
    with pytest.raises(RunnerError, match="unexpected keyword"):
        datasets.load(Request("torchvision:FakeData(sise=20)"))


def test_no_network_is_said(monkeypatch, tmp_path):
    """A download that fails tells what to do without one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(RunnerError, match=r"could not be downloaded[\s\S]*with no network"):
        datasets.load(Request("torchvision:CIFAR10"))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's own, importable from the working folder."""

    def write(text: str) -> str:
        name = f"owndata{random.getrandbits(60)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        return name

    return write


def test_ones_own_data_set_is_split_and_a_pair_is_not(module):
    """A TensorDataset is known to be steady; a pair is taken as it is."""
    name = module(
        """
        import torch
        from torch.utils.data import TensorDataset
        def one(): return TensorDataset(torch.zeros(20, 3), torch.arange(20) % 2)
        def two(): return one(), TensorDataset(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
        """
    )
    one, two = (datasets.load(Request(f"python:{name}:{f}", validation=0.5)) for f in ("one", "two"))
    assert (len(one.train), len(one.validation), one.varies) == (10, 10, None)
    assert (len(two.train), len(two.validation)) == (20, 4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "int, which is no data set"),
        ("raise KeyError('x')", "KeyError"),
        ("return []", "cannot be split"),
        ("return [], []", "training set is empty"),
        ("return [1, 2, 3]", r"a sample is not \(input, class number\)"),
        ("return ([], [], [])", "training set is empty"),
        ("return ([], [], [], [])", "a tuple of 4, which is no data set"),
        ("raise SystemExit(3)", "SystemExit"),
        ("return type('Endless', (list,), {'__len__': lambda self: 1 / 0})()", "which is no data set"),
    ],
)
def test_faulty_data_of_ones_own_is_an_error_with_its_name(module, body, message):
    """Whatever the user's code does, the message says which code it was."""
    name = module(f"def make():\n            {body}".replace("            ", "    "))
    with pytest.raises(RunnerError, match=message):
        datasets.load(Request(f"python:{name}:make"))


@pytest.mark.parametrize("sample", ["(torch.zeros(3), i % 2, 7)", "(torch.zeros(i + 1), i % 2)"])
def test_samples_that_make_no_batch_are_a_sentence_before_any_training(module, sample):
    """Three parts instead of two, shapes that differ: told as soon as two samples are seen."""
    name = module(
        f"""
        import torch
        class Odd(list):
            def __getitem__(self, i): return {sample}
        def make(): return Odd(range(6)), Odd(range(6))
        """
    )
    loaded = datasets.load(Request(f"python:{name}:make"))
    with pytest.raises(RunnerError, match=r"do not make a batch of inputs and targets"):
        check_fit(nn.Linear(3, 2), loaded, "python:net", Classification())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("VisionDataset", "no classification set"),
        ("EMNIST", "argument: 'split'"),
        ("FakeData(size=3, nonsense=1)", "nonsense"),
    ],
)
def test_sets_of_torchvision_that_cannot_be_used_as_named_say_so(spec, message):
    """No set of samples, an argument that is missing, one that is too many."""
    with pytest.raises(RunnerError, match=message):
        datasets.load(Request(f"torchvision:{spec}"))


def test_a_single_class_is_nothing_to_learn(tmp_path):
    """With one class every answer is right, and the run would look perfect."""
    _folder(tmp_path, ["only"])
    with pytest.raises(RunnerError, match="one class only"):
        check_head(FirstLook("x", "y", 2, datasets.load(Request(f"imagefolder:{tmp_path}")).classes), 1)


def test_a_module_that_is_not_there_is_named(tmp_path, monkeypatch):
    """A misspelt module is a message, not a traceback."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunnerError, match="No module named 'nowhere_at_all'"):
        datasets.load(Request("python:nowhere_at_all:make"))


def test_a_sample_that_fails_is_named():
    """An exception inside the user's data set is told with the sample's number."""

    class Faulty:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise ZeroDivisionError("oh")

    with pytest.raises(RunFailed, match="sample 1 failed: ZeroDivisionError: oh"):
        Prepared("python:x:y", Faulty(), range(2)).__getitems__([(1, 0)])


def test_a_head_of_another_size_is_refused_with_the_spec_to_write():
    """A head of 1000 outputs would train on 10 classes and look odd for ever."""
    loaded = datasets.load(Request("digits", Wanted(size=8)))
    with pytest.raises(RunnerError, match=r"timm:resnet18\(num_classes=10\)"):
        check_head(FirstLook("digits", "timm:resnet18", 2, loaded.classes), 1000)
    check_head(FirstLook("digits", "timm:resnet18", 2, loaded.classes), 10)


def test_labels_out_of_range_are_named():
    """Without this, cross_entropy fails with an assertion deep inside."""
    with pytest.raises(RunnerError, match="class 12 has no output"):
        check_labels(torch.tensor([0, 12]), 10, "x")
