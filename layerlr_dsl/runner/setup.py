"""Building what a run consists of, in the order in which it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from layerlr_dsl.plan.clock import ImpossibleTime
from layerlr_dsl.runner import head, norm_sizes, origin, own_code, resume, tasks, weights
from layerlr_dsl.runner.about import About, shapes
from layerlr_dsl.runner.classification import Classification, check_enough, class_weights, untaught
from layerlr_dsl.runner.config import TrainConfig
from layerlr_dsl.runner.data import Data, Request, Wanted
from layerlr_dsl.runner.datasets import load
from layerlr_dsl.runner.devices import choose_device, describe
from layerlr_dsl.runner.errors import RunnerError, Unfit
from layerlr_dsl.runner.feed import Loading
from layerlr_dsl.runner.models import Begun, build_model, check_fit, look_at, outputs_of, wanted_images
from layerlr_dsl.runner.order import Order
from layerlr_dsl.runner.processes import Processes
from layerlr_dsl.runner.step import Numerics
from layerlr_dsl.runner.tasks import Task
from layerlr_dsl.runner.wrapping import wrap
from layerlr_dsl.training import chance

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from layerlr_dsl.api import Plan, Rules
    from layerlr_dsl.runner.stock import Stock
    from layerlr_dsl.training.schedule import LayerSchedule

HEAD_SAMPLES = 32
BEGINS = (
    *("weights", "head_init", "seed", "data", "image_size", "validation", "test", "test_seed"),
    *("augment", "label_smoothing", "class_weights", "workers"),
)
"""The settings on which depends what a run begins with, beside its model."""


@dataclass(frozen=True, slots=True)
class Built:
    """A run before anything has been trained. `model` is wrapped, `metrics` are the names of what the task
    measures, `notes` tell what a user should know, `warnings` what will hardly be meant, `source` is where the weights come from.
    """

    rules: Rules
    spec: str
    task: Task
    model: nn.Module
    data: Data
    order: Order
    plan: Plan
    optimizer: Optimizer
    schedule: LayerSchedule
    numerics: Numerics
    loading: Loading
    about: About
    metrics: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    source: origin.Origin


def build(config: TrainConfig, place: Processes, *, fresh: bool, stock: Stock | None = None) -> Built:
    """Everything that `config` asks for. Weights are left alone unless the run is `fresh`; what runs have
    in common comes from the `stock`.

    Raises RunnerError, RuleError for findings in the rules, OSError for a rule file that cannot be read.
    """
    rules = _rules(config)
    spec, from_file = spec_of(config, rules)
    _check_length(rules, config)
    device = choose_device(config.device, place)
    begun = _kept(config, spec, from_file, place, fresh, stock)
    model, data, task, loaded = begun.model, begun.data, begun.task, begun.loaded
    order = _order(config, data, place)
    plan = _plan(rules, model, config, order)
    source = origin.of(spec, model, loaded)
    notes = [*data.notes]
    if fresh:
        origin.check_frozen(source, model, plan, config)
        notes.append(source.text)
    notes += begun.notes
    numerics = Numerics.make(config.precision, device)
    wrapped, optimizer, schedule = _training_side(model, plan, config, device)
    notes += norm_sizes.note(spec, wrapped, data, loaded)
    chance.seed_everything(config.seed, place.rank)
    notes.insert(0, _headline(spec, plan, data, device, config))
    loading = Loading(device, config.workers, place.rank)
    about = _about(config, spec, from_file, source.text, shapes(begun.fit.inputs), data)
    return Built(
        rules=rules,
        spec=spec,
        task=task,
        model=wrapped,
        data=data,
        order=order,
        plan=plan,
        optimizer=optimizer,
        schedule=schedule,
        numerics=numerics,
        loading=loading,
        about=about,
        metrics=begun.fit.metrics,
        notes=tuple(notes),
        warnings=begun.warnings,
        source=source,
    )


def _kept(
    config: TrainConfig, spec: str, from_file: bool, place: Processes, fresh: bool, stock: Stock | None
) -> Begun:
    """The model as the run begins with it, from the stock where that has it; what is the user's own is made anew."""

    def make() -> Begun:
        return _begun(config, spec, from_file, place, fresh, stock)

    own = spec.startswith(own_code.PREFIX) or config.task is not None
    if stock is None or own or not fresh:
        return make()
    root = config.root or config.rules.parent if from_file else None
    return stock.begun((spec, root, *(getattr(config, name) for name in BEGINS)), make)


def _begun(
    config: TrainConfig, spec: str, from_file: bool, place: Processes, fresh: bool, stock: Stock | None
) -> Begun:
    # the same on every process: they must start from one model
    chance.seed_everything(config.seed, 0)
    model = build_model(spec, from_file=from_file, root=config.root or config.rules.parent)
    wanted = wanted_images(model, config.image_size)
    data, task = _data_and_task(config, wanted, place, stock)
    loaded = None
    if config.weights is not None and fresh:
        loaded = weights.load_weights(model, config.weights, spec)
    fit = check_fit(model, data, spec, task)
    notes, warnings = [], []
    if fresh and isinstance(task, Classification):
        check_enough(data)
        warnings = untaught(data)
    if loaded is not None and isinstance(task, Classification):
        notes += _begin_head(model, loaded.fresh, data, task, config)
    return Begun(model, data, task, fit, loaded, tuple(notes), tuple(warnings))


