"""The study of whether rules pay: decided beforehand, fair, resumable, and honest about what it does not hold."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import tiny_study
import torch
from effect import __main__, advice, arms, data, networks, packages, report, searching
from effect.design import Study, Unit
from effect.figures import Reported, crossed, difference, reported, saved, score, searched, verdicts
from effect.files import bare, text
from effect.record import TRIALS, Figures, Key, Record, searches
from effect.tuning import tuned
from effect.work import Worker
from filelock import FileLock
from scipy import stats

import layerlr_dsl as layerlr
from layerlr_dsl.model.specs import build
from layerlr_dsl.tuning.outcome import Interval
from layerlr_dsl.tuning.ranges import Range


@pytest.fixture(scope="module", autouse=True)
def tiny_network() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.NETWORKS, "tiny", tiny_study.network)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tiny_network: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of the tiny study after it ran in one go."""
    cache = tmp_path_factory.mktemp("whole")
    run(tiny_study.study(), cache)
    return cache


def with_trials(cache: Path, whole: Path, count: int | None = None, arms: str = "plain head free") -> Path:
    """A cache with the data and the first trials of these arms."""
    shutil.copytree(whole / "data", cache / "data")
    lines = (whole / TRIALS).read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["arm"] in arms.split()]
    (cache / TRIALS).write_text("".join(kept[:count]))
    return cache


def figures(value: float | None, seconds: float = 1.0, loss: float = 1.0) -> Figures:
    return Figures(value, loss, value, seconds, 2**20, 1.0, 1.0)


def run(study: Study, cache: Path, stop_after: int = 10**6) -> list[str]:
    """What a worker tells; interrupted after so many trials."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == stop_after:
            raise KeyboardInterrupt

    worker = Worker(study, study.units(("core",)), cache, tell)
    try:
        worker.run()
    except KeyboardInterrupt:
        told.append("interrupted")
    return told


# ---------------------------------------------------------------- tuning


def test_a_grid_grows_until_the_best_rate_lies_inside() -> None:
    """The peak lies two steps beyond the grid: both are tried, and one more that is worse."""
    asked: list[tuple[float, int]] = []

    def attempt(base: float, seed: int) -> Figures:
        asked.append((base, seed))
        return figures(1 - abs(math.log10(base / 3e-2)))

    found = tuned(Range(3e-4, 3e-3, log=True), 3, (1, 2), attempt)
    assert found is not None
    assert found.base == pytest.approx(3e-2, rel=0.1)
    assert not found.at_edge
    assert max(found.tried) == pytest.approx(9.5e-2, rel=0.1)
    assert len(asked) == 2 * len(found.tried) == len(set(asked))


def test_a_grid_does_not_grow_for_ever_and_says_so() -> None:
    """What gets better without end stops at three steps beyond, at the edge."""
    found = tuned(Range(1e-3, 1e-2, log=True), 3, (1,), lambda base, seed: figures(base))
    assert found is not None
    assert found.at_edge
    assert len(found.tried) == 6


def test_a_rate_that_diverges_with_one_seed_is_not_chosen() -> None:
    """The other seed's high score does not save it."""

    def attempt(base: float, seed: int) -> Figures:
        return figures(None if seed == 2 else 0.9) if base > 5e-3 else figures(0.5)

    found = tuned(Range(1e-3, 1e-2, log=True), 3, (1, 2), attempt)
    assert found is not None
    assert found.base < 5e-3
    assert tuned(Range(1e-3, 1e-2, log=True), 3, (1,), lambda base, seed: figures(None)) is None


def test_of_rates_with_the_same_score_the_lower_loss_is_chosen() -> None:
    """Few validation samples make equal scores common."""
    grid = Range(1e-3, 1e-2, log=True)
    found = tuned(grid, 3, (1,), lambda base, seed: figures(0.5, loss=2.0 if base < 2e-3 else 1.0 + base))
    assert found is not None
    assert found.base == pytest.approx(3.2e-3)


# ---------------------------------------------------------------- figures


def standing(name: str, values: dict[int, Figures]) -> Reported:
    arm = replace(tiny_study.arms()[0], name=name)
    return Reported(Unit(tiny_study.task(), arm, 2), None, values, 0)


