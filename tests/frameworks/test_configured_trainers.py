"""Trainers that are driven by configuration: the page of the docs, run as it stands, beside each tool's own way."""

import re
import sys

import pytest
import torch
from documented import PAGES, RIGHT, STEPS, run_page

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning
from layerlr_dsl.training.schedule import LayerSchedule

pytestmark = pytest.mark.filterwarnings("ignore")

QUIET = {"accelerator": "cpu", "logger": "false", "enable_checkpointing": "false"}


def fit(monkeypatch, config, *more):
    """Run the page's `fit.py` as its command line does."""
    pytest.importorskip("jsonargparse")
    told = [f"--trainer.{name}={value}" for name, value in QUIET.items()]
    words = ["fit.py", "fit", "--config", config, "--trainer.max_epochs=3", *told, *more]
    monkeypatch.setattr(sys, "argv", words)
    return run_page("fit.py")["cli"]


def test_lightnings_command_line_trains_by_rules_that_its_yaml_names(page, seen, monkeypatch):
    """The run's length is the trainer's, and the module's own optimizer is not asked for."""
    cli = fit(monkeypatch, "lightning.yaml")
    assert seen == RIGHT
    assert isinstance(cli.trainer.lr_scheduler_configs[0].scheduler, LayerSchedule)


def test_lightnings_command_line_takes_other_constants(page, seen, monkeypatch):
    """What a sweep sets."""
    fit(monkeypatch, "lightning.yaml", '--trainer.callbacks.init_args.lets={"base": 1e-4}')
    assert seen[0][0] == pytest.approx([1e-4, 1e-3])


def test_lightnings_own_way_thaws_without_a_cosine(page, seen, monkeypatch):
    """The example beside ours is real code, and does what the page says of it."""
    fit(monkeypatch, "own.yaml")
    assert [rates for rates, _ in seen] == [[2e-2]] * 4 + [[2e-2, 2e-3]] * 8


@pytest.mark.parametrize(
    "nested", ["{rules: my.lr}", "{class_path: layerlr_dsl.Configured, init_args: {rules: my.lr}}"]
)
def test_a_module_takes_configured_rules_as_an_argument(page, nested):
    """By its keys alone, or as a class with arguments; types are checked before anything is made."""
    jsonargparse = pytest.importorskip("jsonargparse")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--optimize", type=layerlr.Configured)
    made = parser.instantiate_classes(parser.parse_args([f"--optimize={nested}"])).optimize
    assert made == layerlr.configured("my.lr")
    with pytest.raises(jsonargparse.ArgumentError, match="epochs"):
        parser.parse_args(["--optimize={rules: my.lr, epochs: soon}"])


def test_hydra_makes_it(page, seen):
    """`_target_` names it; the constants come as Hydra's own kind of mapping."""
    pytest.importorskip("hydra")
    names = run_page("by_hydra.py")
    assert seen == RIGHT
    assert names["schedule"].verify() >= 0


def test_hydras_interpolations_and_lists_arrive_as_constants():
    """They are of OmegaConf's own kinds, which the language does not know."""
    utils = pytest.importorskip("hydra.utils")
    from omegaconf import OmegaConf

    rules = "let b = (0.5, 0.5)\nlet base = 1\n** -> lr base, betas b"
    given = {"_target_": "layerlr_dsl.configured", "rules": rules, "epochs": 1}
    config = OmegaConf.create({"rate": 1e-2, "make": {**given, "lets": {"base": "${rate}", "b": [0.8, 0.9]}}})
    optimizer, _ = utils.instantiate(config.make)(torch.nn.Linear(2, 2))
    assert [(g["lr"], g["betas"]) for g in optimizer.param_groups] == [(1e-2, (0.8, 0.9))]


def test_what_hydra_makes_by_hand_does_the_same(page, seen):
    """The example beside ours is real code: the same rates and the same thaw."""
    utils = pytest.importorskip("hydra.utils")
    from omegaconf import OmegaConf
    from task import Data, Net

    model, loader = Net(), Data().train_dataloader()
    made = utils.instantiate(OmegaConf.load("hand.yaml").optimize)(model, len(loader))
    for _ in range(3):
        for x, y in loader:
            torch.nn.functional.cross_entropy(model(x), y).backward()
            made.optimizer.step(), made.step(), made.optimizer.zero_grad()
    assert seen == RIGHT


def test_an_optimizer_of_lightnings_command_line_thaws_at_the_wrong_rate(page, seen, monkeypatch):
    """What the page says of it: it was made of all parameters."""
    (page / "own.yaml").write_text(
        "optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 2e-2}}\n"
        + (page / "own.yaml").read_text()
    )
    fit(monkeypatch, "own.yaml")
    assert seen == [([2e-2], True)] * STEPS


def test_hydra_says_what_is_wrong_with_the_rules(page):
    """Its exception holds the place and the fix."""
    utils = pytest.importorskip("hydra.utils")
    errors = pytest.importorskip("hydra.errors")
    with pytest.raises(errors.InstantiationException, match=r"did you mean `base`"):
        utils.instantiate({"_target_": "layerlr_dsl.configured", "rules": "my.lr", "lets": {"bas": 1}})


