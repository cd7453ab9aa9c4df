"""What is said of time: each fault and trap once, at its place, with a way out."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, replace
from typing import Any

import pytest
from small_models import inventory_of

import layerlr_dsl as layerlr
from layerlr_dsl.api import Rules
from layerlr_dsl.catalogue.schedules import arguments_of, instead
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.torchvision_compat import with_torchvision

MODEL = inventory_of(
    {"fc.weight": 2, "fc.bias": 1, "layer.0.weight": 2, "layer.1.weight": 2, "norm.weight": 1}
)
FROZEN = replace(MODEL, requires_grad=[name.startswith(("fc", "norm")) for name in MODEL.names])
ALL = "** -> lr 1e-3\n"
METRIC = "until m stops falling for 1 epoch"


def found(
    text: str, model: layerlr.Inventory = MODEL, strictly: bool = False, **length: Any
) -> list[Diagnostic]:
    """Every finding; `strictly` as resolve has it, which needs to know the length of the run."""
    rules = Rules(check(Source("t.lr", text)))
    if not strictly:
        return list(rules.check(model, **length))
    with pytest.raises(layerlr.RuleError) as raised:
        rules.resolve(model, **length)
    return list(raised.value.diagnostics)


@dataclass(frozen=True)
class Case:
    """text: of the file. at: the text of the span. says, way_out: a part of the message and of the help."""

    text: str
    code: str
    at: str
    says: str
    way_out: str | None
    length: dict[str, Any]
    model: layerlr.Inventory = MODEL
    strictly: bool = False


def case(
    text: str,
    code: str,
    at: str,
    says: str,
    way_out: str | None,
    model: Any = MODEL,
    strictly: bool = False,
    **length: Any,
) -> Any:
    length = length or {"epochs": 4}
    return pytest.param(
        Case(text, code, at, says, way_out, {} if strictly else length, model, strictly), id=says
    )


# fmt: off
LENGTHS = [
    case("epochs 3\nsteps 9\n" + ALL, "LR009", "steps 9", "given twice", "keep one"),
    case("steps 9\n" + ALL + "freeze fc until epoch 1", "LR309", "epoch 1", "steps in an epoch",
         "steps_per_epoch", steps=None),
    case("steps 9\n** -> lr epoch", "LR309", "epoch", "steps of an epoch", "steps_per_epoch", steps=None),
    case("steps 9\n" + ALL + "schedule cosine(interval=epoch)", "LR309", "cosine(interval=epoch)",
         "number of steps", "steps_per_epoch", steps=None),
    case("steps 2.5\n" + ALL, "LR312", "2.5", "whole number", "steps 1000", steps=None),
    case("** -> lr step", "LR309", "step", "which are not known", "steps_per_epoch"),
    case("** -> lr progress", "LR311", "progress", "length of the run", "epochs 30", strictly=True),
]
VALUES = [
    case("** where step > 3 -> lr 1", "LR126", "step", "changes with time", "values of lr"),
    case(ALL + "freeze fc until epoch (progress)", "LR126", "progress", "changes with time", "values of lr"),
    case("epochs epochs\n" + ALL, "LR126", "epochs", "changes with time", "values of lr"),
    case("** -> lr 1, amsgrad progress > 1", "LR117", "progress > 1", "cannot move", "stays as it is"),
    case("** -> lr 0.5 - progress", "LR107", "0.5 - progress", "-0.25 at epoch 3 for `fc.weight`", "min(...)"),
    case("** -> lr 0.5 - progress", "LR107", "0.5 - progress", "-0.125 at step 5", "min(...)", epochs=4,
         steps_per_epoch=2),
    case("** -> lr 1 / progress", "LR108", "1 / progress", "divides by zero at epoch 0, for `fc",
         "max(progress"),
    case("** -> lr (progress, 1)", "LR107", "(progress, 1)", "must be a number", "change the numbers"),
    case("** -> lr 1, betas (2 * progress, 0.9)", "LR107", "(2 * progress, 0.9)", "at epoch 2", "min(...)"),
    case("** -> lr choose(progress, 1, 2)", "LR107", "progress", "is not true or false", None),
    case("** -> lr choose(progress > 0, 1)", "LR109", "choose(progress > 0, 1)", "takes three arguments",
         None),
    case("let x = plateau(metric=m)\n** -> lr x", "LR109", "plateau", "when a metric says so",
         "schedule plateau"),
    case(ALL + f"stage a {METRIC}\nstage b\nfc -> lr 1 - 2 * progress", "LR107", "1 - 2 * progress",
         "must be >= 0, and this is -0.5", "min(...)"),
    case(ALL + "fc -> lr 0.5 - progress from m stops falling for 1 epoch", "LR107", "0.5 - progress",
         "and this is -0.25 at epoch 3", "min(...)"),
]
RAMPS = [
    case("** -> lr ramp((50%, 1), (20%, 2))", "LR107", "(20%, 2)", "does not lie behind", "in order"),
    case("** -> lr ramp((50%, 1), (1 epoch, 2))", "LR107", "(1 epoch, 2)", "does not lie behind", "in order"),
    case("** -> lr ramp((0%, 1), (50%, 0), shape=exponential)", "LR108", "0", "above 0", "small number"),
    case("** -> lr ramp((0%, 1), (50%, -1), shape=exponential)", "LR108", "-1", "above 0", "small number"),
    case("** -> lr ramp((0%, progress), (50%, 1), shape=exponential)", "LR108",
         "ramp((0%, progress), (50%, 1), shape=exponential)", "above 0, and this is 0.0 at epoch 0", "small"),
    case("** -> lr ramp((0%, 1), (50%, 2), shape=cosin)", "LR107", "cosin", "is no shape", "`cosine`"),
    case("** -> lr ramp((0%, 1), (50%, 2), shape=power)", "LR107", "power", "is no shape", "power(2)"),
    case("** -> lr ramp((0%, 1), (50%, 2), shap=linear)", "LR109", "shap", "no argument", "`shape`"),
    case("** -> lr ramp((0, 1), (50%, 2))", "LR106", "0", "no stretch of time", "0%, 0 steps"),
    case("** -> lr ramp((progress, 1), (50%, 2))", "LR106", "progress", "no stretch of time", "write 30%"),
]
SCHEDULES = [
    case(ALL + "schedule cosine(floor=1e-5)", "LR319", "floor=1e-5", "looks like a rate", "min_lr=1e-5"),
    case("** -> lr 1e-5\nfc -> lr 1\nschedule cosine(min_lr=1e-4)", "LR320", "min_lr=1e-4",
         "leaves the rate of layer-norm/weight where it is: 1e-5 is not above it", "floor="),
    case(ALL + "schedule cosine(min_lr=1e-4, floor=0.1)", "LR120", "min_lr=1e-4", "same thing", "leave out"),
    case(ALL + "schedule constant(min_lr=1)", "LR120", "min_lr=1", "no least rate", "leave it out"),
    case("let x = cosine(min_lr=1e-4)\n** -> lr x", "LR120", "min_lr=1e-4", "gives a factor", "floor="),
    case("let x = cosine(warmup_lr=1)\n** -> lr x", "LR120", "warmup_lr=1", "gives a factor", "warmup_start"),
    case(ALL + "schedule linear(end_factor=0.1, floor=0.1)", "LR120", "floor=0.1", "both say",
         "leave out floor"),
    case(ALL + "schedule exponential(end_factor=0.1, min_lr=1)", "LR120", "min_lr=1", "both say", "leave out"),
    case(ALL + "schedule exponential(gamma=0.1, end_factor=0.1)", "LR120", "end_factor=0.1", "not both",
         "write"),
    case(ALL + "schedule exponential(end_factor=0)", "LR120", "end_factor=0", "never reaches 0", "small"),
    case(ALL + "schedule cosine(warmup=1 epoch, warmup_type=exponential)", "LR120",
         "warmup_type=exponential", "cannot begin at 0", "warmup_start_factor"),
    case(ALL + "schedule wsd(decay_type=exponential)", "LR120", "decay_type=exponential", "reaches 0",
         "floor"),
    case(ALL + "schedule one_cycle(warmup_prefix=false)", "LR120", "warmup_prefix=false", "rises by itself",
         "leave"),
    case(ALL + "schedule slanted_triangular(warmup_prefix=false)", "LR120", "warmup_prefix=false", "rises",
         "leave"),
    case(ALL + "schedule inverse_sqrt(warmup_prefix=false)", "LR120", "warmup_prefix=false", "end of its",
         "leave"),
    case(ALL + "schedule plateau(metric=m, warmup_prefix=false)", "LR120", "warmup_prefix=false", "metric",
         "leave"),
    case(ALL + "schedule one_cycle(endpoint=true)", "LR120", "endpoint=true", "by nature", "leave it out"),
    case(ALL + "schedule cosine for 4 epochs then linear", "LR120", "linear", "nothing of the run is left",
         "shorten"),
    case("let x = 3\n" + ALL + "schedule x", "LR107", "x", "does not move", "schedule constant"),
    case("let x = (progress, 1)\n" + ALL + "schedule x", "LR107", "x", "is a tuple", None),
    case("let x = progress\n" + ALL + "schedule x(warmup=5%)", "LR120", "x(warmup=5%)", "no arguments",
         "schedule x"),
    case("let x = 0.5 - progress\n" + ALL + "schedule x", "LR107", "x", "is -0.25 at epoch 3", "max(0"),
    case("let x = 0.5 - progress\n" + ALL + "schedule cosine for 25% then x", "LR107", "x", "at epoch 3",
         "max(0"),
    case("let cosine = progress\n" + ALL, "LR102", "cosine", "name of a schedule", "rename"),
]
STAGES = [
    case(ALL + "stage a for 1 epoch\nstage a", "LR102", "a", "named twice", "rename"),
    case(ALL + "stage a\nstage b", "LR316", "stage a", "has no end", "for 5 epochs"),
    case(ALL + "stage a for 20%\nstage b", "LR311", "20%", "length of the run", "epochs 30", strictly=True),
    case(ALL + f"stage a {METRIC}", "LR311", "m stops falling for 1 epoch", "whose length", "for 20",
         strictly=True),
    case(ALL + "stage a for 5 epochs", "LR313", "stage a for 5 epochs", "after the run", "shorten"),
    case(ALL + "stage a for 3 epochs", "LR314", "stage a for 3 epochs", "the run goes on",
         "leave out its `for`"),
    case(ALL + "stage a for 1.5 epochs\nstage b", "LR310", "1.5 epochs", "rounded up to epoch 2",
         "steps_per_epoch"),
    case(ALL + "stage a for 4 epochs\nstage b", "LR302", "stage b", "never begins", "shorten the stages"),
    case(ALL + "stage a for 0.5 epochs\nstage b for 0.25 epochs\nstage c", "LR302",
         "stage b for 0.25 epochs", "holds no whole epoch", "more time"),
    case(ALL + "stage a for 1 epoch\nfreeze fc until epoch 3\nstage b", "LR304", "epoch 3",
         "end of stage a, which has 1 epoch", "shorten it"),
    case(ALL + "stage a for 1 epoch\nfreeze fc from epoch 3\nstage b", "LR302", "epoch 3", "stage a ends",
         "move it"),
    case(ALL + f"stage a {METRIC}\nstage b for 1 epoch\nfreeze fc from epoch 3", "LR302", "epoch 3",
         "stage b ends at epoch 1", "move it"),
    case(ALL + f"stage a {METRIC}\nstage b\nfreeze fc from epoch 3 until epoch 2", "LR303",
         "from epoch 3 until epoch 2", "ends before it opens", "swap"),
    case(ALL + "stage a for 1 epoch\nunfreeze fc then layer every 1 epoch\nstage b", "LR302", "layer",
         "and stage a ends at epoch 1", "shorten `every`"),
    case(ALL + "unfreeze fc then layer.<i> by i descending every 2 epochs", "LR302", "layer.<i>",
         "`layer.0.weight` never thaws: its turn is epoch 4", "shorten `every`"),
    case(ALL + "stage a for 2 epochs, fresh optimizer\nstage b", "LR321",
         "stage a for 2 epochs, fresh optimizer", "it is the first", "leave out"),
    case(ALL + "stage a for 2 epochs\nsteps 3\nstage b", "LR116", "steps 3", "whole file", "above the first"),
    case(ALL + "stage a for 2 epochs\nfc -> optimizer sgd\nstage b", "LR116", "optimizer sgd", "whole run",
         "above"),
    case(ALL + "stage a\nafter stages\nschedule cosine", "LR116", "schedule cosine", "under a stage", "above"),
    case(ALL + "stage a\nafter stages\nstage b", "LR116", "stage b", "before `after stages`", "move it up"),
    case(ALL + "after stages", "LR116", "after stages", "no stage before this", "remove"),
    case("stage a for 1 epoch\n" + ALL + "stage b\nfc -> lr 1", "LR204", "stage b",
         "in stage b 3 parameters have no", "in this stage"),
    case(ALL + "stage a for 1 epoch\nfc -> lr 1\nfc -> lr 2\nstage b", "LR202", "fc -> lr 1",
         "never applies", "put"),
    case(ALL + f"stage a {METRIC}\nstage b\nfreeze **", "LR301", "freeze **", "in stage b, when m stops",
         "leave some"),
]
FREEZES = [
    case(ALL + "unfreeze fc", "LR307", "unfreeze fc", "nothing freezes", "trains from the start"),
    case(ALL + "unfreeze fc at epoch 2", "LR307", "unfreeze fc at epoch 2", "nothing freezes",
         "until epoch 2"),
    case(ALL + "stage a\nunfreeze fc", "LR317", "unfreeze fc", "trains already", "leave it out"),
    case(ALL + "unfreeze fc every 1 epoch", "LR315", "unfreeze fc every 1 epoch", "one turn",
         "freeze fc until"),
    case(ALL + "freeze layer until epoch 2", "LR322", "freeze layer until epoch 2",
         "over 2 parameters that came frozen", "unfreeze layer at epoch 2", FROZEN),
    case(ALL + "stage a for 1 epoch\nfreeze layer\nstage b", "LR322", "freeze layer", "came frozen",
         "`unfreeze layer`", FROZEN),
]
# fmt: on


@pytest.mark.parametrize("case", [*LENGTHS, *VALUES, *RAMPS, *SCHEDULES, *STAGES, *FREEZES])
def test_it_is_said_at_its_place_with_a_way_out(case: Case) -> None:
    """Once, and nothing graver than a note stands beside it."""
    all_found = found(case.text, case.model, case.strictly, **case.length)
    said = [d for d in all_found if d.code == case.code and d.span is not None and d.span.text == case.at]
    assert len(said) == 1, [(d.code, d.message) for d in all_found]
    assert case.says in said[0].message
    assert (case.way_out or "") in (said[0].help or "")
    assert not [d for d in all_found if d.code != case.code and d.severity == "error"]


QUIET = [
    ("let step = 3\nlet ramp = 2\nlet cos = 1\n** -> lr step * ramp * cos * 1e-3", {}),
    ("layer.<step>.weight -> lr 1e-3 * step\nfc, norm -> lr 1e-3", {}),
    ("** -> lr 1e-3\nschedule cosine(floor=0.0001%)", {}),
    ("** -> lr 1e-3\nfc -> lr 0\nschedule cosine(min_lr=1e-5)", {}),
    ("stage a for 1 epoch\nfreeze ** except fc\nfc -> lr 1e-3\nstage b\n** -> lr 1e-4", {}),
    ("** -> lr 1e-3\nstage a for 1 epoch\nfc -> lr 1e-2\nstage b\nfc -> lr 1e-4", {}),
    ("** -> lr 1e-3\nfreeze layer until epoch 2\nunfreeze layer at epoch 2", {"model": FROZEN}),
    ("** -> lr progress + 1e-3", {"epochs": None}),
    ("** -> lr 1e-3\nstage a for 20%\nstage b until m stops falling for 1 epoch", {"epochs": None}),
    (
        "steps 9\n** -> lr 1e-3 * step\nfreeze fc until step 3\nschedule cosine(warmup=2 steps)",
        {"epochs": None},
    ),
]


@pytest.mark.parametrize(("text", "given"), QUIET, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_as_it_should_be_is_left_alone(text: str, given: dict[str, Any]) -> None:
    """No error and no warning: names of an older file's own, shares that say they are, stages that do without."""
    said = found(text, **({"epochs": 4} | given))
    assert [(d.code, d.message) for d in said if d.severity != "info" and d.code != "LR311"] == []