def test_differences_are_taken_seed_by_seed_with_student_s_interval() -> None:
    """As scipy's paired t-test has it; the order in which trials came does not matter."""
    ours = {1: 0.61, 2: 0.72, 3: 0.55, 4: 0.81, 5: 0.66}
    theirs = {3: 0.52, 1: 0.60, 5: 0.61, 4: 0.80, 2: 0.66}
    gain = difference(
        standing("a", {seed: figures(value) for seed, value in ours.items()}),
        standing("b", {seed: figures(value) for seed, value in theirs.items()}),
        score,
    )
    expected = stats.ttest_rel([ours[s] for s in range(1, 6)], [theirs[s] for s in range(1, 6)])
    low, high = expected.confidence_interval(0.95)
    assert gain is not None
    assert (gain.mean - (gain.half or 0), gain.mean + (gain.half or 0)) == pytest.approx(
        (low, high), abs=1e-4
    )


def test_seeds_that_one_arm_lacks_count_for_neither() -> None:
    """A diverged seed makes no pair."""
    first = standing("a", {1: figures(0.5), 2: figures(None), 3: figures(0.7)})
    second = standing("b", {1: figures(0.4), 2: figures(0.9), 4: figures(0.1)})
    assert difference(first, second, score) == Interval(pytest.approx(0.1), None, 1)


def test_time_is_compared_as_the_part_that_is_saved() -> None:
    """Half of the seconds is half saved, whatever a seed's trial took."""
    first = standing("a", {1: figures(0.5, 2.0), 2: figures(0.5, 5.0)})
    second = standing("b", {1: figures(0.5, 4.0), 2: figures(0.5, 10.0)})
    assert saved(first, second) == Interval(0.5, 0.0, 2)


@pytest.mark.parametrize(
    ("mean", "half", "expects", "verdict"),
    [
        (0.02, 0.01, "more", "confirmed"),
        (0.02, 0.03, "more", "not seen"),
        (-0.02, 0.01, "more", "contradicted"),
        (-0.02, 0.03, "not less", "not contradicted"),
        (-0.02, 0.01, "not less", "contradicted"),
    ],
)
def test_a_verdict_is_what_the_interval_says(mean: float, half: float, expects: str, verdict: str) -> None:
    """Noise confirms nothing; for `not less`, it contradicts nothing."""
    claim = replace(tiny_study.study().claims[0], expects=expects)
    values = stats.norm.rvs(size=5, random_state=0)
    values = (values - values.mean()) / values.std(ddof=1)
    gains = mean + values * half * math.sqrt(5) / stats.t.ppf(0.975, 4)
    arm = standing("head", {seed: figures(0.5 + gain) for seed, gain in enumerate(gains)})
    base = standing("plain", {seed: figures(0.5) for seed in range(5)})
    (found,) = verdicts(replace(tiny_study.study(), claims=(claim,)), [arm, base])
    assert found.verdict == verdict


# ---------------------------------------------------------------- the record


def key(seed: int, **other: object) -> Key:
    return replace(Key("tiny", "plain", 2, 1e-3, seed, "tune", "d"), **other)  # type: ignore[arg-type]


def test_a_line_that_a_crash_cut_short_costs_that_trial_alone(tmp_path: Path) -> None:
    """Those before stay, and what is added later does not stick to the stump."""
    path = tmp_path / TRIALS
    Record(path).add(key(1), figures(0.5))
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) // 2])
    record = Record(path)
    assert list(record.all()) == [key(1)]
    record.add(key(2), figures(0.6))
    assert list(Record(path).all()) == [key(1), key(2)]


def test_processes_see_each_other_s_trials(tmp_path: Path) -> None:
    """What another one adds is there the next time that somebody looks."""
    mine, yours = Record(tmp_path / TRIALS), Record(tmp_path / TRIALS)
    mine.add(key(1), figures(0.5))
    assert yours.get(key(1)) == figures(0.5)
    yours.add(key(2), figures(None))
    assert mine.get(key(2)) == figures(None)


# ---------------------------------------------------------------- the whole


def test_a_study_runs_from_data_to_results(whole: Path, tmp_path: Path) -> None:
    """All units, each trial once; the results hold every arm, the claim and what was left out."""
    study = tiny_study.study()
    said = report.write(whole, tmp_path, study).read_text()
    trials = [json.loads(line) for line in (tmp_path / TRIALS).read_text().splitlines()]
    assert len({(t["arm"], t["base"], t["seed"], t["part"]) for t in trials}) == len(trials)
    for arm in study.arms:
        assert f"\n| {arm.name} |" in said
        assert sum(t["arm"] == arm.name and t["part"] == "report" for t in trials) == 3
    assert "**Somebody 2020**: a head is as good (recipes lp_ft)." in said
    assert "What the intervals leave out" in said
    assert "What was not run" not in said
    assert (tmp_path / "differences.svg").exists()


