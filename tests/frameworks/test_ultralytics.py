"""ultralytics' trainers by rules: they warm up, freeze and average by themselves."""

import os
import pickletools
import zipfile

import numpy as np
import pytest
import torch
from documented import run_page

from layerlr_dsl.training.errors import ScheduleWarning, TrainingError

os.environ.setdefault("YOLO_OFFLINE", "1")
ultralytics = pytest.importorskip("ultralytics", exc_type=ImportError)
from PIL import Image  # noqa: E402
from ultralytics.models.yolo.classify import ClassificationTrainer  # noqa: E402

from layerlr_dsl.training.ultralytics import ByRules  # noqa: E402

RULES = "schedule linear\n** -> lr 1e-3\nmodel.10 -> lr 1e-2\nfreeze model.0, model.1 until epoch 1\nfreeze model.3"


@pytest.fixture
def seen(monkeypatch):
    """At each step the highest rate of all groups, and whether the first layer trains."""
    noted = []
    step = torch.optim.AdamW.step

    def note(self, closure=None):
        groups = self.param_groups
        noted.append((max(g["lr"] for g in groups), any(p.grad is not None for p in groups[0]["params"])))
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    return noted


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder with pictures of two classes, to run in."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    for part, number in (("train", 12), ("val", 4)):
        for name, shade in (("dark", 60), ("light", 190)):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for k in range(number):
                pixels = noise.integers(0, 50, (32, 32, 3)) + shade
                Image.fromarray(pixels.astype("uint8")).save(folder / f"{k}.png")
    return tmp_path


class Trainer(ByRules, ClassificationTrainer):
    rules = RULES


def train(model="yolo11n-cls.yaml", trainer=Trainer, **settings):
    given = {"epochs": 3, "imgsz": 32, "batch": 8, "nbs": 8, "workers": 0, "device": "cpu", "plots": False}
    yolo = ultralytics.YOLO(model)
    yolo.train(trainer=trainer, data="pictures", project=os.getcwd(), **{**given, **settings})
    return yolo.trainer


def test_the_page_trains_by_it(page, pictures, seen):
    """Nine steps on a cosine; the first two layers thaw after three."""
    run_page("by_ultralytics.py")
    assert [rate for rate, _ in seen] == pytest.approx([5e-3 * (1 + np.cos(np.pi * k / 9)) for k in range(9)])
    assert [trains for _, trains in seen] == [False] * 3 + [True] * 6


def test_its_own_way_thaws_too(page, pictures, seen):
    """The example beside ours is real code; its cosine moves once an epoch."""
    run_page("ultralytics_by_hand.py")
    assert [rate for rate, _ in seen] == pytest.approx(
        [5e-3 * (1 + np.cos(np.pi * (k // 3) / 3)) for k in range(9)]
    )


def test_accumulation_divides_the_steps(pictures, seen):
    """`nbs` of twice the batch: nine batches make four steps, counted through the epochs."""
    schedule = train(nbs=16).layer_schedule
    assert (len(seen), schedule.last_epoch, schedule.plan.clock.total) == (4, 4, 4)


def test_epochs_of_rules_are_those_of_the_loop(pictures, seen):
    """Three batches by two: the thaw comes with the first step that begins in the second epoch, the third."""
    schedule = train(nbs=16, epochs=4).layer_schedule
    assert [trains for _, trains in seen] == [False] * 2 + [True] * 4
    assert schedule.plan.clock.steps_per_epoch == 1.5


def test_settings_that_rules_say_are_named(pictures):
    """They have no effect, the warm-up's included."""
    with pytest.warns(ScheduleWarning, match="lr0, freeze"):
        schedule = train(lr0=0.5, freeze=1, epochs=1).layer_schedule
    assert schedule.last_epoch == 3


def test_rules_are_arguments_too(pictures):
    """For one class of trainers and several rules."""
    made = train(rules="let base = 1\n** -> lr base", lets={"base": 1e-4}, epochs=1)
    assert [group["lr"] for group in made.optimizer.param_groups] == [1e-4]


def test_its_average_holds_what_is_frozen_and_its_checkpoint_needs_no_layerlr(pictures):
    """The average is pickled as a module with its hooks."""
    made = train(epochs=2)
    frozen = dict(made.model.named_parameters())
    for name, parameter in made.ema.ema.named_parameters():
        if name.startswith("model.3."):
            assert parameter.equal(frozen[name])
    with zipfile.ZipFile(made.last) as file:
        inside = next(name for name in file.namelist() if name.endswith("data.pkl"))
        words = {str(word) for _, word, _ in pickletools.genops(file.read(inside))}
    assert not [word for word in words if "layerlr_dsl" in word]


def test_a_stopped_run_goes_on(pictures, seen):
    """With the schedule's state beside the weights; without it nothing goes on."""

    class Stopped(Trainer):
        def save_model(self):
            saved = super().save_model()
            if self.epoch == 1:
                raise KeyboardInterrupt
            return saved

    with pytest.raises(KeyboardInterrupt):
        train(trainer=Stopped)
    before = len(seen)
    last = pictures / "train" / "weights" / "last.pt"
    kept = last.with_name("layer_schedule.json")
    text = kept.read_text()
    kept.unlink()
    with pytest.raises(TrainingError, match=r"layer_schedule\.json is not of the epoch"):
        ultralytics.YOLO(last).train(trainer=Trainer, resume=True)
    kept.write_text(text)
    ultralytics.YOLO(last).train(trainer=Trainer, resume=True)
    assert [rate for rate, _ in seen[before:]] == pytest.approx([1e-2 * (1 - k / 9) for k in (6, 7, 8)])


def test_metrics_are_reported(pictures):
    """Under its names, spelled for rules; a rate of 0 makes fitness stand still."""
    rules = "** -> lr 0\nfreeze model.0 until metrics_accuracy_top1 stops rising for 1 epoch\n"
    assert not train(rules=rules).layer_schedule.frozen
    with pytest.warns(ScheduleWarning, match="never reported"):
        train(rules=rules.replace("accuracy_top1", "nonesuch"), epochs=2)


def test_a_trainer_without_rules_is_refused(pictures):
    """Its class says them, or the call."""

    class Bare(ByRules, ClassificationTrainer):
        pass

    with pytest.raises(TrainingError, match=r"rules = "):
        train(trainer=Bare)
