"""One object that configurations can name: rules, and how long the run is."""

from __future__ import annotations

import pickle
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import layerlr_dsl as layerlr
from layerlr_dsl.model.torchvision_compat import with_torchvision

RULES = """schedule linear
let base = 1e-2
** -> lr base
head -> lr base * 10
freeze body until epoch 1
"""
LOADER = DataLoader(TensorDataset(torch.randn(12, 4)), batch_size=2)


def model() -> nn.ModuleDict:
    return nn.ModuleDict({"body": nn.Linear(4, 4), "head": nn.Linear(4, 2)})


def clock(made: layerlr.Configured, *given: Any, **more: Any) -> tuple[Any, Any]:
    """The steps of an epoch and of the run that a call comes to."""
    found = made(model(), *given, **more)[1].plan.clock
    return found.steps_per_epoch, found.total


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.lr"
    path.write_text(RULES)
    return path


@pytest.mark.parametrize("spelled", [str, Path, Path.read_text])
def test_a_call_gives_optimizer_and_schedule(file: Path, spelled: Any) -> None:
    """Rules come as a file's name or as the text itself, with constants in the place of the file's."""
    optimizer, schedule = layerlr.configured(spelled(file), lets={"base": 0.5}, epochs=3)(model(), LOADER)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 5.0]
    assert schedule.frozen == {"body.weight", "body.bias"}
    assert schedule.plan.clock.total == 18


def test_a_loader_gives_the_steps_of_an_epoch() -> None:
    """It knows better than the configuration; two of its batches may make one step."""
    made = layerlr.configured(RULES, epochs=2, steps_per_epoch=100)
    assert clock(made) == (100, 200)
    assert clock(made, LOADER) == (6, 12)
    assert clock(made, LOADER, accumulate=4) == (2, 4)


def test_a_stream_leaves_the_length_to_the_configuration() -> None:
    """A DataLoader over one has a `__len__` that raises."""

    class Stream(IterableDataset[int]):
        def __iter__(self) -> typing.Iterator[int]:
            return iter(range(3))

    assert clock(layerlr.configured(RULES, steps=40, steps_per_epoch=8), DataLoader(Stream())) == (8, 40)


def test_who_knows_the_run_is_believed_before_the_configuration() -> None:
    """An integration resolves with its trainer's length, in the other unit too."""
    made = layerlr.configured(RULES, epochs=9, steps_per_epoch=5)
    assert made.resolve(model(), steps=20).clock.total == 20
    assert made.resolve(model(), epochs=2).clock.total == 10
    assert made.resolve(model()).clock.total == 45


def test_it_travels_to_another_process(file: Path) -> None:
    """What was read goes along: the file may be gone there."""
    made = layerlr.configured(file, epochs=2)
    sent = pickle.dumps(made)
    file.unlink()
    again = pickle.loads(sent)
    assert again == made
    assert repr(again) == repr(made)
    assert clock(again, LOADER) == (6, 12)


def test_its_types_are_those_that_a_parser_can_read() -> None:
    """jsonargparse and others look the annotations up by name."""
    hints = typing.get_type_hints(layerlr.Configured)
    assert hints["lets"] == dict[str, Any] | None
    assert hints["epochs"] == float | None


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"rules": "no.lr"}, OSError, "no such file"),
        ({"rules": "** -> lrr 1"}, layerlr.RuleError, "did you mean `lr`"),
        ({"rules": RULES, "lets": {"bas": 1}}, layerlr.RuleError, "did you mean `base`"),
        ({"rules": RULES, "lets": 3}, TypeError, "lets must be a mapping"),
        ({"rules": None}, TypeError, "rules must be a file"),
        ({"rules": RULES, "epochs": 0}, ValueError, "positive"),
        ({"rules": RULES, "epochs": 1, "steps": 9}, ValueError, "give one of them"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_configured(
    given: dict[str, Any], kind: type[Exception], text: str
) -> None:
    """Not hours later, when the model is there."""
    with pytest.raises(kind, match=text):
        layerlr.configured(**given)


def lightning_module() -> Any:
    lightning = with_torchvision(lambda: pytest.importorskip("lightning"))

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = model()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.net["head"](self.net["body"](batch[0])).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    return Module()


def lightning_trainer(folder: Path, *callbacks: Any) -> Any:
    return import_module("lightning").Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )


