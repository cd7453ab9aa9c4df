"""DistributedDataParallel: whatever way the model was wrapped, it is right or it is refused."""

import itertools
import warnings

import pytest
import torch
from ranks import alone, batch, layers, loss, outcome, resolve, run
from torch.nn.parallel import DistributedDataParallel

RULES = """
schedule cosine(floor=0.1)
** -> lr 1e-2
head -> lr 3e-2
freeze stem until epoch 2
freeze mid from epoch 1 until epoch 2
"""
FOR_EVER = "** -> lr 1e-2\nfreeze stem\nfreeze mid until epoch 1"
OPTIONS = {
    "plain": {},
    "find_unused_parameters": {"find_unused_parameters": True},
    "static_graph": {"static_graph": True},
    "bucket views": {"gradient_as_bucket_view": True},
    "static graph and bucket views": {"static_graph": True, "gradient_as_bucket_view": True},
}
WRAPPED = ("before, given wrapped", "before, given inner", "after")
LOOPS = ("plain", "closure", "no_sync", "zero_grad to zero", "no zero_grad for frozen", "compiled")


def train(wrapped, options, rank, world, loop="plain", rules=RULES):
    model = layers()
    if wrapped.startswith("before"):
        parallel = DistributedDataParallel(model, **options)
        given = parallel if wrapped.endswith("wrapped") else model
    else:
        parallel = given = model
    plan = resolve(rules, given)
    optimizer = torch.optim.AdamW(plan.param_groups(given), lr=1e-2)
    schedule = plan.schedule(given, optimizer)
    if wrapped == "after":
        parallel = DistributedDataParallel(model, **options)
    if loop == "compiled":
        parallel = torch.compile(parallel, backend="eager")
    norms, frozen = [], []
    for step in range(6):
        still = {n: p.detach().clone() for n, p in model.named_parameters() if n in schedule.frozen}
        norms.append(one_step(loop, parallel, model, optimizer, step, rank, world))
        schedule.verify()
        assert all(torch.equal(dict(model.named_parameters())[n], v) for n, v in still.items())
        frozen.append(sorted(schedule.frozen))
        schedule.step()
        optimizer.zero_grad(set_to_none=loop != "zero_grad to zero")
    flags = {n for n, p in model.named_parameters() if not p.requires_grad}
    return {"weights": model.state_dict(), "norms": norms, "frozen": frozen, "flags": flags}


def one_step(loop, parallel, model, optimizer, step, rank, world):
    x = batch(step, rank, world)
    if loop == "closure":

        def closure():
            optimizer.zero_grad()
            value = loss(parallel, x)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            return value

        optimizer.step(closure)
        return None
    if loop == "no_sync":
        halves = x.chunk(2)
        with parallel.no_sync():
            (loss(parallel, halves[0]) / 2).backward()
        (loss(parallel, halves[1]) / 2).backward()
    else:
        loss(parallel, x).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return float(norm)


def many_ways(start, rank, world):
    """Every scenario of this file, in one pair of processes."""
    warnings.simplefilter("ignore")
    ever = "** -> lr 1e-2\nfreeze stem"
    found = {"late": outcome(lambda: wrapped_after_a_hard_freeze(lambda: start("late"), rank, world, RULES))}
    torch.distributed.destroy_process_group()
    found["late, for ever"] = outcome(
        lambda: wrapped_after_a_hard_freeze(lambda: start("ever"), rank, world, ever)
    )
    start()
    for wrapped, (name, options) in itertools.product(WRAPPED, OPTIONS.items()):
        found[wrapped, name] = outcome(lambda w=wrapped, o=options: train(w, o, rank, world))
    for loop in LOOPS[1:]:
        found["loop", loop] = outcome(lambda x=loop: train("after", {}, rank, world, x))
    for wrapped in WRAPPED:
        found["for ever", wrapped] = outcome(lambda w=wrapped: train(w, {}, rank, world, rules=FOR_EVER))
    found["missed"] = outcome(lambda: wrapped_without_some(rank, world))
    found["rules differ"] = outcome(
        lambda: resolve_and_schedule(RULES.replace("3e-2", f"{rank + 3}e-2"), layers())
    )
    found["freezes differ"] = outcome(
        lambda: resolve_and_schedule(RULES.replace("epoch 2", f"epoch {rank + 2}"), layers())
    )
    found["models differ"] = outcome(lambda: resolve_and_schedule(RULES, other_model(rank)))
    found["dtypes differ"] = outcome(
        lambda: resolve_and_schedule(RULES, layers().to(torch.float64 if rank else torch.float32))
    )
    found["metric"] = outcome(lambda: follow_rank_zero(rank))
    found["no number"] = outcome(lambda: follow_rank_zero(rank, zero="bad"))
    found["no number elsewhere"] = outcome(lambda: follow_rank_zero(rank, others="bad"))
    return found


def wrapped_after_a_hard_freeze(start, rank, world, rules):
    """The schedule is made while nothing tells of other processes, then DDP wraps what is frozen by its flag."""
    model = layers()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    plan = resolve(rules, model)
    optimizer = torch.optim.AdamW(plan.param_groups(model), lr=1e-2)
    schedule = plan.schedule(model, optimizer)
    start()
    parallel = DistributedDataParallel(model)
    for step in range(2):
        loss(parallel, batch(step, rank, world)).backward()
        try:
            optimizer.step()
        except Exception:
            assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
            raise
        schedule.step()
        optimizer.zero_grad()
    return {"weights": model.state_dict()}


