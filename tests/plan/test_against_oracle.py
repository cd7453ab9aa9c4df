"""The resolver against a slow second implementation, over generated models and rule files."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle import Clause, Sequence, covers, optimizer_of, options
from small_models import inventory_of

import layerlr_dsl as layerlr
from layerlr_dsl.language.patterns import compile_pattern
from layerlr_dsl.plan.matching.automaton import Automaton

KEPT = sorted((Path(__file__).parent / "counterexamples").glob("*.json"))
SEGMENTS = ["a", "b", "ab", "layer1", "layer2", "layer10", "0", "1", "10", "norm", "weight"]
LEAVES = ["weight", "bias", "scale"]
names = st.builds(
    lambda path, leaf: ".".join([*path, leaf]),
    st.lists(st.sampled_from(SEGMENTS), max_size=3),
    st.sampled_from(LEAVES),
)
pieces = st.sampled_from(
    ["a", "b", "layer1", "layer*", "*", "?", "??", "[ab]", "[!a]", "[a-b]*", "{a,b}", "layer{1,10}"]  # noqa: RUF005
    + ["{0..5}", "layer{1..9}", "layer{2..10}", "weight", "bias", "**", "1", "norm", "{layer*,norm}", "*1*"]
)
patterns = st.lists(pieces, min_size=1, max_size=3).map(".".join)
with_captures = st.lists(
    st.one_of(pieces, st.sampled_from(["<i>", "layer<i>", "*<i>", "<j>", "<i>?"])), min_size=1, max_size=3
).map(".".join)


def automaton_hits(pattern: str, name: str) -> list[dict[str, int]]:
    automaton = Automaton([compile_pattern(pattern)])
    return [dict(bindings) for _, bindings in automaton.run(name.split(".")).hits]


def _no_module_is_a_parameter(found: dict[str, int]) -> dict[str, int]:
    return {n: d for n, d in found.items() if not any(other.startswith(n + ".") for other in found)}


models = st.dictionaries(names, st.integers(1, 3), min_size=1, max_size=12).map(_no_module_is_a_parameter)
times = st.fractions(0, 6, max_denominator=4)
numbers = st.sampled_from([0.0, 1e-4, 3e-4, 0.01, 0.5])


captured = st.sampled_from(["layer<i>", "<i>", "layer<i>.weight", "layer<i>.*", "*<i>", "layer<i>.**.bias"])
regexes = st.sampled_from([r"layer\d+\..*", r".*weight", r"(.*\.)?(bias|norm\..*)", r"[ab]\.[^.]*", r"x+"])


@st.composite
def windows(draw: st.DrawFn) -> tuple[Fraction, Fraction | None]:
    window = draw(st.sampled_from(["", "", "from", "until", "both"]))
    start, end = draw(times), draw(times)
    if window == "both" and start >= end:
        start, end = Fraction(0), start + 1
    opens = start if window in ("from", "both") else Fraction(0)
    return opens, end if window in ("until", "both") else None


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    start, end = draw(windows())
    kind = draw(
        st.sampled_from(["rule", "rule", "factor", "freeze", "unfreeze", "captured", "depth", "optimizer"])
    )
    sets: dict[str, float] = {}
    if kind == "rule":
        sets = draw(st.dictionaries(st.sampled_from(["lr", "weight_decay"]), numbers, min_size=1, max_size=2))
    if kind == "captured":
        sets = {"lr": draw(numbers)}
    if kind == "optimizer":
        sets, start, end = {"momentum": draw(st.sampled_from([0.5, 0.9]))}, Fraction(0), None
    if kind == "unfreeze":
        end = None
    binds = kind in ("captured", "depth")
    include = (draw(captured),) if binds else tuple(draw(st.lists(patterns, min_size=1, max_size=2)))
    return Clause(
        include=include,
        exclude=tuple(draw(st.lists(patterns, max_size=1))),
        max_ndim=draw(st.sampled_from([None, None, 1, 2])),
        sets=sets,
        factors={"lr": draw(st.sampled_from([0.5, 2.0, 0.1]))} if kind == "factor" else {},
        frozen={"freeze": True, "unfreeze": False}.get(kind),
        start=start,
        end=end,
        regex=None if binds else draw(st.one_of(st.none(), st.none(), regexes)),
        least=draw(st.integers(0, 4)) if kind == "captured" else None,
        by_depth=draw(st.sampled_from([0.5, 0.9])) if kind == "depth" else None,
        optimizer="sgd" if kind == "optimizer" else None,
    )


sequences = st.builds(
    Sequence,
    st.lists(patterns, min_size=2, max_size=3).map(tuple),
    st.fractions(Fraction(1, 4), 2, max_denominator=4),
    times,
)
files = st.lists(st.one_of(clauses(), clauses(), clauses(), sequences), min_size=1, max_size=6)
styles = st.sampled_from(["quoted", "bare", "group"])


def flat(file: list[Clause | Sequence], style: str) -> list[Clause]:
    """The clauses that the oracle reads."""
    grouped = style == "group"
    return [
        c for s in file for c in (s.clauses() if isinstance(s, Sequence) else [replace(s, grouped=grouped)])
    ]


def text_of(file: list[Clause | Sequence], style: str) -> str:
    """The file in the language: patterns in quotes, bare, or every selector as a group of its own."""
    return "\n".join(written(statement, style, number) for number, statement in enumerate(file))


def written(statement: Clause | Sequence, style: str = "quoted", number: int = 0) -> str:
    """A statement in the language."""
    if isinstance(statement, Sequence):
        turns = " then ".join(_item(turn, style) for turn in statement.turns)
        every = f"every {_exact(statement.every)} epochs"
        return f"unfreeze {turns} {every} starting at epoch {_exact(statement.first)}"
    selector = _selector(statement, style)
    if style == "group":
        return f"group g{number} = {selector}\n{_clause(statement, f'@g{number}')}"
    return _clause(statement, selector)


def _item(pattern: str, style: str) -> str:
    return f'"{pattern}"' if style == "quoted" else pattern


def _selector(clause: Clause, style: str) -> str:
    items = [_item(p, style) for p in clause.include]
    if clause.regex is not None:
        items.append(f"/{clause.regex}/")
    text = ", ".join(items)
    if clause.exclude:
        text += " except " + ", ".join(_item(p, style) for p in clause.exclude)
    conditions = [f"ndim <= {clause.max_ndim}"] if clause.max_ndim is not None else []
    conditions += [f"i >= {clause.least}"] if clause.least is not None else []
    return f"{text} where {' and '.join(conditions)}" if conditions else text


def _clause(clause: Clause, selector: str) -> str:
    if clause.frozen is False:
        return f"unfreeze {selector} at epoch {_exact(clause.start)}"
    window = f" from epoch {_exact(clause.start)}" if clause.start else ""
    if clause.end is not None:
        window += f" until epoch {_exact(clause.end)}"
    if clause.frozen:
        return f"freeze {selector}{window}"
    settings = [f"{o} {v!r}" for o, v in clause.sets.items() if clause.optimizer is None]
    settings += [f"{o} *= {v!r}" for o, v in clause.factors.items()]
    if clause.by_depth is not None:
        settings.append(f"lr {clause.by_depth!r} ^ (last(i) - i)")
    if clause.optimizer is not None:
        arguments = ", ".join(f"{o}={v!r}" for o, v in clause.sets.items())
        settings.append(f"optimizer {clause.optimizer}({arguments})")
    return f"{selector} -> {', '.join(settings)}{window}"


def _exact(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"({value.numerator}/{value.denominator})"


def one_way(file: list[Clause], model: dict[str, int]) -> bool:
    """Whether every capture binds in one way, and depths are asked of what has some."""
    binding = [c for c in file if c.least is not None or c.by_depth is not None]
    return all(len(c.ways(name)) <= 1 for c in binding for name in model)


def compare(
    model: dict[str, int], file: list[Clause | Sequence], steps_per_epoch: int, style: str = "quoted"
) -> None:
    """Every parameter, every option, every step: the plan says what the oracle says."""
    inventory = inventory_of(model)
    said = flat(file, style)
    assume(one_way(said, model))
    rules = layerlr.parse(text_of(file, style))
    from layerlr_dsl.plan.resolve import resolve

    plan = resolve(rules.checked, inventory, rules.clock(8, steps_per_epoch))
    for step in range(8 * steps_per_epoch):
        found = plan.at(step=step)
        by_group = plan.state(step)
        for row, name in enumerate(inventory.names):
            wanted = options(said, model, name, step, steps_per_epoch)
            shown = {option: found[name][option] for option in wanted}
            assert shown == pytest.approx(wanted), (name, step)
            assert by_group[plan.group_of[row]].frozen == wanted["frozen"], (name, step)


@settings(max_examples=2000, deadline=None)
@given(st.one_of(patterns, with_captures), names)
def test_a_pattern_covers_what_the_oracle_says(pattern: str, name: str) -> None:
    """Selectors match and bind as a plain regular expression over the whole name does."""
    assume("**.**" not in pattern)
    found = automaton_hits(pattern, name)
    wanted = covers(pattern, name)
    assert sorted(found, key=str) == sorted(wanted, key=str)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models, files, st.integers(1, 4), styles)
def test_the_cascade_says_what_the_oracle_says(
    model: dict[str, int], file: list[Clause | Sequence], spe: int, style: str
) -> None:
    """The last matching rule wins, per option, inside its window, at every step of the run."""
    compare(model, file, spe, style)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models, files, styles)
def test_parameters_share_a_group_exactly_when_they_behave_alike(
    model: dict[str, int], file: list[Clause | Sequence], style: str
) -> None:
    """Never more groups than behaviours, and never two behaviours in one group."""
    inventory = inventory_of(model)
    said = flat(file, style)
    assume(one_way(said, model))
    rules = layerlr.parse(text_of(file, style))
    from layerlr_dsl.plan.resolve import resolve

    plan = resolve(rules.checked, inventory, rules.clock(8, 2))
    given_by_file: dict[str, Any] = {}
    for name in inventory.names:
        course = [options(said, model, name, step, 2) for step in range(24)]
        mine = [c for c in said if c.selects(name, model[name])]
        options_said = {o for c in mine for o in (*c.given(name, model), *c.factors)}
        given_by_file[name] = (
            "frozen"
            if all(state["frozen"] for state in course)
            else (
                optimizer_of(said, name, model[name]),
                sorted(options_said),
                course,
                any(c.frozen is not None for c in mine),
            )
        )
    behaviours: list[Any] = []
    for behaviour in given_by_file.values():
        if behaviour not in behaviours:
            behaviours.append(behaviour)
    assert len(plan.groups) == len(behaviours)
    for group in plan.groups:
        assert len({json.dumps(given_by_file[name]) for name in group.parameters}) == 1


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_kept_counterexamples_stay_right(path: Path) -> None:
    """Cases that were once wrong, kept as files."""
    case = json.loads(path.read_text())
    if "pattern" in case:
        found = automaton_hits(case["pattern"], case["name"])
        assert sorted(found, key=str) == sorted(case["ways"], key=str)
    else:
        file = [
            Clause(
                **{
                    **c,
                    "include": tuple(c["include"]),
                    "exclude": tuple(c.get("exclude", ())),
                    "start": Fraction(c.get("start", 0)),
                    "end": None if c.get("end") is None else Fraction(c["end"]),
                }
            )
            for c in case["clauses"]
        ]
        compare(case["model"], file, case["steps_per_epoch"])
