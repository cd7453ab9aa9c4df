"""Lightning's loops and callbacks around a schedule: what it does in each, and what it warns of."""

import math
import warnings

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning

L = pytest.importorskip("lightning")
callbacks = pytest.importorskip("lightning.pytorch.callbacks")
lightning = pytest.importorskip("layerlr_dsl.training.lightning")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning.*", "ignore::FutureWarning")


def loader(examples=16, batch_size=4):
    data = torch.randn(examples, 4, generator=torch.Generator().manual_seed(0))
    return torch.utils.data.DataLoader(data, batch_size=batch_size)


class Stream(torch.utils.data.IterableDataset):
    """Examples without an end, and without a length."""

    def __iter__(self):
        while True:
            yield torch.ones(4)


class Net(L.LightningModule):
    """Notes at each training step which epoch it is, whether the backbone trains, and the head's rate."""

    def __init__(self, rules, batch_size=4, hand=None):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
        self.head = torch.nn.Linear(4, 4)
        self.rules, self.batch_size, self.hand = layerlr.parse(rules), batch_size, hand
        self.seen = []

    def forward(self, x):
        return self.head(self.backbone(x))

    def train_dataloader(self):
        return loader(batch_size=self.batch_size)

    def training_step(self, batch, index):
        rate = self.optimizers().param_groups[-1]["lr"]
        self.seen.append((self.current_epoch, self.backbone[0].weight.requires_grad, rate))
        loss = self(batch).square().mean()
        self.log("train_loss", 1.0, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return lightning.configure(self, self.rules) if self.hand is None else self.hand(self)

    def thawed_in(self):
        """The first epoch in which the backbone trains; None if it never does."""
        return next((epoch for epoch, trains, _ in self.seen if trains), None)


def validated(net, values):
    """`net` with a validation that logs these values, one a time."""
    values = iter(values)

    class Validated(type(net)):
        def val_dataloader(self):
            return loader(4)

        def validation_step(self, batch, index):
            self(batch)

        def on_validation_epoch_end(self):
            if not self.trainer.sanity_checking:
                self.log("val_loss", next(values, 9.0))

    net.__class__ = Validated
    return net


def fit(net, *data, **settings):
    """Train, and return the trainer with the schedule's warnings."""
    settings = {"max_epochs": 4, "callbacks": [], **settings}
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(net, *data)
    return trainer, [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


THAW = "schedule cosine\n** -> lr 1e-2\nfreeze backbone until epoch 2"


def by_hand(returned):
    def make(net):
        plan = net.rules.resolve(net, epochs=4, steps_per_epoch=4)
        optimizer = plan.optimizer(net)
        return returned(optimizer, plan.schedule(net, optimizer))

    return make


def test_the_default_interval_is_told_of_after_one_epoch():
    """`return [optimizer], [schedule]` steps once an epoch what counts steps."""
    net = Net(THAW, hand=by_hand(lambda optimizer, schedule: ([optimizer], [schedule])))
    _, told = fit(net)
    assert net.thawed_in() is None
    assert len(told) == 1
    assert "interval" in told[0]


def test_the_default_interval_is_put_right_by_the_callback():
    """Before anything was trained."""
    net = Net(THAW, hand=by_hand(lambda optimizer, schedule: ([optimizer], [schedule])))
    trainer, told = fit(net, callbacks=[lightning.ReportMetrics()])
    assert net.thawed_in() == 2
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 16
    assert len(told) == 1
    assert "'epoch'" in told[0]


@pytest.mark.parametrize("reports", [[], [lightning.ReportMetrics()]])
def test_configure_is_at_the_right_pace_without_a_word(reports):
    """With the callback and without."""
    net = Net(THAW)
    trainer, told = fit(net, callbacks=list(reports))
    assert (net.thawed_in(), told) == (2, [])
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 16


def test_accumulation_that_changes_gives_epochs_other_steps():
    """Two epochs of four steps, then two of two: what thaws at epoch 3 thaws there, and the cosine ends with the run."""
    scheduler = callbacks.GradientAccumulationScheduler({0: 1, 2: 2})
    net = Net("schedule cosine\n** -> lr 1e-2\nfreeze backbone until epoch 3")
    trainer, told = fit(net, callbacks=[scheduler])
    assert (net.thawed_in(), told) == (3, [])
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert (schedule.last_epoch, schedule.plan.clock.total) == (8, 8)
    assert schedule.get_last_lr() == pytest.approx([0.0] * len(schedule.get_last_lr()), abs=1e-12)


def by_step(**more):
    return by_hand(
        lambda o, s: {"optimizer": o, "lr_scheduler": {"scheduler": s, "interval": "step", **more}}
    )


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ({}, {"accumulate_grad_batches": 2}),
        ({}, {"callbacks": [callbacks.GradientAccumulationScheduler({1: 4})]}),
        ({"frequency": 2}, {}),
    ],
    ids=["accumulation", "accumulation that changes", "every second step"],
)
def test_a_schedule_made_by_hand_follows_its_epochs_without_a_callback(more, settings):
    """What Lightning knows of an epoch is asked for at each, and where it does not know it is counted."""
    net = Net(THAW, hand=by_step(**more))
    _, told = fit(net, **settings)
    assert net.thawed_in() == 2
    assert len(told) == 1
    assert "resolved with 4" in told[0]