def _data_and_task(
    config: TrainConfig, wanted: Wanted, place: Processes, stock: Stock | None
) -> tuple[Data, Task]:
    """A task decides how data is split, and data what a task of classifying weighs."""
    own = tasks.load(config.task)
    request = _request(config, wanted, stratified=own is None or own.stratified)
    if stock is None or config.workers:  # what workers read stays with them
        data = _data(request, place)
    else:
        data = stock.data(request, lambda: _data(request, place))
    return data, _classification(config, data) if own is None else _only(own, config)


def _about(config: TrainConfig, spec: str, from_file: bool, weights: str, inputs: Any, data: Data) -> About:
    """What those who use the trained model need to know of it."""
    return About(
        model=spec,
        from_file=from_file,
        root=str((config.root or config.rules.parent).resolve()) if from_file else None,
        task=config.task,
        data=config.data,
        weights=weights,
        classes=data.class_names,
        input=inputs,
        preparation=data.preparation,
    )


def _begin_head(
    model: nn.Module, fresh: tuple[str, ...], data: Data, task: Task, config: TrainConfig
) -> list[str]:
    """Start a head that the file of weights did not have; what to say of it."""
    inputs, targets = look_at(data, data.train, task, HEAD_SAMPLES)

    def scores() -> Tensor:
        return cast("Tensor", outputs_of(model, inputs, task))

    told = head.begin(model, fresh, config.head_init, scores, targets, config.seed) if fresh else None
    return [told] if told is not None else []


def _classification(config: TrainConfig, data: Data) -> Task:
    weights = None
    if config.class_weights is not None:
        weights = class_weights(config.class_weights, data)
    return Classification(config.label_smoothing, weights)


def _only(task: Task, config: TrainConfig) -> Task:
    """A task of one's own, which what is there for classifying alone does not reach."""
    for option, given in (
        ("label-smoothing", config.label_smoothing),
        ("class-weights", config.class_weights),
    ):
        if given:
            raise RunnerError(f"--{option} is for classifying; with --task the task's own loss counts")
    return task


def _rules(config: TrainConfig) -> Rules:
    from layerlr_dsl.api import load as load_rules

    try:
        return load_rules(config.rules, config.root, resume.values(config.lets))
    except OSError as fault:
        raise RunnerError(str(fault)) from None


def _check_length(rules: Rules, config: TrainConfig) -> None:
    """Refuse a run without an end, before anything is built; how many steps an epoch has is no matter here."""
    if rules.clock(config.epochs, 1, config.steps).total is None:
        raise RunnerError(
            "the length of the run is not known",
            "give it with --epochs or --steps, or write `epochs N` in the file",
        )


def spec_of(config: TrainConfig, rules: Rules) -> tuple[str, bool]:
    """The model of a run, and whether its rule file names it. Raises RunnerError."""
    if config.model is not None:
        return config.model, False
    if rules.model is not None:
        from layerlr_dsl.model.specs import located

        folder = config.rules.parent
        return located(rules.model, folder, config.root or folder), True
    raise RunnerError(
        f"{config.rules} names no model", 'give one with --model, or write `model "..."` in the file'
    )


def _request(config: TrainConfig, wanted: Wanted, *, stratified: bool) -> Request:
    if config.test + config.validation >= 1:
        raise RunnerError("--test and --validation together leave nothing to train on")
    return Request(
        config.data,
        wanted,
        config.validation,
        config.seed,
        config.augment,
        config.test,
        stratified,
        config.test_seed,
    )


def _data(request: Request, place: Processes) -> Data:
    if place.several:
        # one process fetches what must be downloaded, the others then find it there
        if place.first:
            data = load(request)
        place.wait()
        return data if place.first else load(request)
    return load(request)


def _order(config: TrainConfig, data: Data, place: Processes) -> Order:
    order = Order(len(data.train), config.batch_size, config.accumulate, config.seed, place.world)
    if order.steps_per_epoch == 0:
        raise RunnerError(
            f"{data.name}: {len(data.train)} training samples are too few for {place.world} processes"
        )
    return order


def _plan(rules: Rules, model: nn.Module, config: TrainConfig, order: Order) -> Plan:
    try:
        return rules.resolve(model, config.epochs, order.steps_per_epoch, config.steps)
    except (OverflowError, ImpossibleTime) as fault:
        raise Unfit(f"the length of the run: {fault}") from None


def _training_side(
    model: nn.Module, plan: Plan, config: TrainConfig, device: torch.device
) -> tuple[nn.Module, Optimizer, LayerSchedule]:
    import torch

    from layerlr_dsl.training.errors import TrainingError

    model.to(device)
    try:
        wrapped = wrap(model, config.parallel, device)
        optimizer = plan.optimizer(wrapped)
        if config.compile:
            wrapped = cast("nn.Module", torch.compile(wrapped))
        return wrapped, optimizer, plan.schedule(wrapped, optimizer)
    except TrainingError as fault:
        raise Unfit(str(fault)) from None


def _headline(spec: str, plan: Plan, data: Data, device: torch.device, config: TrainConfig) -> str:
    numel = sum(group.numel for group in plan.groups)
    counts = " + ".join(f"{len(part):,}" for part in data.parts().values()) + " samples"
    return f"{spec}: {numel:,} parameters\n{data.name}: {counts}; on {describe(device)}, {config.precision}"
