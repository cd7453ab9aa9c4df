"""The order of samples is a function of seed and epoch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlr_dsl.runner.order import Order, validation_batches
from layerlr_dsl.tools.seeds import mix

orders = st.builds(
    Order,
    count=st.integers(1, 60),
    batch=st.sampled_from([2, 4, 6, 12]),
    accumulate=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    world=st.sampled_from([1, 2]),
)


def _samples(order: Order, epoch: int, rank: int) -> list[int]:
    shuffled = order.epoch(epoch)
    return [
        sample
        for step in range(order.steps_per_epoch)
        for batch in order.step(shuffled, step, rank, epoch)
        for sample, _ in batch
    ]


@given(orders, st.integers(0, 5))
def test_every_sample_is_seen_at_most_once_an_epoch_over_all_processes(order, epoch):
    """Processes never share a sample, and only the rest of the last batch may be left out."""
    seen = [s for rank in range(order.world) for s in _samples(order, epoch, rank)]
    assert len(seen) == len(set(seen))
    assert order.count - len(seen) < 2 * order.world


@given(orders, st.integers(0, 5))
def test_processes_make_the_same_number_of_batches_of_the_same_size(order, epoch):
    """A process with a batch less than the others would leave them waiting."""
    shuffled = order.epoch(epoch)
    for step in range(order.steps_per_epoch):
        sizes = {
            tuple(len(b) for b in order.step(shuffled, step, rank, epoch)) for rank in range(order.world)
        }
        assert len(sizes) == 1


@given(orders)
def test_one_step_holds_the_same_samples_for_any_number_of_processes(order):
    """The joined batch does not depend on how many share it, so a run resumes on another number."""
    alone = Order(order.count, order.batch, order.accumulate, order.seed, 1)
    shuffled = order.epoch(0)
    for step in range(min(order.steps_per_epoch, alone.steps_per_epoch)):
        together = {s for r in range(order.world) for b in order.step(shuffled, step, r, 0) for s, _ in b}
        assert together <= {s for b in alone.step(shuffled, step, 0, 0) for s, _ in b}


def test_epochs_and_seeds_differ_and_repeat():
    """Another epoch or seed is another order; the same ones are the same order."""
    order = Order(50, 8, seed=1)
    assert order.epoch(0) == order.epoch(0)
    assert order.epoch(0) != order.epoch(1)
    assert order.epoch(0) != Order(50, 8, seed=2).epoch(0)
    assert sorted(order.epoch(3)) == list(range(50))


@pytest.mark.parametrize(("count", "batches"), [(16, 2), (17, 2), (18, 3), (1, 1), (8, 1)])
def test_a_last_batch_of_one_is_left_out(count, batches):
    """Batch normalisation cannot train on one sample; unless one is all there is."""
    assert Order(count, 8).batches_per_epoch == batches


def test_seeds_do_not_collide_for_neighbouring_numbers():
    """Additive mixing of epoch and sample would give sample 1 of epoch 0 the seed of 0 of epoch 1."""
    seeds = {mix(0, epoch, sample) for epoch in range(50) for sample in range(200)}
    assert len(seeds) == 50 * 200


@given(st.integers(1, 40), st.sampled_from([1, 3, 8]), st.integers(1, 4))
def test_validation_counts_each_sample_once_and_every_process_makes_as_many_batches(count, batch, world):
    """Padding keeps collectives in step and is never counted."""
    parts = [validation_batches(count, batch, rank, world) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    counted = [s for part in parts for keys, real in part for s, _ in keys[:real]]
    assert sorted(counted) == list(range(count))
