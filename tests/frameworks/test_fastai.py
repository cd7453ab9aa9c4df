"""fastai's Learner by rules: its loop calls things in an order of its own, and sets rates before each run."""

import pytest
import torch
from documented import RIGHT, run_page
from torch import nn
from torch.utils.data import TensorDataset

from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.training.errors import FrozenMoved, ScheduleWarning, TrainingError

learner = pytest.importorskip("fastai.learner", exc_type=ImportError)
from fastai.callback.training import GradientAccumulation  # noqa: E402
from fastai.data.core import DataLoaders  # noqa: E402
from fastai.data.load import DataLoader  # noqa: E402

from layerlr_dsl.training.fastai import ByRules  # noqa: E402

RULES = "schedule linear\n** -> lr 0.1\n1 -> lr 1\nfreeze 0 until epoch 1"


def learn(rules=RULES, folder=None, size=32, cbs=(), **settings):
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(size, 4), torch.randint(2, (size,)))
    loaders = DataLoaders(DataLoader(data, bs=8), DataLoader(data, bs=8))
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    settings = {"loss_func": nn.CrossEntropyLoss(), "path": folder, **settings}
    made = learner.Learner(loaders, model, cbs=[ByRules(rules), *cbs], **settings)
    made.remove_cb(learner.progress.ProgressCallback) if hasattr(learner, "progress") else None
    return made


def test_the_page_trains_by_it(page, seen):
    """Four steps an epoch, three epochs: the rates of every other tool on the page."""
    run_page("by_fastai.py")
    assert seen == RIGHT


def test_its_own_way_does_the_same(page, seen):
    """The example beside ours is real code; fastai holds frozen groups by their flags alone."""
    run_page("fastai_by_hand.py")
    assert seen == RIGHT


def test_validating_and_predicting_begin_no_run(seen):
    """fastai calls `before_fit` for these too, and the model would be frozen anew."""
    made = learn()
    made.fit(2)
    schedule, optimizer = made.by_rules.schedule, made.opt.opt
    made.validate()
    made.get_preds()
    assert (made.by_rules.schedule, made.opt.opt) == (schedule, optimizer)
    assert all(p.requires_grad for p in made.model.parameters())
    assert len(seen) == 8


def test_what_fit_sets_does_not_reach_the_groups(seen):
    """`fit` writes its rate and weight decay into all groups before a run, and says so when they were asked for."""
    made = learn()
    with pytest.warns(ScheduleWarning, match=r"lr=0\.5.*no effect|wd=0\.3.*no effect"):
        made.fit(1, lr=0.5, wd=0.3)
    assert [group["weight_decay"] for group in made.opt.opt.param_groups] == [0.01, 0.01]
    assert seen[0][0] == [0.1, 1.0]


def test_a_run_goes_on_in_the_middle_with_the_optimizers_state(tmp_path, seen):
    """Bit for bit: the optimizer's state is loaded before the length of the run, and so the groups, are known."""
    whole = learn()
    whole.fit(3)
    half = learn(folder=tmp_path)
    half.model_dir = "."

    class Stop(learner.Callback):
        order = 99

        def after_epoch(self):
            self.learn.save("half", with_opt=True)
            raise learner.CancelFitException

    half.fit(3, cbs=Stop())
    again = learn(folder=tmp_path)
    again.model_dir = "."
    again.load("half", with_opt=True)
    again.fit(3, start_epoch=1)
    assert [p.tolist() for p in again.model.parameters()] == [p.tolist() for p in whole.model.parameters()]


def test_accumulation_divides_the_steps(seen):
    """Three batches of eight make a step: four of the twelve of a run in three epochs, and the thaw after two."""
    made = learn(cbs=[GradientAccumulation(24)])
    made.fit(3)
    clock = made.by_rules.schedule.plan.clock
    assert (clock.total, made.by_rules.schedule.last_epoch, len(seen)) == (4, 4, 4)


def test_epochs_of_rules_are_those_of_the_loop(seen):
    """Four batches of eight by three: 9 epochs are twelve steps, and `epoch 3` the first that begins in the fourth."""
    learn("** -> lr 1e-3\nfreeze 0 until epoch 3", cbs=[GradientAccumulation(24)]).fit(9)
    assert [trains for _, trains in seen] == [False] * 4 + [True] * 8


def test_metrics_of_the_table_are_reported():
    """The columns' names; the loss of training falls for ever here, so that its rise never comes."""
    rules = "** -> lr 0\nfreeze 0 until valid_loss stops falling for 1 epoch"
    made = learn(rules)
    made.fit(4)
    assert not made.by_rules.schedule.frozen
    with pytest.warns(ScheduleWarning, match=r"never reported: .*nonesuch"):
        learn(rules.replace("valid_loss", "nonesuch")).fit(2)


@pytest.mark.parametrize("run", [lambda x: x.fit_one_cycle(1), lambda x: x.lr_find(show_plot=False)])
def test_what_sets_rates_itself_is_refused(run):
    """It would overwrite the rules' rates at each batch."""
    with pytest.raises(TrainingError, match=r"sets? rates"):
        run(learn())


def test_an_optimizer_put_in_by_hand_is_refused():
    """The rules' rates would go to another one."""
    made = learn()
    made.opt = learner.OptimWrapper(opt=torch.optim.SGD(made.model.parameters(), lr=1.0))
    with pytest.raises(TrainingError, match=r"learn\.opt"):
        made.fit(1)


def test_rules_with_an_error_are_said_before_a_batch(seen):
    """With fastai's own words before ours."""
    with pytest.raises(RuleError, match="nothing"):
        learn("nothing -> lr 1\n** -> lr 1").fit(1)
    assert seen == []


def test_what_moves_a_frozen_layer_is_named():
    """At the end of the run."""
    made = learn("** -> lr 1\nfreeze 0")

    class Move(learner.Callback):
        def after_batch(self):
            self.learn.model[0].weight.data += 1

    with pytest.raises(FrozenMoved, match=r"0\.weight"):
        made.fit(1, cbs=Move())