def test_a_frequency_is_put_right_by_the_callback():
    """Every second step would make each epoch of the rules two."""
    net = Net(THAW, hand=by_step(frequency=2))
    trainer, told = fit(net, callbacks=[lightning.ReportMetrics()])
    assert net.thawed_in() == 2
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 16
    assert len(told) == 1
    assert "frequency 2" in told[0]


def test_steps_of_manual_optimization_are_counted():
    """Nobody but the loop knows how often it steps in an epoch; after the first epoch it shows."""

    class Accumulating(Net):
        automatic_optimization = False

        def training_step(self, batch, index):
            self.manual_backward(super().training_step(batch, index))
            if index % 2:
                self.optimizers().step()
                self.optimizers().zero_grad()
                self.lr_schedulers().step()

    net = Accumulating(THAW)
    _, told = fit(net)
    assert net.thawed_in() == 2
    assert len(told) == 1
    assert "takes 2" in told[0]


def test_a_run_that_ends_before_its_rules_is_told_of_at_its_first_step():
    """Lightning stops after 6 of the 16 steps that the rules were resolved for."""
    _, told = fit(Net(THAW, hand=by_step()), max_steps=6)
    assert len(told) == 1
    assert "takes 6 optimizer steps in all" in told[0]


def test_a_batch_size_that_is_searched_for_sets_the_steps_of_an_epoch(tmp_path):
    """configure_optimizers runs before the search; afterwards an epoch has other batches."""
    finder = callbacks.BatchSizeFinder(init_val=2, max_trials=2, steps_per_trial=1)
    net = Net(THAW, batch_size=1)
    trainer, told = fit(net, callbacks=[finder], default_root_dir=tmp_path)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert net.batch_size > 1
    assert schedule.plan.clock.steps_per_epoch == 16 // net.batch_size
    assert schedule.last_epoch == schedule.plan.clock.total
    trained = net.seen[-schedule.last_epoch :]
    assert next(epoch for epoch, trains, _ in trained if trains) == 2
    assert told == []


def test_a_rate_that_is_searched_for_is_a_trial(tmp_path):
    """LearningRateFinder steps the optimizer with a scheduler of its own, and leaves what it found in the groups."""
    torch.manual_seed(0)  # from some weights on it finds nothing
    net = Net(THAW)
    net.lr = 0.01
    finder = callbacks.LearningRateFinder(num_training_steps=20)
    _, told = fit(net, callbacks=[finder], default_root_dir=tmp_path)
    assert next(epoch for epoch, trains, _ in net.seen[-16:] if trains) == 2
    assert len(told) == 1  # of what it found: the trial itself is nobody's fault
    assert "a learning-rate finder" in told[0]
    assert "lasts one step" in told[0]


def test_weight_averaging_that_swaps_the_schedule_out_is_told_of():
    """It puts a scheduler of its own in the place of ours, and the thaw never comes."""
    net = Net("schedule cosine\n** -> lr 1e-2\nfreeze backbone until epoch 3")
    average = callbacks.StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1)
    _, told = fit(net, callbacks=[average], max_epochs=6)
    assert net.thawed_in() is None
    assert len(told) == 1
    assert "StochasticWeightAveraging" in told[0]


