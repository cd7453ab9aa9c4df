"""What one does with a trained run: evaluate it, ask it, hand it on."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil

import pytest
import torch
from PIL import Image
from tinyruns import HERE, content, settings
from torch import nn

from layerlr_dsl.runner.judging import class_scores

CODE = ["--model", "python:tiny:Net"]
DATA = ["--data", "python:tiny:named"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with a test part and names of classes; copied for whoever changes it."""
    from layerlr_dsl.cli import run

    home = tmp_path_factory.mktemp("trained")
    (home / "rules.lr").write_text("optimizer adamw\n** -> lr 3e-3\n")
    line = settings(home / "rules.lr", home / "run", "--epochs", 4, data="named")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        patch.syspath_prepend(str(HERE))
        assert run([str(part) for part in line]) == 0
    return home / "run"


@pytest.fixture
def mine(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def _scores(folder, part, name="best.pt"):
    """Labels and scores of a part of the data, by the model alone."""
    from tiny import Net, named

    net = Net()
    net.load_state_dict(content(folder, name)["model"])
    images, labels = named()[part].tensors
    with torch.no_grad():
        return labels, net.eval()(images)


# ---------------------------------------------------------------- evaluate


def test_figures_are_those_of_scikit_learn(mine, layerlr):
    """Accuracy, loss, precision, recall, F1 of each class and the whole matrix, on the test part."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    ran = layerlr("evaluate", mine, *CODE, *DATA, "--part", "test", "--format", "json")
    assert ran.status == 0, ran.err
    told = json.loads(ran.out)
    labels, scores = _scores(mine, 2)
    said = scores.argmax(1)
    assert told["samples"] == 21
    assert told["metrics"]["accuracy"] == pytest.approx(float((said == labels).float().mean()))
    assert told["loss"] == pytest.approx(float(nn.functional.cross_entropy(scores, labels)), rel=1e-5)
    assert told["confusion"] == confusion_matrix(labels, said, labels=[0, 1, 2]).tolist()
    figures = precision_recall_fscore_support(labels, said, labels=[0, 1, 2], zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "samples"), figures, strict=True):
        assert [one[name] or 0 for one in told["classes"]] == pytest.approx(list(values)), name
    assert [one["name"] for one in told["classes"]] == ["ant", "bee", "cat"]


def test_by_default_the_test_part_is_scored_with_the_best_weights(mine, layerlr):
    """What the run itself reported at its end."""
    ran = layerlr("evaluate", mine, *CODE, *DATA)
    summary = json.loads((mine / "summary.json").read_text())
    assert f"accuracy {summary['test_accuracy']:.2%}" in ran.out
    assert f"weights of epoch {summary['best_epoch']}" in ran.out
    assert "test: 21 samples" in ran.out


def test_a_run_without_a_test_part_is_scored_on_what_it_held_out(tmp_path, rules, layerlr):
    """And the last weights can be asked for."""
    out = tmp_path / "run"
    assert layerlr(*settings(rules, out)).status == 0
    summary = json.loads((out / "summary.json").read_text())
    for more, figure in ((["--last"], "val_accuracy"), ([], "best_val_accuracy")):
        ran = layerlr("evaluate", out, *CODE, "--data", "python:tiny:data", "--part", "validation", *more)
        assert f"accuracy {summary[figure]:.2%}" in ran.out, ran.err
    ran = layerlr("evaluate", out, *CODE, "--data", "python:tiny:data", "--part", "test")
    assert ran.status == 2
    assert "has no test part" in ran.err


def test_lines_fit_80_columns_and_the_picture_is_drawn(mine, layerlr, monkeypatch):
    """Classes, the matrix, and where the picture is."""
    monkeypatch.setenv("COLUMNS", "80")
    ran = layerlr("evaluate", mine, *CODE, *DATA)
    lines = ran.out.splitlines()
    assert max(map(len, [line for line in lines if not line.startswith("picture: ")])) <= 80
    assert [line.split()[0] for line in lines if re.match(r"(ant|bee|cat) .*%", line)] == [
        "ant",
        "bee",
        "cat",
    ]
    assert "true classes down" in ran.out
    assert (mine / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_of_many_classes_those_taken_for_another_most_are_listed(tmp_path, monkeypatch):
    """Where the matrix has no room; the picture has room for a hundred."""
    from layerlr_dsl.cli.evaluate_view import _confusion
    from layerlr_dsl.cli.terminal import Screen
    from layerlr_dsl.runner.confusion import draw
    from layerlr_dsl.runner.judging import Judgement

    names = [f"class number {number} \x1b[31m" for number in range(100)]
    matrix = [
        [50 if at == place else (at if place == at + 1 else 0) for place in range(100)] for at in range(100)
    ]
    found = Judgement("x", "all", 1, 0.0, {}, class_scores(matrix, names), matrix)
    lines = _confusion(found, Screen())
    assert "98  class number 98" in lines[1]
    assert "taken for class number 99" in lines[1]
    assert lines[-1].strip() == "and 88 other pairs"
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert draw(matrix, names, "$x$", "svg").startswith(b"<?xml")


def test_other_data_is_matched_by_the_names_of_its_classes(tmp_path, rules, layerlr):
    """In another order, and without one of them; a class that the model does not know is refused."""
    for name, grey in (("a", 30), ("b", 120), ("c", 220)):
        for part, count in (("old", 12), ("new", 3)):
            for index in range(count):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (grey + index,) * 3).save(tmp_path / part / name / f"{index}.png")
    rules.write_text("optimizer adamw\n** -> lr 2e-2\n")
    line = ["train", rules, "--data", tmp_path / "old", "--model", "python:tiny:Plain", "--image-size", 8]
    assert layerlr(*line, "--epochs", 15, "--batch-size", 6, "--out", tmp_path / "run").status == 0
    shutil.rmtree(tmp_path / "new" / "a")
    evaluate = ["evaluate", tmp_path / "run", "--model", "python:tiny:Plain", "--data", tmp_path / "new"]
    ran = layerlr(*evaluate, "--format", "json")
    assert ran.status == 0, ran.err
    told = json.loads(ran.out)
    assert (told["part"], told["samples"]) == ("all", 6)
    assert told["confusion"][1][1] + told["confusion"][2][2] == 6
    assert [one["samples"] for one in told["classes"]] == [0, 3, 3]
    (tmp_path / "new" / "c").rename(tmp_path / "new" / "d")
    ran = layerlr(*evaluate)
    assert ran.status == 2
    assert "has classes that the model does not know: d" in ran.err


def test_a_task_of_ones_own_is_scored_by_its_own_figures(tmp_path, rules, layerlr):
    """No classes, no matrix, no picture."""
    rules.write_text("** -> lr 1e-2\n")
    out = tmp_path / "run"
    named = [
        "--model",
        "python:tiny:Line",
        "--task",
        "python:tiny:Regression",
        "--data",
        "python:tiny:angles",
    ]
    assert layerlr("train", rules, *named, "--epochs", 1, "--out", out).status == 0
    ran = layerlr("evaluate", out, *named)
    assert ran.status == 0, ran.err
    summary = json.loads((out / "summary.json").read_text())
    assert f"error {summary['best_val_error']:.4g}, spread " in ran.out
    assert not (out / "confusion.png").exists()
    ran = layerlr("evaluate", out, *named, "-o", tmp_path / "x.png")
    assert ran.status == 2
    assert "has no classes to draw" in ran.err


def test_data_that_changed_since_the_run_is_told(mine, layerlr, monkeypatch):
    """The figure is then not that of the data the run was made with."""
    import tiny

    other = tiny.named()
    monkeypatch.setattr(
        tiny, "named", lambda: (other[0], other[1], torch.utils.data.Subset(other[2], range(9)))
    )
    ran = layerlr("evaluate", mine, *CODE, *DATA)
    assert "the data changed since the run" in ran.err
    assert "test: 21 samples then, 9 now" in ran.err


def test_a_damaged_best_checkpoint_is_not_replaced_in_silence(mine, layerlr):
    """Other weights than were asked for are for the user to choose; a file of another run is not called damaged alone."""
    (mine / "best.pt").write_bytes(b"PK")
    ran = layerlr("evaluate", mine, *CODE, *DATA)
    assert ran.status == 2
    assert "best.pt: is damaged, or of another run" in ran.err
    assert "--last takes the weights of last.pt" in ran.err
    assert layerlr("evaluate", mine, *CODE, *DATA, "--last").status == 0


def test_a_run_that_may_only_be_read_is_scored_without_a_picture(mine, layerlr):
    """It says why; a picture that was asked for is an error."""
    (mine / "confusion.png").mkdir()
    ran = layerlr("evaluate", mine, *CODE, *DATA)
    assert ran.status == 0
    assert "note: no picture:" in ran.err
    ran = layerlr("evaluate", mine, *CODE, *DATA, "-o", mine / "nowhere" / "x.png")
    assert ran.status == 2


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
@pytest.mark.parametrize(
    ("run", "more", "message"),
    [
        ("nowhere", [], "holds no run"),
        ("", [], "the name of the folder is empty"),
        ("MINE", [], "asks to run code: --model python:tiny:Net"),
        ("MINE", ["--model", "python:tiny:Plain"], "was made with python:tiny:Net"),
        ("MINE", [*CODE, "--task", "python:tiny:Regression"], "was made with none"),
        ("EMPTY", CODE, "holds no checkpoint yet"),
    ],
)
def test_a_run_that_cannot_be_used_is_a_sentence(mine, tmp_path, layerlr, command, run, more, message):
    """The same of all three commands: exit 2, and no code is run that was not named."""
    if run == "EMPTY":
        for path in mine.glob("*.pt"):
            path.unlink()
    folder = {"MINE": mine, "EMPTY": mine}.get(run, run)
    needed = {"evaluate": [*DATA], "predict": [__file__], "export": ["-o", tmp_path / "m.pt2"]}[command]
    ran = layerlr(command, folder, *needed, *more)
    assert ran.status == 2, ran
    assert message in ran.err
    assert "internal error" not in ran.err


def test_code_that_the_folder_names_for_its_data_is_not_run(mine, layerlr):
    """Unless other data is asked for, which needs none of it."""
    ran = layerlr("evaluate", mine, *CODE)
    assert ran.status == 2
    assert "asks to run code: --data python:tiny:named" in ran.err
    assert f"layerlr evaluate {mine} --model python:tiny:Net --data python:tiny:named" in ran.err


# ---------------------------------------------------------------- predict


@pytest.fixture(scope="module")
def greys(tmp_path_factory):
    """A run over grey images of two classes, and four new ones."""
    from layerlr_dsl.cli import run

    home = tmp_path_factory.mktemp("greys")
    for name, grey in (("dark", 40), ("light", 200)):
        (home / "images" / name).mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (10, 14), (grey + index,) * 3).save(home / "images" / name / f"{index}.png")
    (home / "new" / "more").mkdir(parents=True)
    for name, grey in (("a.png", 45), ("b.JPG", 190), ("more/c.png", 50)):
        Image.new("RGB", (20, 10), (grey,) * 3).save(home / "new" / name)
    (home / "rules.lr").write_text("optimizer adamw\n** -> lr 1e-2\n")
    line = ["train", home / "rules.lr", "--data", home / "images", "--model", "python:tiny:TwoPlain"]
    line += ["--image-size", 8, "--epochs", 5, "--batch-size", 6, "--out", home / "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        patch.syspath_prepend(str(HERE))
        assert run([str(part) for part in line]) == 0
    return home


def _predict(layerlr, greys, *paths, **more):
    return layerlr("predict", greys / "run", "--model", "python:tiny:TwoPlain", *paths)


def test_files_and_folders_are_told_class_and_probability(greys, layerlr):
    """In the order given, folders by name; prepared as for training."""
    new = greys / "new"
    ran = _predict(layerlr, greys, new / "b.JPG", new)
    assert ran.status == 0, ran.err
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0] == ["path", "class", "probability"]
    assert [(row[0].rpartition("/")[2], row[1]) for row in rows[1:]] == [
        ("b.JPG", "light"),
        ("a.png", "dark"),
        ("c.png", "dark"),
    ]
    assert all(0.5 <= float(row[2]) <= 1 for row in rows[1:])


def test_what_predict_says_is_what_the_model_gives_for_its_training_input(greys, layerlr):
    """The preparation in the checkpoint is that of the run."""
    from tiny import TwoPlain

    from layerlr_dsl.runner import datasets
    from layerlr_dsl.runner.data import Request, Wanted

    net = TwoPlain()
    net.load_state_dict(content(greys / "run", "best.pt")["model"])
    loaded = datasets.load(Request(str(greys / "images"), Wanted(size=8)))
    place = loaded.validation.indices[0]
    path = loaded.validation.dataset.samples[place][0]
    image, _ = loaded.validation.__getitems__([(0, 0)])[0]
    with torch.no_grad():
        share = float(net.eval()(image.unsqueeze(0)).softmax(1).max())
    told = json.loads(_predict(layerlr, greys, path, "--format", "json").out)
    assert told["predictions"][0]["probability"] == pytest.approx(share, rel=1e-5)
    assert told["failed"] == []


def test_csv_is_read_by_anyone(greys, tmp_path, layerlr):
    """Names with commas, quotes and line breaks come back as they were."""
    odd = tmp_path / 'a, "b"\n.png'
    shutil.copy(greys / "new" / "a.png", odd)
    rows = list(csv.DictReader(io.StringIO(_predict(layerlr, greys, odd, "--format", "csv").out)))
    assert [(row["path"], row["class"]) for row in rows] == [(str(odd), "dark")]


def test_a_file_that_cannot_be_read_does_not_keep_the_others_back(greys, tmp_path, layerlr):
    """It is told on standard error, and the status is that of an unreadable input."""
    broken, evil = tmp_path / "broken.png", tmp_path / "evil\x1b[31m.png"
    for path in (broken, evil):
        path.write_bytes((greys / "new" / "a.png").read_bytes()[:40])
    ran = _predict(layerlr, greys, broken, greys / "new" / "a.png", evil, tmp_path / "nothing.png", __file__)
    assert ran.status == 2
    assert len(ran.out.splitlines()) == 2
    assert f"{broken}: cannot be read as an image" in ran.err
    assert "nothing.png: cannot be read as an image: no such file or directory" in ran.err
    assert "\x1b" not in ran.err
    ran = _predict(layerlr, greys, broken, "--format", "json")
    assert (ran.status, json.loads(ran.out)["predictions"]) == (2, [])


def test_a_folder_without_images_is_refused(greys, tmp_path, layerlr):
    """Nothing to say of it."""
    ran = _predict(layerlr, greys, tmp_path)
    assert ran.status == 2
    assert "no images in this folder" in ran.err


def test_a_run_over_data_of_ones_own_says_what_predict_lacks(mine, layerlr):
    """Nothing tells how a file becomes its input; a task can."""
    ran = layerlr("predict", mine, *CODE, __file__)
    assert ran.status == 2
    assert "does not tell how a file becomes an input" in ran.err
    assert "method read(path)" in ran.err


def test_a_task_reads_files_and_names_its_own_columns(tmp_path, rules, layerlr):
    """A regression over four numbers in a text file."""
    rules.write_text("** -> lr 1e-2\n")
    named = ["--model", "python:tiny:Line", "--task", "python:tiny:Readable"]
    line = ["train", rules, *named, "--data", "python:tiny:angles", "--epochs", 1, "--out", tmp_path / "run"]
    assert layerlr(*line).status == 0
    (tmp_path / "one.txt").write_text("1 2 3 4")
    (tmp_path / "bad.txt").write_text("1 2 x 4")
    ran = layerlr(
        "predict", tmp_path / "run", *named, tmp_path / "one.txt", tmp_path / "bad.txt", "--format", "json"
    )
    assert ran.status == 2
    told = json.loads(ran.out)
    assert told["predictions"][0].keys() == {"path", "sum", "sign"}
    assert "could not convert string to float" in told["failed"][0]["reason"]


# ---------------------------------------------------------------- export


def _images():
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def _by_the_model(folder):
    from tiny import Net

    net = Net()
    net.load_state_dict(content(folder, "best.pt")["model"])
    with torch.no_grad():
        return net.eval()(_images())


def test_a_program_of_torch_gives_what_the_model_gives(mine, tmp_path, layerlr):
    """For a batch of any size, without this package; names of classes and the input are in it."""
    target = tmp_path / "m.pt2"
    ran = layerlr("export", mine, *CODE, "-o", target)
    assert ran.status == 0, ran.err
    assert "held against the model: 0 apart" in ran.out
    extra = {"layerlr.json": ""}
    program = torch.export.load(target, extra_files=extra).module()
    assert torch.allclose(program(_images()), _by_the_model(mine), atol=1e-6)
    assert program(_images()[:1]).shape == (1, 3)
    told = json.loads(extra["layerlr.json"])
    assert told["classes"] == ["ant", "bee", "cat"]
    assert told["input"] == {"shape": [3, 8, 8], "dtype": "float32"}


def test_tensors_are_written_for_any_loader(mine, tmp_path, layerlr):
    """safetensors reads them, and so does --weights."""
    from safetensors import safe_open
    from safetensors.torch import load_file
    from tiny import Net

    from layerlr_dsl.runner.weights import load_weights

    target = tmp_path / "m.safetensors"
    assert layerlr("export", mine, *CODE, "-o", target).status == 0
    saved = content(mine, "best.pt")["model"]
    assert all(torch.equal(value, saved[name]) for name, value in load_file(target).items())
    with safe_open(target, "pt") as file:
        assert json.loads(file.metadata()["layerlr.json"])["model"] == "python:tiny:Net"
    assert load_weights(Net(), str(target), None).fresh == ()


def test_onnx_that_is_not_installed_is_said(mine, tmp_path, layerlr, monkeypatch):
    """With the extra that brings it."""
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    ran = layerlr("export", mine, *CODE, "-o", tmp_path / "m.onnx")
    assert ran.status == 2
    assert "writing .onnx needs the package onnx" in ran.err
    assert 'pip install "layerlr-dsl[onnx]"' in ran.err
    assert not (tmp_path / "m.onnx").exists()


def test_onnx_gives_what_the_model_gives(mine, tmp_path, layerlr):
    """By the reference evaluator of the onnx package, which is nobody's runtime."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    target = tmp_path / "m.onnx"
    ran = layerlr("export", mine, *CODE, "-o", target)
    assert ran.status == 0, ran.err
    model = onnx.load(target)
    onnx.checker.check_model(model)
    name = model.graph.input[0].name
    (given,) = ReferenceEvaluator(model).run(None, {name: _images().numpy()})
    assert torch.allclose(torch.from_numpy(given), _by_the_model(mine), atol=1e-5)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["layerlr.json"])["classes"] == ["ant", "bee", "cat"]