def test_a_study_goes_on_where_it_was_stopped(whole: Path, tmp_path: Path) -> None:
    """The same trials with the same scores as in one go, and none of them twice."""
    study, count = tiny_study.study(), len(Record(whole / TRIALS).all())
    assert run(study, with_trials(tmp_path, whole, count - 9), stop_after=3)[-1] == "interrupted"
    assert len(run(study, tmp_path)) == 6
    records = [Record(cache / TRIALS).all() for cache in (whole, tmp_path)]
    first, second = ({k: (f.score, f.loss, f.shift) for k, f in found.items()} for found in records)
    assert first == second
    assert run(study, tmp_path) == []


def test_what_another_process_has_in_hand_is_left_to_it(whole: Path, tmp_path: Path) -> None:
    """Its unit is passed over, the others are done."""
    (with_trials(tmp_path, whole, arms="plain") / "locks").mkdir()
    with FileLock(tmp_path / "locks" / "tiny-2-head.lock"):
        run(tiny_study.study(), tmp_path)
    assert {key.arm for key in Record(tmp_path / TRIALS).all()} == {"plain", "free"}


def test_trials_of_other_rules_are_not_taken_for_these(whole: Path, tmp_path: Path) -> None:
    """An arm that changed is run anew, and only the new trials are reported."""
    study = tiny_study.study()
    changed = replace(study, arms=(*study.arms[:2], replace(study.arms[2], without=None)))
    again = run(changed, with_trials(tmp_path, whole))
    assert again
    assert all(", free:" in line for line in again)
    (free,) = [
        one for one in reported(changed, Record(tmp_path / TRIALS).all()) if one.unit.arm.name == "free"
    ]
    assert free.trials == len(again)


def test_published_trials_begin_a_study_but_replace_nothing(whole: Path, tmp_path: Path) -> None:
    """With `--go-on` nobody pays for them again; trials of one's own stay."""
    own = tmp_path / "cache" / TRIALS
    __main__.take_over(whole / TRIALS, own)
    assert own.read_bytes() == (whole / TRIALS).read_bytes()
    own.write_text("")
    __main__.take_over(whole / TRIALS, own)
    assert own.read_text() == ""


def test_a_name_that_is_no_task_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise nothing would be run, and nothing said."""
    monkeypatch.setattr("sys.argv", ["effect", "--tasks", "lettrs"])
    with pytest.raises(SystemExit):
        __main__.main()
    assert "--tasks: there is no 'lettrs'; there are clipart, " in capsys.readouterr().err


def test_a_comment_makes_no_other_rules() -> None:
    """Trials stay good when a starter only words its comments anew."""
    rules = '# a\nversion 1\n\n** -> lr base  # one rate\ngroup a = "x#y"\n'
    assert bare(rules) == 'version 1\n** -> lr base\ngroup a = "x#y"'


def test_a_task_whose_package_cannot_be_had_is_skipped_and_named(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are run; the results say which is missing and why."""

    def nothing(task: object, cache: Path) -> object:
        return packages.unpacked("deb:no-such-package-anywhere", cache)

    monkeypatch.setitem(data.MAKERS, "nothing", nothing)
    monkeypatch.setenv("PATH", "")
    study = tiny_study.study(tiny_study.task("lost", "nothing"), tiny_study.task())
    told = run(study, with_trials(tmp_path, whole))
    assert len(told) == 1
    assert told[0].startswith("lost is skipped: deb:no-such-package-anywhere cannot be had: ")
    said = report.write(tmp_path, tmp_path / "out", study).read_text()
    assert "- lost was skipped: deb:no-such-package-anywhere cannot be had" in said
    assert "\n| head |" in said


def test_an_unfinished_study_says_what_it_lacks(whole: Path, tmp_path: Path) -> None:
    """A unit without all of its seeds is in no table, but in the list."""
    count = len(Record(whole / TRIALS).all())
    said = report.write(
        with_trials(tmp_path, whole, count - 1), tmp_path / "out", tiny_study.study()
    ).read_text()
    assert "- of the core, 1 unit: tiny, 2 epochs (free)" in said
    assert "\n| free |" not in said


# ---------------------------------------------------------------- fairness


def test_a_seed_draws_the_same_samples_for_all_and_none_in_both_parts() -> None:
    """As many of each class as the task says; another seed draws others."""
    labels = torch.arange(10).repeat(20)
    pool = data.Samples(torch.arange(200).view(-1, 1), labels)
    everything = data.Data(pool, pool, None)
    train, validation = data.draw(everything, tiny_study.task(), 1)
    again, _ = data.draw(everything, tiny_study.task(), 1)
    other, _ = data.draw(everything, tiny_study.task(), 2)
    assert torch.equal(train.inputs, again.inputs)
    assert not torch.equal(train.inputs, other.inputs)
    assert torch.bincount(train.labels).tolist() == [4] * 10 == torch.bincount(validation.labels).tolist()
    assert not numpy.intersect1d(train.inputs.numpy(), validation.inputs.numpy()).size


