"""transformers' Trainer around a schedule: lengths that are known late, streams, evaluations, and ways to leave it out."""

import warnings

import pytest
import torch

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning, TrainingError

transformers = pytest.importorskip("transformers")
ours = pytest.importorskip("layerlr_dsl.training.transformers")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

RULES = "schedule linear\n** -> lr 1e-3\nfreeze bert.embeddings until epoch 1"
ROWS = [{"input_ids": [1, 2, 3, i % 7], "labels": i % 2} for i in range(32)]


class Picky(transformers.BertForSequenceClassification):
    """Runs out of memory with more rows than it has room for."""

    room = 100

    def forward(self, input_ids=None, labels=None, **kwargs):
        if self.training and len(input_ids) > self.room:
            raise RuntimeError("CUDA out of memory.")
        return super().forward(input_ids=input_ids, labels=labels, **kwargs)


class Stream(torch.utils.data.IterableDataset):
    """Rows without an end, and without a length."""

    def __iter__(self):
        while True:
            yield {"input_ids": torch.tensor([1, 2, 3, 4]), "labels": torch.tensor(1)}


class Notes(transformers.TrainerCallback):
    """The epoch, the rate, and whether the embeddings train, at the beginning of each step."""

    def __init__(self):
        self.seen = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.seen.clear()

    def on_step_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        trains = model.bert.embeddings.word_embeddings.weight.requires_grad
        self.seen.append((state.epoch, optimizer.param_groups[0]["lr"], trains))


def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return Picky(transformers.BertConfig(vocab_size=10, **sizes))


def arguments(tmp_path, **settings):
    settings = {"num_train_epochs": 2, "per_device_train_batch_size": 4, **settings}
    settings = {"save_strategy": "no", **settings}
    return transformers.TrainingArguments(
        str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True, **settings
    )


