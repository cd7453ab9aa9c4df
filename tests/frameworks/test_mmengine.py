"""mmengine's Runner by rules: it builds the optimizer before it knows the run, and the weights after."""

import pytest
import torch
from documented import RIGHT, run_page
from torch import nn
from torch.utils.data import TensorDataset

from layerlr_dsl.training.errors import TrainingError

runner = pytest.importorskip("mmengine.runner", exc_type=ImportError)
from mmengine.evaluator import BaseMetric, Evaluator  # noqa: E402
from mmengine.model import BaseModel  # noqa: E402

from layerlr_dsl.training.mmengine import LayerRulesHook  # noqa: E402

RULES = "schedule linear\n** -> lr 0.1\nhead -> lr 1\nfreeze stem until epoch 1"


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x, y, mode="tensor"):
        out = self.head(self.stem(x))
        return {"loss": nn.functional.cross_entropy(out, y)} if mode == "loss" else [out]

    def init_weights(self):
        nn.init.constant_(self.stem.weight, 0.25)


class Still(BaseMetric):
    """A metric that never changes."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {"a/b(c)": 1.0}


def run(folder, rules=RULES, size=32, *, validate=False, resume=False, act=runner.Runner.train, **settings):
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(size, 4), torch.randint(2, (size,)))
    sampler, collate = {"type": "DefaultSampler", "shuffle": False}, {"type": "default_collate"}
    loader = {"dataset": data, "batch_size": 8, "sampler": sampler, "collate_fn": collate}
    wrapper = {"type": "OptimWrapper", "constructor": "LayerRules", "rules": rules}
    if validate:
        settings |= {"val_dataloader": loader, "val_cfg": {}, "val_evaluator": Evaluator([Still()])}
    given = {
        "model": Net(),
        "train_cfg": {"by_epoch": True, "max_epochs": 3},
        "custom_hooks": [{"type": "LayerRulesHook"}],
        **settings,
        "optim_wrapper": {**wrapper, **settings.pop("wrapper", {})},
    }
    given.pop("wrapper", None)
    torch.manual_seed(1)
    name = f"{folder.name}-{run.count}"
    run.count += 1
    made = runner.Runner(
        **given, work_dir=str(folder), train_dataloader=loader, resume=resume, experiment_name=name
    )
    act(made)
    return made, next(h for h in made._hooks if isinstance(h, LayerRulesHook)).schedule


run.count = 0


def test_the_page_trains_by_it(page, seen):
    """Four steps an epoch, three epochs: the rates of every other tool on the page."""
    run_page("by_mmengine.py")
    assert seen == RIGHT


def test_its_own_way_has_the_same_rates(page, seen):
    """The example beside ours is real code; a group for each parameter, in its way."""
    run_page("mmengine_by_hand.py")
    assert [(sorted(set(rates)), trains) for rates, trains in seen] == RIGHT


def test_weights_made_after_the_optimizer_are_what_is_frozen(tmp_path):
    """mmengine fills them in after it has built the optimizer: no frozen layer has moved by that."""
    made, schedule = run(tmp_path, "** -> lr 1\nfreeze stem")
    assert made.model.stem.weight.eq(0.25).all()
    assert schedule.verify() > 0


def test_accumulation_divides_the_steps(tmp_path, seen):
    """Five batches by two, three times: mmengine counts through, and steps with what is left at the very end."""
    rules = RULES.replace("epoch 1", "50%")
    cfg = {"by_epoch": True, "max_epochs": 3}
    _, schedule = run(tmp_path, rules, 40, train_cfg=cfg, wrapper={"accumulative_counts": 2})
    assert (len(seen), schedule.last_epoch, schedule.plan.clock.total) == (8, 8, 8)
    assert [rates[1] for rates, _ in seen] == pytest.approx([1 - k / 8 for k in range(8)])


def test_epochs_of_rules_are_those_of_the_loop(tmp_path, seen):
    """Five batches by two: the thaw comes with the first step that begins in the second epoch, the fourth."""
    cfg = {"by_epoch": True, "max_epochs": 3}
    _, schedule = run(tmp_path, RULES, 40, train_cfg=cfg, wrapper={"accumulative_counts": 2})
    assert [trains for _, trains in seen] == [False] * 3 + [True] * 5
    assert schedule.plan.clock.steps_per_epoch == 2.5


def test_a_loop_of_iterations_counts_steps(tmp_path, seen):
    """It has no epochs: marks are steps and shares."""
    rules = RULES.replace("epoch 1", "step 2")
    _, schedule = run(tmp_path, rules, train_cfg={"by_epoch": False, "max_iters": 6})
    assert [trains for _, trains in seen] == [False] * 2 + [True] * 4
    assert schedule.plan.clock.total == 6


def test_evaluating_makes_no_optimizer(tmp_path, seen):
    """mmengine calls `before_run` for it too: behind a run, and of a configuration that is not trained at all."""
    made, schedule = run(tmp_path, validate=True)
    made.val()
    assert schedule.last_epoch == schedule.plan.clock.total == len(seen)
    _, never = run(tmp_path, validate=True, act=runner.Runner.val)
    assert (never, len(seen)) == (None, schedule.last_epoch)


def test_a_resumed_run_is_the_same_run(tmp_path, monkeypatch, seen):
    """Weights bit for bit, with a thaw behind a metric that came true before the stop."""
    monkeypatch.setenv(
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1"
    )  # mmengine 0.10 needs it for its own checkpoints
    rules = "schedule linear\n** -> lr 0.1\nfreeze stem until a_b_c stops rising for 1 epoch"
    four = {"by_epoch": True, "max_epochs": 4}
    whole, _ = run(tmp_path / "whole", rules, validate=True, train_cfg=four)
    # The checkpoint of an epoch is written before its validation.
    (tmp_path / "whole" / "last_checkpoint").write_text(str(tmp_path / "whole" / "epoch_3.pth"))
    steps = len(seen)
    again, schedule = run(tmp_path / "whole", rules, validate=True, resume=True, train_cfg=four)
    assert (steps, len(seen) - steps, schedule.frozen) == (16, 4, frozenset())
    assert [p.tolist() for p in again.model.parameters()] == [p.tolist() for p in whole.model.parameters()]


def test_an_average_holds_what_is_frozen(tmp_path):
    """Its EMA would move frozen weights by rounding, and its swaps at validation are no moves."""
    rules = "** -> lr 1\nfreeze stem"
    hooks = [{"type": "LayerRulesHook"}, {"type": "EMAHook", "momentum": 0.3}]
    made, schedule = run(tmp_path, rules, validate=True, custom_hooks=hooks)
    average = next(h for h in made._hooks if type(h).__name__ == "EMAHook").ema_model.module
    assert average.stem.weight.equal(made.model.stem.weight)
    assert not average.head.weight.equal(made.model.head.weight)
    assert schedule.verify() > 0


STEP = {"type": "MultiStepLR", "milestones": [1]}
SCALED = {"enable": True, "base_batch_size": 4}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"custom_hooks": []}, "want their hook"),
        ({"param_scheduler": STEP}, "leave param_scheduler out"),
        ({"auto_scale_lr": SCALED}, "auto_scale_lr"),
        ({"wrapper": {"optimizer": {"type": "SGD", "lr": 1.0}}}, "optimizer of optim_wrapper"),
        ({"wrapper": {"paramwise_cfg": {"norm_decay_mult": 0.0}}}, "paramwise_cfg of optim_wrapper"),
    ],
)
def test_what_says_rates_too_is_refused(tmp_path, settings, said, seen):
    """Before a step is made."""
    with pytest.raises(TrainingError, match=said):
        run(tmp_path, **settings)
    assert seen == []