def schedulers_of_others() -> list[str]:
    """What torch, transformers and timm call their schedulers, the abstract ones aside."""
    with_torchvision(lambda: importlib.import_module("torchvision"))
    torch = importlib.import_module("torch.optim.lr_scheduler")
    theirs = importlib.import_module("transformers.optimization")
    kinds = importlib.import_module("transformers.trainer_utils").SchedulerType
    timm = importlib.import_module("timm.scheduler")
    names = [
        name
        for name, kind in vars(torch).items()
        if inspect.isclass(kind) and issubclass(kind, torch.LRScheduler)
    ]
    names += [name for name in dir(theirs) if name.startswith("get_") and "schedule" in name]
    names += [kind.value for kind in kinds] + [name for name in dir(timm) if name.endswith("LRScheduler")]
    return sorted(set(names) - {"LRScheduler", "_LRScheduler"})


def test_the_schedulers_of_others_are_known() -> None:
    """Each name leads to the schedule that does the same, or to what says the same."""
    names = schedulers_of_others()
    assert len(names) > 35
    unknown = [name for name in names if arguments_of(name) is None and instead(name).startswith("known: ")]
    assert unknown == []


def test_a_scheduler_of_torch_is_a_slip_with_a_fix() -> None:
    """The fix writes the name that the language has."""
    [said] = [d for d in found(ALL + "schedule CosineAnnealingLR", epochs=4) if d.code == "LR105"]
    assert said.fix is not None
    assert [edit.replacement for edit in said.fix.edits] == ["cosine"]