@pytest.fixture(scope="module")
def made() -> dict[str, networks.Network]:
    """The networks of the study without their weights."""
    specs = {
        "lite0": "timm:tf_efficientnet_lite0(num_classes=10)",
        "mobilenet": "torchvision:mobilenet_v2(num_classes=10)",
    }
    found = {name: networks.Network(build(spec), spec, ()) for name, spec in specs.items()}
    sentences, _ = networks.sentences(10)
    return {**found, "minilm": networks.Network(networks.Reading(sentences), None, ())}


def test_every_arm_is_a_rule_file_without_errors_on_its_network(made: dict[str, networks.Network]) -> None:
    """At the length that is run, with its constants, and with a base rate that can be tuned."""
    seen = 0
    for unit in {
        (u.task.network, u.arm.name, u.epochs): u for u in arms.STUDY.units(("core", "full"))
    }.values():
        network = made[unit.task.network]
        rules = layerlr.parse(
            text(unit.arm, unit.task.network, network, unit.epochs), lets={**unit.arm.lets, "base": 1e-3}
        )
        plan = rules.resolve(network.model, epochs=unit.epochs, steps_per_epoch=5)
        assert [d for d in plan.diagnostics if d.severity == "error"] == [], unit.arm.name
        assert f"epochs {unit.epochs}\n" in text(unit.arm, unit.task.network, network, unit.epochs)
        seen += 1
    assert seen > 30


def test_every_claim_names_arms_and_recipes_that_there_are() -> None:
    """Otherwise it would silently never be tested."""
    names = {arm.name for arm in arms.ARMS}
    recipes = {path.stem for path in (Path(__file__).parents[2] / "rules").glob("*.lr")}
    for claim in arms.CLAIMS:
        assert {claim.arm, claim.against} <= names
        assert set(claim.recipes) <= recipes
    study = arms.STUDY
    assert not set(study.tuning) & {*study.reporting, *study.comparing, *study.searching}
    assert not set(study.searching) & {*study.reporting, *study.comparing}


def test_the_results_are_those_of_the_trials_that_lie_beside_them() -> None:
    """Nobody wrote a figure by hand, and no trial was left out."""
    folder = Path(report.__file__).parent
    assert (folder / report.NAME).read_text("utf-8") == report.results(folder)


# ---------------------------------------------------------------- the search


def test_a_search_keeps_to_a_tenth_of_the_grid_and_is_reported_on_other_seeds(
    whole: Path, tmp_path: Path
) -> None:
    """Each seed's is run once, counted in the grid's seconds, and its winner's seeds are those of all arms."""
    cache = with_trials(tmp_path, whole)
    study = replace(tiny_study.study(), searched=(("tiny", 2),), searching=(21, 22), comparing=(1, 2, 3, 4))
    with pytest.MonkeyPatch.context() as patch:
        costs = searching.Costs(15.0, {"plain": 0.3, "head": 0.1}, 0.01)
        patch.setattr(searching, "costs", lambda *given: costs)
        told = run(study, cache)
        assert run(study, cache) == [line for line in told if "tune found" in line]
    all_found = searches(cache)
    assert [found.seed for found in all_found] == [21, 22]
    for found in all_found:
        assert found.seconds <= searching.PART * found.grid
        # a trial that is stopped halfway costs half, one that time cuts off is not among those tried
        most = sum(count * (costs.training[arm] + 2 * costs.validation) for arm, count in found.tried.items())
        assert most / 2 <= found.seconds <= most + costs.training["plain"]
        assert set(found.tried) == {"plain", "head"}
    (seen,) = searched(study, Record(cache / TRIALS).all(), all_found)
    for one in seen.each:
        assert all(sorted(side.by_seed) == [1, 2, 3, 4] for side in (one.winner, one.chosen, one.best))
    grid = {one.unit.arm.name: one for one in reported(study, Record(cache / TRIALS).all())}
    scores = {name: one.best.score for name, one in grid.items() if one.best is not None}
    first = seen.each[0]
    assert scores[first.chosen.unit.arm.name] == max(scores[name] for name in ("plain", "head"))
    said = report.write(cache, tmp_path / "out", study).read_text()
    mean = statistics.fmean(found.seconds for found in all_found)
    assert f"| tiny, 2 epochs | {all_found[0].grid:.0f} | {mean:.0f} |" in said
    assert report.results(tmp_path / "out", study) == said