def test_weight_averaging_after_the_last_thaw_is_no_news():
    """What was to thaw has, and the rates are its own affair."""
    net = Net("** -> lr 1e-2\nfreeze backbone until epoch 1")
    average = callbacks.StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=2)
    _, told = fit(net, callbacks=[average], max_epochs=6)
    assert (net.thawed_in(), told) == (1, [])


def test_a_stream_with_max_steps_counts_steps():
    """There are no epochs; `step` and `%` are of the steps of the run."""
    net = Net("schedule linear(warmup=2 steps)\n** -> lr 1e-2\nfreeze backbone until step 3")
    trainer, told = fit(net, torch.utils.data.DataLoader(Stream(), batch_size=2), max_steps=6, max_epochs=-1)
    assert [trains for _, trains, _ in net.seen] == [False] * 3 + [True] * 3
    assert [rate for *_, rate in net.seen] == pytest.approx([0, 0.005, 0.01, 0.0075, 0.005, 0.0025])
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 6
    assert told == []


def test_a_stream_of_a_known_part_counts_epochs():
    """limit_train_batches says how long an epoch is."""
    net = Net("** -> lr 1e-2\nfreeze backbone until epoch 2")
    data = torch.utils.data.DataLoader(Stream(), batch_size=2)
    _, told = fit(net, data, max_epochs=3, limit_train_batches=5)
    assert (net.thawed_in(), len(net.seen), told) == (2, 15, [])


def test_a_stream_needs_steps_per_epoch_for_epochs():
    """The error says what is missing, and a file may say it."""
    data = torch.utils.data.DataLoader(Stream(), batch_size=2)
    with pytest.raises(layerlr.RuleError, match="steps_per_epoch"):
        fit(Net("** -> lr 1e-2\nfreeze backbone until epoch 2"), data, max_steps=6, max_epochs=-1)
    net = Net("steps_per_epoch 2\n** -> lr 1e-2\nfreeze backbone until epoch 2")
    fit(net, data, max_steps=6, max_epochs=-1)
    assert [trains for _, trains, _ in net.seen] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("interval", [0.25, 0.5, 1.0])
def test_a_condition_counts_epochs_whatever_the_validation_interval(interval):
    """`for 2 epochs` waits two epochs though validation runs four times in each."""
    net = validated(
        Net("** -> lr 1e-2\nfreeze backbone until val_loss stops falling for 2 epochs"), [1.0] * 99
    )
    _, told = fit(net, max_epochs=6, val_check_interval=interval, callbacks=[lightning.ReportMetrics()])
    assert (net.thawed_in(), told) == (3, [])


def test_a_training_metric_beside_a_validation_counts_once_an_epoch():
    """It is logged at the end of each, however often something else is validated."""
    net = validated(
        Net("** -> lr 1e-2\nfreeze backbone until train_loss stops falling for 2 epochs"), [1.0] * 99
    )
    _, told = fit(net, max_epochs=6, val_check_interval=0.25, callbacks=[lightning.ReportMetrics()])
    assert (net.thawed_in(), told) == (3, [])


def test_a_metric_of_every_second_epoch_is_not_reported_in_between():
    """Lightning keeps what was logged last; an epoch without validation is none without improvement."""
    net = validated(
        Net("** -> lr 1e-2\nfreeze backbone until val_loss stops falling for 1 epochs"), [3.0, 2.0, 2.5]
    )
    _, told = fit(net, max_epochs=8, check_val_every_n_epoch=2, callbacks=[lightning.ReportMetrics()])
    assert (net.thawed_in(), told) == (6, [])


def test_a_misspelled_metric_is_named_with_what_was_meant():
    """As soon as validation had its chance."""
    net = validated(
        Net("** -> lr 1e-2\nfreeze backbone until val_los stops falling for 3 epochs"), [1.0] * 99
    )
    _, told = fit(net, max_epochs=3, callbacks=[lightning.ReportMetrics()])
    assert "'val_loss' may be meant for 'val_los'" in told[0]


