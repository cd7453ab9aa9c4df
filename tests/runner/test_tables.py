"""A table of paths and labels, a plain folder, and what is held out of them."""

from __future__ import annotations

import json

import numpy
import pytest
import torch
from PIL import Image

from layerlr_dsl.runner import datasets
from layerlr_dsl.runner.classification import Classification, class_weights, untaught
from layerlr_dsl.runner.data import Request, Wanted
from layerlr_dsl.runner.errors import RunnerError


def _images(folder, count=12):
    """Images whose grey tells their number."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("RGB", (20, 20), (index * 10,) * 3).save(folder / "pictures" / f"{index}.png")


def _load(path, **more):
    return datasets.load(Request(str(path), Wanted(size=8, mean=(0.0,) * 3, std=(1.0,) * 3), **more))


def _numbers(samples):
    """Which images a part holds, told by their grey, with their targets."""
    pixels = samples.__getitems__([(i, i) for i in range(len(samples))])
    return {(round(float(image.mean()) * 25.5), target) for image, target in pixels}


def _table(folder, text, name="labels.csv"):
    _images(folder)
    (folder / name).write_text(text)
    return folder / name


def _rows(form, count=12):
    return "".join(
        form.format(i=i, name="ab"[i % 2], part=("train", "val", "test")[i % 3]) + "\n" for i in range(count)
    )


@pytest.mark.parametrize(
    ("name", "heading", "form"),
    [
        ("labels.csv", "", "pictures/{i}.png,{name}"),
        ("labels.csv", "path,label\n", "pictures/{i}.png,{name}"),
        ("labels.csv", "\ufeffid,Class,File\n", "{i},{name},pictures/{i}.png"),
        ("labels.csv", "file;target\n", "pictures/{i}.png;{name}"),
        ("labels.tsv", "image\tcategory\n", "pictures/{i}.png\t{name}"),
        ("labels.csv", '"path", "label"\n', '"pictures/{i}.png", "{name}"\n'),
    ],
)
def test_a_table_is_read_with_or_without_a_heading(tmp_path, name, heading, form):
    """Commas, semicolons, tabs, quotes, a byte order mark, columns in any order."""
    loaded = _load(_table(tmp_path, heading + _rows(form), name))
    assert loaded.class_names == ("a", "b")
    everything = _numbers(loaded.train) | _numbers(loaded.validation)
    assert everything == {(i, i % 2) for i in range(12)}
    assert len(loaded.validation) == 2


def test_a_column_says_which_part_an_image_belongs_to(tmp_path):
    """Nothing is split again, and the test part is the test part."""
    loaded = _load(_table(tmp_path, "path,label,split\n" + _rows("pictures/{i}.png,{name},{part}")))
    parts = [_numbers(part) for part in (loaded.train, loaded.validation, loaded.test)]
    assert parts == [{(i, i % 2) for i in range(12) if i % 3 == k} for k in range(3)]


def test_numbers_are_ordered_as_numbers_and_names_as_names(tmp_path):
    """Class 10 comes after class 9."""
    loaded = _load(_table(tmp_path, _rows("pictures/{i}.png,{i}")))
    assert loaded.class_names == tuple(map(str, range(12)))


def test_a_task_without_classes_gets_the_labels_as_numbers(tmp_path):
    """A regression over images: 0.5 is no class."""
    loaded = _load(_table(tmp_path, _rows("pictures/{i}.png,{i}.5")), stratified=False)
    assert loaded.classes is None
    _, targets = loaded.collate(loaded.train.__getitems__([(0, 0), (1, 1)]))
    assert targets.dtype == torch.float32
    assert all(float(t) % 1 == 0.5 for t in targets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no images"),
        ("path,label\n", "lists no images"),
        ("pictures/0.png\n", "labels.csv:1: the label is missing"),
        ("pictures/0.png,a\n,b\n", "labels.csv:2: the path is missing"),
        ("pictures/0.png,a\npictures/77.png,b\n", "labels.csv:2: no such file: pictures/77.png"),
        ("path,name\npictures/0.png,a\n", "no column is called label or class"),
        ("pictures/0.png,a,tset\n", "labels.csv:1: no part is called 'tset'"),
        ("pictures/0.png,a,val\npictures/1.png,a,val\n", "lists no images for training"),
        ('"pictures/0.png,a\n', "cannot be read as a table"),
        ("\x00\x01\n", "labels.csv:1: the label is missing"),
    ],
)
def test_a_faulty_table_names_its_line(tmp_path, text, message):
    """Before anything is built."""
    with pytest.raises(RunnerError, match=message):
        _load(_table(tmp_path, text))


def test_a_table_that_is_no_text_is_a_sentence(tmp_path):
    """A spreadsheet saved under the wrong name."""
    path = _table(tmp_path, "")
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(RunnerError, match="cannot be read as a table") as caught:
        _load(path)
    assert "UTF-8" in str(caught.value.help)
    with pytest.raises(RunnerError, match="no such file"):
        _load(tmp_path / "nowhere.csv")


def _folder(root, classes=("a", "b"), count=10):
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (20, 20), (index * 10,) * 3).save(root / name / f"{index}.png")
    return root


def test_a_plain_path_is_a_folder_of_images(tmp_path, monkeypatch):
    """With or without a slash, relative or not; the name tells what it was taken for."""
    _folder(tmp_path / "flowers")
    monkeypatch.chdir(tmp_path)
    for spec in ("flowers", "./flowers/", str(tmp_path / "flowers")):
        loaded = _load(spec)
        assert loaded.name == f"imagefolder:{spec}"
        assert loaded.class_names == ("a", "b")
    with pytest.raises(RunnerError, match=r"unknown data 'flower'[\s\S]*a folder of images"):
        _load("flower")


def test_a_class_without_a_training_sample_is_told(tmp_path):
    """Its one image went to the validation part; the figures alone would not say why it is never found."""
    assert untaught(_load(_folder(tmp_path / "enough"))) == []
    (told,) = untaught(_load(_folder(tmp_path / "few", ("a", "b", "c"), 1)))
    assert "no training sample of c" in told


def test_fewer_training_samples_than_classes_are_refused_as_in_tune(tmp_path, layerlr):
    """Whatever the rules, one class at least would not be learned; a class without samples among enough is told."""
    (tmp_path / "a.lr").write_text("** -> lr 1e-2\n")
    line = ["train", tmp_path / "a.lr", "--model", "python:tiny:Net", "--epochs", 1, "--data"]
    ran = layerlr(*line, "python:tiny:few")
    assert ran.status == 2
    assert "2 training samples of 3 classes" in ran.err
    assert "help: there must be at least one for each class" in ran.err


def test_a_test_folder_is_no_validation_set(tmp_path):
    """Whoever chooses an epoch by the test set has none left: validation images are split off the training ones."""
    for part in ("train", "test"):
        _folder(tmp_path / part)
    loaded = _load(tmp_path)
    assert [len(part) for part in loaded.parts().values()] == [16, 4, 20]
    _folder(tmp_path / "val", count=3)
    assert [len(part) for part in _load(tmp_path).parts().values()] == [20, 6, 20]
    _folder(tmp_path / "other" / "train")
    _folder(tmp_path / "other" / "test", ("a", "c"))
    with pytest.raises(RunnerError, match="different classes: b, c"):
        _load(tmp_path / "other")


@pytest.mark.parametrize("spec", ["digits", "python:tiny:lopsided", "folder"])
def test_a_share_for_the_test_is_held_out_of_every_class(tmp_path, spec):
    """No sample is in two parts, and the validation share is one of the whole."""
    loaded = _load(_folder(tmp_path / "x") if spec == "folder" else spec, test=0.2, validation=0.3)
    counts = [len(part) for part in loaded.parts().values()]
    total = {"digits": 1797, "python:tiny:lopsided": 100, "folder": 20}[spec]
    assert sum(counts) == total
    assert counts[1] == pytest.approx(0.3 * total, rel=0.02)
    assert counts[2] == pytest.approx(0.2 * total, rel=0.02)
    if spec == "folder":
        parts = [_numbers(part) for part in loaded.parts().values()]
        assert len(set().union(*parts)) == 20


@pytest.mark.parametrize("spec", ["python:tiny:data", "folder", "table"])
def test_data_with_a_validation_part_gives_its_test_share_from_the_training_part(tmp_path, spec):
    """The share was asked for: to report none, without a word, is no answer. The validation part stays whole."""
    if spec == "folder":
        _folder(tmp_path / "x" / "train"), _folder(tmp_path / "x" / "val", count=4)
    if spec == "table":
        rows = "".join(f"pictures/{i}.png,{'ab'[i % 2]},{'val' if i > 9 else 'train'}\n" for i in range(12))
        _images(tmp_path)
        (tmp_path / "x.csv").write_text(rows)
    given = {"folder": tmp_path / "x", "table": tmp_path / "x.csv"}.get(spec, spec)
    before, loaded = _load(given), _load(given, test=0.2)
    counts = [len(part) for part in loaded.parts().values()]
    whole = len(before.train)
    assert counts == [0.8 * whole, len(before.validation), 0.2 * whole]
    assert not set(loaded.train.indices) & set(loaded.test.indices)
    assert len(loaded.labels()) == counts[0]


def test_without_a_test_share_the_split_is_what_it_was(tmp_path):
    """A run that is resumed sees the samples that it saw."""
    held_out = _load("digits").validation.labels
    assert len(held_out) == 359
    assert torch.equal(held_out, _load("digits", test=0.0).validation.labels)


def test_three_sets_of_ones_own_are_training_validation_and_test():
    """Names of classes are kept."""
    loaded = _load("python:tiny:named")
    assert [len(part) for part in loaded.parts().values()] == [60, 18, 21]
    assert loaded.class_names == ("ant", "bee", "cat")


def test_balanced_weights_are_those_of_scikit_learn():
    """Samples / (classes x samples of the class), over the training part."""
    loaded = _load("python:tiny:lopsided", validation=0.2)
    weights = class_weights("balanced", loaded)
    from sklearn.utils.class_weight import compute_class_weight

    labels = loaded.labels()
    expected = compute_class_weight("balanced", classes=numpy.array([0, 1]), y=labels)
    assert weights.tolist() == pytest.approx(expected.tolist())
    assert sum(float(weights[label]) for label in labels) / len(labels) == pytest.approx(1)


def test_weights_may_be_said_by_name():
    """What is not said counts 1."""
    assert class_weights("bee=2.5, cat=0", _load("python:tiny:named")).tolist() == [1.0, 2.5, 0.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bees=2", "did you mean bee"),
        ("bee", "has no class"),
        ("bee=x", "a weight is a number"),
        ("bee=-1", "a weight is a number"),
        ("bee=nan", "a weight is a number"),
        ("ant=0,bee=0,cat=0", "nothing would train"),
        ("", "write `balanced`"),
    ],
)
def test_weights_that_cannot_be_read_are_a_sentence(text, message):
    """With the near miss."""
    with pytest.raises(RunnerError, match=message):
        class_weights(text, _load("python:tiny:named"))


def test_weights_multiply_the_loss_of_each_sample_in_training_alone(tmp_path, rules, layerlr):
    """What validation reports stays comparable between runs."""
    scores, labels = torch.randn(6, 3), torch.arange(6) % 3
    weights = torch.tensor([1.0, 2.0, 0.0])
    task, plain = Classification(class_weights=weights), Classification()
    assert torch.allclose(task.loss(scores, labels), plain.loss(scores, labels) * weights[labels])
    assert torch.equal(task.validation_loss(scores, labels), plain.validation_loss(scores, labels))
    rules.write_text("optimizer adamw\n** -> lr 3e-3\n")
    line = ["train", rules, "--data", "python:tiny:lopsided", "--model", "python:tiny:Two", "--epochs", 1]
    losses = []
    for more in ([], ["--class-weights", "balanced"]):
        out = tmp_path / f"run{len(more)}"
        assert layerlr(*line, "--batch-size", 80, "--out", out, *more).status == 0
        losses.append(json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"])
    assert losses[0] != losses[1]