def test_a_callback_puts_rules_in_the_place_of_a_lightning_modules_own(tmp_path: Path) -> None:
    """For the length of that trainer's run; before and after it the module has its own optimizer."""
    module = lightning_module()
    from layerlr_dsl.training.lightning import ByRules

    trainer = lightning_trainer(tmp_path, ByRules(RULES, lets={"base": 0.5}, part="net"))
    trainer.fit(module, LOADER)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert (schedule.last_epoch, schedule.plan.clock.total, schedule.base_lrs) == (12, 12, [0.5, 5.0])
    assert float(trainer.optimizers[0].state[module.net["body"].weight]["step"]) == 6
    plain = lightning_trainer(tmp_path)
    plain.fit(module, LOADER)
    assert isinstance(plain.optimizers[0], torch.optim.SGD)


@pytest.mark.parametrize("beside", [False, True])
def test_a_reporter_beside_the_callback_counts_no_epoch_twice(tmp_path: Path, beside: bool) -> None:
    """Two epochs without an improvement on the first: what waits for two of them thaws at the end of the third."""
    module = lightning_module()
    from layerlr_dsl.training.lightning import ByRules, ReportMetrics

    rules = "** -> lr 1e-9\nfreeze body until level stops falling for 2 epochs"
    more = [ReportMetrics()] if beside else []
    trainer = lightning_trainer(tmp_path, *more, ByRules(rules, part="net"), *more)
    frozen = []
    module.on_train_epoch_start = lambda: frozen.append(bool(module.lr_schedulers().frozen))
    module.on_train_batch_start = lambda batch, index: module.log("level", 1.0, on_step=False, on_epoch=True)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(module, LOADER)
    assert frozen == [True, True, True, False]


def test_a_method_that_was_put_on_the_module_comes_back(tmp_path: Path) -> None:
    """LightningCLI gives the module's instance a `configure_optimizers`; a second run would lack it."""
    module = lightning_module()
    from layerlr_dsl.training.lightning import ByRules

    own = module.configure_optimizers = lambda: torch.optim.Adagrad(module.parameters())
    lightning_trainer(tmp_path, ByRules(RULES, part="net")).fit(module, LOADER)
    assert module.configure_optimizers is own


def test_a_lightning_module_configures_with_what_it_was_given(tmp_path: Path) -> None:
    """`configure` takes the trainer's length in the place of the configured one."""
    module = lightning_module()
    from layerlr_dsl.training.lightning import configure

    made = layerlr.configured(RULES, epochs=50)
    module.configure_optimizers = lambda: configure(module, made, model=module.net)
    trainer = lightning_trainer(tmp_path)
    trainer.fit(module, LOADER)
    assert trainer.lr_scheduler_configs[0].scheduler.plan.clock.total == 12


def test_a_fault_tells_its_place_with_a_caret_wherever_it_is_shown() -> None:
    """As the last lines of a traceback, and in what Hydra says of what it calls, which is the `repr`."""
    with pytest.raises(layerlr.RuleError) as caught:
        layerlr.configured("** -> lr 1e-3\n\tfreze 0 until epoch 1")
    text = """<string>:2:2: error[LR004]: unknown statement `freze`
        freze 0 until epoch 1
        ^^^^^
  help: did you mean `freeze`?"""
    assert (str(caught.value), repr(caught.value)) == (text, f"RuleError: {text}")


def test_a_callback_tells_of_its_rules_when_training_begins(tmp_path: Path) -> None:
    """LightningCLI makes it while it tries what a callback may be, and would list a fault among other failures."""
    module = lightning_module()
    from layerlr_dsl.training.lightning import ByRules

    callback = ByRules("** -> lr 1e-3\nfreze net until epoch 1")
    with pytest.raises(layerlr.RuleError, match="did you mean `freeze`"):
        lightning_trainer(tmp_path, callback).fit(module, LOADER)