def wrapped_without_some(rank, world):
    model = layers()
    model.mid.requires_grad_(False)
    parallel = DistributedDataParallel(model)
    plan = resolve("** -> lr 1e-2\nunfreeze mid at epoch 1", parallel)
    optimizer = torch.optim.AdamW(plan.param_groups(parallel), lr=1e-2)
    schedule = plan.schedule(parallel, optimizer)
    loss(parallel, batch(0, rank, world)).backward()
    optimizer.step()
    return schedule.frozen


def resolve_and_schedule(rules, model):
    plan = resolve(rules, model)
    return plan.schedule(model, torch.optim.AdamW(plan.param_groups(model))).last_epoch


def other_model(rank):
    model = layers()
    if rank == 1:
        model.head = torch.nn.Linear(8, 3)
    return model


def follow_rank_zero(rank, zero=None, others=None):
    model = layers()
    plan = resolve("** -> lr 1e-2\nfreeze mid until val_loss stops falling for 1 epochs", model)
    schedule = plan.schedule(model, torch.optim.AdamW(plan.param_groups(model)))
    seen = []
    for value in (1.0, 0.5, 0.7):
        mine, theirs = zero or value, others or 9.0 - value
        schedule.report(val_loss=mine if rank == 0 else theirs, end_of_epoch=True)
        seen.append("mid.0.weight" in schedule.frozen)
    return seen


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(many_ways, tmp_path_factory.mktemp("ddp"))


@pytest.fixture(scope="module")
def single():
    return alone(RULES)


def same_as_single(results, key, single):
    for result in results:
        assert not isinstance(result[key], str), result[key]
    first, second = (result[key]["weights"] for result in results)
    assert all(torch.equal(first[name], second[name]) for name in first), "the ranks have parted"
    for name, value in single.items():
        torch.testing.assert_close(
            first[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_ranks_agree_to_the_bit_and_with_one_process(results, single, wrapped, options):
    """Freezing and thawing give what one process gives on the joined batch, however and whenever it was wrapped."""
    same_as_single(results, (wrapped, options), single)


@pytest.mark.parametrize("loop", [loop for loop in LOOPS[1:] if loop != "closure"])
def test_loops_agree_with_one_process(results, single, loop):
    """Accumulation without sync, kept gradients and torch.compile around DDP change nothing."""
    same_as_single(results, ("loop", loop), single)


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_what_never_trains_is_frozen_by_its_flag_where_ddp_can_leave_it_out(results, wrapped):
    """Wrapped after, DDP skips its backward pass and its share of the traffic; wrapped before, it must not."""
    same_as_single(results, ("for ever", wrapped), alone(FOR_EVER))
    stem = {f"stem.{i}.{leaf}" for i in range(2) for leaf in ("weight", "bias")}
    assert all(r["for ever", wrapped]["flags"] == (stem if wrapped == "after" else set()) for r in results)


def test_a_closure_keeps_frozen_parameters_still(results, single):
    """Gradients that a closure makes inside the step are dropped inside the step."""
    same_as_single(results, ("loop", "closure"), single)


def test_the_clipping_norm_is_that_of_live_gradients_on_every_rank(results):
    """A soft freeze computes gradients of frozen layers, and none of them may count in the norm."""
    ways = [result[key]["norms"] for result in results for key in itertools.product(WRAPPED, OPTIONS)]
    assert all(norms == pytest.approx(ways[0], rel=1e-5) for norms in ways)
    assert len(set(ways[0])) == 6


def test_ranks_change_phase_at_the_same_step(results):
    """What is frozen at each step is the same on both ranks."""
    assert results[0]["after", "plain"]["frozen"] == results[1]["after", "plain"]["frozen"]
    assert len({tuple(f) for f in results[0]["after", "plain"]["frozen"]}) == 3


def test_wrapping_what_is_frozen_by_its_flag_is_refused_before_the_first_step(results):
    """DDP would never average what thaws later, and say nothing; both ranks stop with the reason."""
    for result in results:
        assert "TrainingError" in result["late"]
        assert "would drift apart" in result["late"]
        assert "stem.0.weight" in result["late"]


def test_wrapping_what_stays_frozen_for_ever_is_fine(results):
    """What never trains needs no bucket."""
    first, second = (result["late, for ever"]["weights"] for result in results)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_parameters_without_gradients_when_ddp_wrapped_are_refused(results):
    """A layer that the user froze before wrapping, and the plan thaws, is in no bucket."""
    for result in results:
        assert "TrainingError" in result["missed"]
        assert "mid.0.weight" in result["missed"]


@pytest.mark.parametrize("what", ["rules differ", "freezes differ", "models differ", "dtypes differ"])
def test_ranks_that_mean_different_things_stop_on_every_rank(results, what):
    """Two rule files, or two models, are an error everywhere, and nobody hangs."""
    for result in results:
        assert "RanksDiffer" in result[what]
        assert "rank 1 and rank 0" in result[what]


def test_all_ranks_follow_the_reports_of_rank_zero(results):
    """Each rank has its own validation loss; one decides."""
    assert results[0]["metric"] == results[1]["metric"] == [True, True, False]
    assert results[0]["no number elsewhere"] == results[1]["no number elsewhere"] == [True, True, False]


def test_a_report_that_is_no_number_stops_every_rank(results):
    """Were it raised on one rank alone, the others would wait for its report for ever."""
    for result in results:
        assert result["no number"].startswith("TypeError: the report of 'val_loss' is no number: 'bad'")