def test_a_metric_that_nobody_reports_is_told_of_during_the_run():
    """Without any callback of ours."""
    net = validated(
        Net("** -> lr 1e-2\nfreeze backbone until val_loss stops falling for 1 epochs"), [1.0] * 99
    )
    _, told = fit(net, max_epochs=6)
    assert net.thawed_in() is None
    assert len(told) == 1
    assert "ReportMetrics" in told[0]


class Turns(Net):
    """Manual optimization of two parts in turns, toggled as Lightning's manual asks."""

    def __init__(self, generator, judge, late):
        super().__init__("** -> lr 1e-2")
        self.automatic_optimization = False
        self.judge = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
        self.files = [layerlr.parse(generator), layerlr.parse(judge)]
        self.late = late

    def training_step(self, batch, index):
        steps = []
        for number, optimizer in enumerate(self.optimizers()):
            self.toggle_optimizer(optimizer)
            loss = self.judge(self(batch)).mean() * (1 - 2 * number)
            self.manual_backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            steps.append(self.lr_schedulers()[number].step)
            if not self.late:
                steps.pop()()
            elif number:
                [step() for step in steps]  # inside of the other one's turn
            self.untoggle_optimizer(optimizer)
        self.seen.append((self.current_epoch, self.backbone[0].weight.requires_grad, 0.0))

    def configure_optimizers(self):
        parts = torch.nn.ModuleDict({"backbone": self.backbone, "head": self.head})
        return [
            lightning.configure(self, self.files[0], model=parts),
            lightning.configure(self, self.files[1], model=self.judge),
        ]


@pytest.mark.parametrize("late", [False, True], ids=["in its turn", "in the other one's turn"])
def test_toggling_does_not_undo_a_thaw(late):
    """untoggle_optimizer puts back the flags of before; what thawed in between trains all the same."""
    thaw = "** -> lr 1e-2\nfreeze {} until epoch 1"
    net = Turns(thaw.format("backbone"), thaw.format("0"), late)
    fit(net, max_epochs=3)
    assert all(p.requires_grad for p in net.parameters())
    schedules = net.lr_schedulers()
    assert all(not schedule.frozen for schedule in schedules)
    state = [optimizer.optimizer.state for optimizer in net.optimizers()]
    assert float(state[0][net.backbone[0].weight]["step"]) >= 7
    assert float(state[1][net.judge[0].weight]["step"]) >= 7


class Unfreezing(callbacks.Callback):
    """Somebody's own callback that takes and gives flags at epochs of its own."""

    def on_train_epoch_start(self, trainer, pl_module):
        pl_module.backbone.requires_grad_(trainer.current_epoch < 1)


def test_a_callback_that_works_against_the_rules_is_named():
    """It unfreezes what they freeze, and freezes what they thaw; they win, and say so."""
    net = Net(THAW)
    trainer, told = fit(net, callbacks=[Unfreezing()])
    assert any("taken again" in text for text in told)
    assert any("given back" in text for text in told)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    steps = float(trainer.optimizers[0].state[net.backbone[0].weight]["step"])
    assert steps == 8
    assert schedule.verify() == 0


def test_a_second_fit_of_the_same_module_thaws_again():
    """What the first fit froze did not come frozen, and its own schedule begins anew."""
    net = Net("** -> lr 1e-2\nfreeze backbone")
    fit(net, max_epochs=1)
    net.rules = layerlr.parse("** -> lr 1e-2")
    before = net.backbone[0].weight.detach().clone()
    _, told = fit(net, max_epochs=1)
    assert not torch.equal(before, net.backbone[0].weight)
    assert net.backbone[1].training
    assert told == []


def test_a_second_fit_of_the_same_trainer_goes_on_at_its_epoch():
    """Lightning makes a new optimizer and counts epochs on: what was thawed is not frozen again for the rest."""
    net = Net(THAW)
    trainer, _ = fit(net, max_epochs=3)
    net.seen.clear()
    trainer.fit_loop.max_epochs = 4
    with pytest.warns(ScheduleWarning, match="goes on at epoch 3 with a new optimizer"):
        trainer.fit(net)
    assert [trains for _, trains, _ in net.seen] == [True] * 4
    assert net.seen[0][2] == pytest.approx(1e-2 * (1 + math.cos(math.pi * 0.75)) / 2)