def train(net, args, optimizers, data=ROWS, reports=True, resume=None, **more):
    """Train, and return the trainer, what was noted, and the schedule's warnings."""
    notes = Notes()
    callbacks = [notes, *([ours.ReportMetrics()] if reports else [])]
    trainer = transformers.Trainer(
        net, args, train_dataset=data, optimizers=optimizers, callbacks=callbacks, **more
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train(resume_from_checkpoint=resume)
    return trainer, notes.seen, [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]


def thaw(seen):
    return next((epoch for epoch, _, trains in seen if trains), None)


@pytest.mark.parametrize("reports", [True, False], ids=["with the callback", "without"])
def test_smaller_batches_after_running_out_of_memory_are_followed(tmp_path, reports):
    """auto_find_batch_size begins anew with half the batch: the thaw stays at epoch 1, the rate ends with the run."""
    net = model()
    net.room = 4
    args = arguments(tmp_path, per_device_train_batch_size=8, auto_find_batch_size=True)
    pair = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    _, seen, told = train(net, args, pair, reports=reports)
    assert len(seen) == 16
    assert thaw(seen) == 1.0
    assert [rate for _, rate, _ in seen][reports:] == pytest.approx(
        [1e-3 * (1 - k / 16) for k in range(16)][reports:]
    )
    assert len(told) == (not reports)


@pytest.mark.parametrize("reports", [True, False], ids=["with the callback", "without"])
def test_data_that_were_packed_are_followed(tmp_path, reports):
    """The rules were resolved over 32 rows, and 12 are left when training begins."""
    net, args = model(), arguments(tmp_path)
    pair = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    _, seen, told = train(net, args, pair, ROWS[:12], reports)
    assert thaw(seen) == 1.0
    assert seen[-1][1] == pytest.approx(1e-3 / 6)
    assert len(told) == (not reports)
    assert all("takes 3" in text for text in told)


def test_a_wrong_length_is_named_and_put_right_at_the_first_step(tmp_path):
    """Of a plan that was resolved by hand, without any callback."""
    net, args = model(), arguments(tmp_path)
    plan = layerlr.parse(RULES).resolve(net, epochs=2, steps_per_epoch=100)
    optimizer = plan.optimizer(net)
    _, seen, told = train(net, args, (optimizer, plan.schedule(net, optimizer)), reports=False)
    assert thaw(seen) == 1.0
    assert len(told) == 1
    assert "resolved with 100" in told[0]
    assert "takes 8" in told[0]


def test_a_run_that_ends_before_its_rules_is_named_at_the_first_step(tmp_path):
    """max_steps cuts the run short of what was resolved by hand: rates never fall, and nothing may thaw."""
    net, args = model(), arguments(tmp_path, max_steps=5)
    plan = layerlr.parse(RULES).resolve(net, epochs=2, steps_per_epoch=8)
    optimizer = plan.optimizer(net)
    _, seen, told = train(net, args, (optimizer, plan.schedule(net, optimizer)), reports=False)
    assert thaw(seen) is None
    assert len(told) == 1
    assert "takes 5 optimizer steps in all" in told[0]
    assert "before all has thawed" in told[0]


def test_a_run_begins_anew_where_the_trainer_does(tmp_path):
    """Calling train() again is another run from step 0; so it is for the schedule."""
    net, args = model(), arguments(tmp_path)
    pair = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    trainer, first, _ = train(net, args, pair)
    trainer.train()
    again = next(c for c in trainer.callback_handler.callbacks if isinstance(c, Notes)).seen
    assert [row[1:] for row in again] == [row[1:] for row in first]
    assert pair[1].last_epoch == 16


def test_a_stream_counts_steps(tmp_path):
    """max_steps is its length; there are no epochs."""
    net, args = model(), arguments(tmp_path, max_steps=6)
    rules = layerlr.parse(
        "schedule linear(warmup=2 steps)\n** -> lr 1e-3\nfreeze bert.embeddings until step 3"
    )
    pair = ours.optimizers(rules, net, args, Stream())
    _, seen, told = train(net, args, pair, Stream())
    assert [trains for *_, trains in seen] == [False] * 3 + [True] * 3
    assert [rate for _, rate, _ in seen] == pytest.approx([0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert (pair[1].last_epoch, told) == (6, [])


def test_a_stream_without_max_steps_is_refused(tmp_path):
    """As the Trainer refuses it, and before a model was touched."""
    net = model()
    with pytest.raises(ValueError, match="max_steps"):
        ours.optimizers(layerlr.parse(RULES), net, arguments(tmp_path), Stream())


def test_max_steps_over_data_with_a_length_knows_epochs(tmp_path):
    """Twelve steps of eight an epoch are an epoch and a half."""
    net, args = model(), arguments(tmp_path, max_steps=12)
    pair = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    _, seen, told = train(net, args, pair)
    assert (thaw(seen), len(seen), told) == (1.0, 12, [])
    assert pair[1].plan.clock.total == 12


@pytest.mark.parametrize("keep", [True, False])
def test_an_optimizer_without_its_schedule_is_told_of(tmp_path, keep):
    """`optimizers=(optimizer, None)` trains with a schedule of the Trainer's own, and thaws nothing."""
    net, args = model(), arguments(tmp_path)
    optimizer, schedule = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    if not keep:
        del schedule
    _, seen, told = train(net, args, (optimizer, None))
    assert thaw(seen) is None
    assert len(told) == 1


def test_an_optimizer_that_never_had_a_schedule_is_told_of(tmp_path):
    """Nothing that the rules freeze is frozen."""
    net, args = model(), arguments(tmp_path)
    optimizer = layerlr.parse(RULES).resolve(net, epochs=2, steps_per_epoch=8).optimizer(net)
    _, seen, told = train(net, args, (optimizer, None))
    assert thaw(seen) == 0
    assert len(told) == 1
    assert "plan.schedule(model, optimizer)" in told[0]


@pytest.mark.parametrize("evaluations", [{"eval_steps": 2}, {"eval_steps": 4}, {"eval_strategy": "epoch"}])
def test_a_condition_counts_epochs_whatever_the_evaluations(tmp_path, evaluations):
    """`for 2 epochs` waits two epochs though there are four evaluations in each."""
    rules = "** -> lr 1e-3\nfreeze bert.embeddings until eval_loss stops rising for 2 epochs by 10"
    net = model()
    args = arguments(tmp_path, num_train_epochs=5, **{"eval_strategy": "steps", **evaluations})
    pair = ours.optimizers(layerlr.parse(rules), net, args, ROWS)
    _, seen, told = train(net, args, pair, eval_dataset=ROWS[:4])
    assert (thaw(seen), told) == (3.0, [])


def test_a_metric_that_nobody_reports_is_told_of_during_the_run(tmp_path):
    """The condition waits for eval_accuracy, which this Trainer does not compute."""
    rules = "** -> lr 1e-3\nfreeze bert.embeddings until eval_accuracy stops rising for 1 epochs"
    net, args = model(), arguments(tmp_path, num_train_epochs=4)
    pair = ours.optimizers(layerlr.parse(rules), net, args, ROWS)
    notes = []

    class Count(transformers.TrainerCallback):
        def on_epoch_end(self, args, state, control, **kwargs):
            notes.append(len(caught))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScheduleWarning)
        warnings.simplefilter("ignore", FutureWarning)
        transformers.Trainer(net, args, train_dataset=ROWS, optimizers=pair, callbacks=[Count()]).train()
    assert notes[0] == 0
    assert notes[-1] == 1
    assert "eval_accuracy" in str(caught[0].message)


def test_a_resumed_run_is_where_it_was(tmp_path):
    """From a checkpoint in the middle of an epoch, with the rates and flags of a run that was never stopped."""
    rules = layerlr.parse(RULES)

    def run(resume=None):
        net, args = model(), arguments(tmp_path, save_strategy="steps", save_steps=5)
        return train(net, args, ours.optimizers(rules, net, args, ROWS), resume=resume)

    _, whole, told = run()
    _, rest, again = run(str(tmp_path / "checkpoint-5"))
    assert [row[1:] for row in rest] == [row[1:] for row in whole[5:]]
    assert told == again == []


def test_accumulated_gradients_are_at_the_right_pace(tmp_path):
    """The Trainer steps a schedule once per optimizer step, whatever was accumulated."""
    net, args = model(), arguments(tmp_path, gradient_accumulation_steps=3)
    pair = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    _, seen, told = train(net, args, pair)
    assert pair[1].last_epoch == pair[1].plan.clock.total == 6
    assert told == []
    assert [trains for *_, trains in seen] == [False] * 3 + [True] * 3


BEHIND = "** -> lr 1e-3\nfreeze bert.embeddings"
REENTRANT = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}


def test_checkpointing_of_the_trainer_trains_what_is_behind_a_frozen_embedding(tmp_path):
    """transformers has the embedding's output require a gradient, without which the blocks would have none."""
    net, args = model(), arguments(tmp_path, **REENTRANT)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    _, _, told = train(net, args, ours.optimizers(layerlr.parse(BEHIND), net, args, ROWS))
    still = {name for name, p in net.named_parameters() if torch.equal(p, before[name])}
    assert all(name.startswith("bert.embeddings") for name in still)
    assert told == []


def test_checkpointing_of_ones_own_that_trains_nothing_is_refused(tmp_path):
    """A block that checkpoints itself behind a frozen embedding gets no gradient, and torch only warns."""
    net, args = model(), arguments(tmp_path)
    block = net.bert.encoder.layer[0]
    inner = block.forward
    block.forward = lambda *inputs, **named: torch.utils.checkpoint.checkpoint(
        lambda *given: inner(*given, **named), *inputs, use_reentrant=True
    )
    with pytest.raises(TrainingError, match=r"no gradient reaches.*use_reentrant"):
        train(net, args, ours.optimizers(layerlr.parse(BEHIND), net, args, ROWS))


def test_a_schedule_whose_optimizer_the_trainer_does_not_have_is_refused(tmp_path):
    """`optimizers=(None, schedule)`: the Trainer makes an optimizer of what is not frozen now, at its own rate."""
    net, args = model(), arguments(tmp_path)
    _, schedule = ours.optimizers(layerlr.parse(RULES), net, args, ROWS)
    with pytest.raises(TrainingError, match="an optimizer of its own"):
        train(net, args, (None, schedule))