def test_a_model_of_several_named_inputs_is_exported_too(tmp_path, rules, layerlr):
    """Tokens and their mask, integers both."""
    rules.write_text("** -> lr 1e-3\n")
    named = ["--model", "python:tiny:Reader"]
    line = ["train", rules, *named, "--data", "python:tiny:words", "--epochs", 1, "--out", tmp_path / "run"]
    assert layerlr(*line).status == 0
    ran = layerlr("export", tmp_path / "run", *named, "-o", tmp_path / "m.pt2")
    assert ran.status == 0, ran.err
    program = torch.export.load(tmp_path / "m.pt2").module()
    tokens = torch.ones(3, 4, dtype=torch.int64)
    assert program(input_ids=tokens, attention_mask=tokens).shape == (3, 4)


def test_a_model_without_a_graph_is_pointed_to_its_tensors(tmp_path, rules, layerlr):
    """A forward that asks its input for numbers."""
    rules.write_text("** -> lr 1e-3\n")
    line = settings(rules, tmp_path / "run", "--epochs", 1)
    line[line.index("python:tiny:Net")] = "python:tiny:Stubborn"
    assert layerlr(*line).status == 0
    ran = layerlr("export", tmp_path / "run", "--model", "python:tiny:Stubborn", "-o", tmp_path / "m.pt2")
    assert ran.status == 2, ran
    assert "can only be exported as tensors" in ran.err
    assert "-o model.safetensors" in ran.err
    assert (
        layerlr(
            "export", tmp_path / "run", "--model", "python:tiny:Stubborn", "-o", tmp_path / "m.safetensors"
        ).status
        == 0
    )


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("m.pth", 2, "end the name in .pt2, .onnx, .safetensors"),
        ("m", 2, "not a form that models are written in"),
        ("nowhere/m.pt2", 2, "cannot be written: no such file or directory"),
        ("folder.pt2", 2, "is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_a_sentence(mine, tmp_path, layerlr, name, status, message):
    """And nothing is left half written."""
    (tmp_path / "folder.pt2").mkdir()
    before = sorted(tmp_path.rglob("*"))
    ran = layerlr("export", mine, *CODE, "-o", tmp_path / name)
    assert ran.status == status
    assert message in ran.err
    assert sorted(tmp_path.rglob("*")) == before