def test_fabric_trains_by_it(page, seen):
    """The optimizer is set up after it was made."""
    run_page("by_fabric.py")
    assert seen == RIGHT


def test_accelerate_trains_by_it(page, seen):
    """Two batches make a step: six steps in all, thawing after two."""
    pytest.importorskip("accelerate")
    names = run_page("by_accelerate.py")
    assert [trains for _, trains in seen] == [False] * 2 + [True] * 4
    assert names["schedule"].plan.clock.total == names["schedule"].last_epoch == 6


def test_ignite_trains_by_it(page, seen):
    """Attached before the run, in the place of a handler for each thing."""
    pytest.importorskip("ignite")
    run_page("by_ignite.py")
    assert seen == RIGHT


def test_ignites_own_way_does_the_same(page, seen):
    """The example beside ours is real code: the same rates and the same thaw."""
    pytest.importorskip("ignite")
    run_page("ignite_by_hand.py")
    assert seen == RIGHT


def engine(rules, batches=5, accumulate=1):
    """An ignite trainer of a small model, its schedule, and what follows it."""
    create = pytest.importorskip("ignite.engine").create_supervised_trainer
    from layerlr_dsl.training.ignite import FollowEngine

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer, schedule = layerlr.configured(rules, epochs=99)(model, range(batches))
    trainer = create(model, optimizer, torch.nn.MSELoss(), gradient_accumulation_steps=accumulate)
    return trainer, schedule, FollowEngine(schedule, accumulate)


BATCHES = [(torch.randn(3, 4), torch.randn(3, 2)) for _ in range(5)]


def test_ignite_accumulates():
    """Three epochs of six batches by two are nine steps, whatever the rules were resolved for."""
    trainer, schedule, follow = engine("schedule linear\n** -> lr 1", accumulate=2)
    follow.attach(trainer)
    trainer.run([*BATCHES, BATCHES[0]], max_epochs=3)
    assert (schedule.plan.clock.steps_per_epoch, schedule.plan.clock.total, schedule.last_epoch) == (3, 9, 9)


def test_epochs_of_rules_are_those_of_ignite():
    """Five batches by two: each mark comes with the first step that begins in its epoch."""
    trainer, schedule, follow = engine("freeze 0 until epoch 1\n** -> lr floor(epoch)", accumulate=2)
    seen = []
    step = schedule.optimizer.step

    def note(*args):
        began = trainer.state.iteration - 2
        seen.append((began // 5, schedule.optimizer.param_groups[-1]["lr"], not schedule.frozen))
        return step(*args)

    schedule.optimizer.step = note
    follow.attach(trainer)
    trainer.run(BATCHES, max_epochs=6)
    assert len(seen) == 15
    assert all((rate, thawed) == (epoch, epoch >= 1) for epoch, rate, thawed in seen)


def test_what_ignites_evaluator_measures_thaws():
    """Evaluated by a handler at the end of each epoch; stops falling in the third, so that the fourth thaws."""
    trainer, schedule, follow = engine("** -> lr 1e-3\nfreeze 0 until loss stops falling for 1 epochs")
    events, values, frozen = pytest.importorskip("ignite.engine"), iter([3.0, 2.0, 2.5, 2.6]), []
    evaluator = events.Engine(lambda engine, batch: None)

    @evaluator.on(events.Events.COMPLETED)
    def measure(engine):
        engine.state.metrics["loss"] = next(values)

    follow.attach(trainer, evaluator)
    trainer.add_event_handler(events.Events.EPOCH_COMPLETED, lambda _: evaluator.run(BATCHES))
    trainer.add_event_handler(
        events.Events.ITERATION_STARTED(event_filter=lambda e, n: n % 5 == 1),
        lambda _: frozen.append(bool(schedule.frozen)),
    )
    trainer.run(BATCHES, max_epochs=4)
    assert frozen == [True, True, True, False]


def test_a_metric_that_ignite_never_measures_is_named():
    """The condition would wait for ever."""
    trainer, _, follow = engine("** -> lr 1e-3\nfreeze 0 until loss stops falling for 1 epochs")
    follow.attach(trainer)
    with pytest.warns(ScheduleWarning, match="never reported: loss stops falling"):
        trainer.run(BATCHES, max_epochs=2)


# ------------------------------------------------------------------ lines

ROW = re.compile(r"`([^|]*)`: (\d+)")


def test_the_table_counts_the_lines_of_its_files(page):
    """And says of no tool that rules take more than its own way."""
    rows = [
        line for line in (PAGES / "configuration.md").read_text("utf-8").splitlines() if ".lr`, `" in line
    ]
    for row in rows:
        cells = [(names.split("`, `"), int(count)) for names, count in ROW.findall(row)]
        assert [sum(length(page / name) for name in names) for names, _ in cells] == [n for _, n in cells]
        assert len(cells) == 1 or cells[0][1] < cells[1][1]
    assert len(rows) == 8


def length(path):
    return sum(bool(line.strip()) for line in path.read_text("utf-8").splitlines())