def test_what_a_search_had_run_does_not_count_as_the_grid_s_time(whole: Path) -> None:
    """Otherwise the next search would have more than a tenth of the grid."""
    study, known = tiny_study.study(), dict(Record(whole / TRIALS).all())
    task = study.tasks[0]
    before = searching.costs(study, task, 2, known, 0.01)
    assert before.grid == pytest.approx(
        sum(f.seconds for k, f in known.items() if k.arm in ("plain", "head"))
    )
    digest = next(k.digest for k in known if k.arm == "head")
    known[key(1, arm="head", base=0.5, part="report", digest=digest)] = figures(0.5, 100.0)
    assert searching.costs(study, task, 2, known, 0.01) == before


def test_what_diverged_early_does_not_make_a_training_cheaper(whole: Path) -> None:
    """The grid's time has it, the mean that a search pays for a training has not."""
    study, known = tiny_study.study(), dict(Record(whole / TRIALS).all())
    task = study.tasks[0]
    before = searching.costs(study, task, 2, known, 0.01)
    one = next(k for k, f in known.items() if k.arm == "plain" and k.part == "tune")
    known[replace(one, base=7.0)] = figures(None, 100.0)
    after = searching.costs(study, task, 2, known, 0.01)
    assert after.training == before.training
    assert after.grid == pytest.approx(before.grid + 100)


def test_a_grid_that_is_not_complete_is_compared_with_nothing(whole: Path, tmp_path: Path) -> None:
    """A tenth of what is there yet would be less than a tenth of the grid."""
    cache = with_trials(tmp_path, whole, arms="plain")
    study = replace(tiny_study.study(), searched=(("tiny", 2),))
    worker = Worker(study, study.units(("core",)), cache, lambda line: None)
    worker.search(study.tasks[0], 2, 21)
    assert searches(cache) == []


def test_an_interval_over_searches_and_seeds_holds_what_both_do() -> None:
    """Searches that find the same leave the seeds' noise, and seeds that agree leave what searches differ by."""
    seeds = [0.01, 0.03, 0.02]
    same = crossed([seeds, seeds])
    assert (same.mean, same.half) == (pytest.approx(0.02), pytest.approx(Interval.of(seeds).half))
    found = [0.0, -0.05, 0.01, 0.0]
    agreed = crossed([[gain] * 3 for gain in found])
    assert (agreed.mean, agreed.half) == (pytest.approx(-0.01), pytest.approx(Interval.of(found).half))
    both = crossed([[gain + seed for seed in seeds] for gain in found])
    assert both.half == pytest.approx(math.hypot(same.half or 0.0, agreed.half or 0.0))
    assert crossed([seeds]).half == pytest.approx(Interval.of(seeds).half)
    assert crossed([[0.02]]).half is None


# ---------------------------------------------------------------- advice


def test_starters_recipes_and_docs_say_what_the_trials_say() -> None:
    """The numbers in their comments are those of the record, all of them."""
    assert advice.stale(Path(report.__file__).parent) == []
    assert {advice.ROOT / "rules" / f"{name}.lr" for name in advice.RECIPES} <= set(
        advice.ROOT.glob("rules/*.lr")
    )


def test_every_recipe_that_cites_a_tested_claim_says_what_was_seen() -> None:
    """A paper's recipe without a word of the trial would recommend what the study may not support."""
    assert {recipe for claim in arms.CLAIMS for recipe in claim.recipes} == set(advice.RECIPES)


def test_what_was_seen_takes_the_place_of_what_was_said_before() -> None:
    """However long either is; the rest of the comment, and the rules, stay."""
    bare = "# A recipe.\n#\n# Its paper.\nversion 1\n# a rule\n** -> lr 1\n"
    long = ", ".join(f"task{n} +1{n}.0 ± 2.{n}" for n in range(9))
    first = advice.with_line(bare, "head", f"6 epochs: {long}")
    assert max(map(len, first.splitlines())) <= advice.WIDTH
    assert not any(line.endswith("±") for line in first.splitlines())
    second = advice.with_line(first, "head", "6 epochs: letters -3.0 ± 1.0")
    assert second == bare.replace(
        "paper.\n",
        "paper.\n#\n# This project's study: head against one tuned rate, points of test accuracy: "
        "6 epochs: letters -3.0 ± 1.0.\n",
    )
    assert advice.with_line(second, "head", f"6 epochs: {long}") == first
