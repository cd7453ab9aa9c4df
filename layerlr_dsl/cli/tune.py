"""`layerlr tune FILE... --data SPEC`: which rule file, and which values in it, do best on the data at hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from layerlr_dsl.cli import train
from layerlr_dsl.cli.exits import Refusal
from layerlr_dsl.cli.options import FolderName, each_once
from layerlr_dsl.cli.runs import said
from layerlr_dsl.cli.terminal import Screen, write
from layerlr_dsl.tools.cells import wrap
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.program import program

if TYPE_CHECKING:
    from layerlr_dsl.runner.errors import RunInterrupted
    from layerlr_dsl.tuning.arms import Arm
    from layerlr_dsl.tuning.budget import Budget
    from layerlr_dsl.tuning.outcome import Outcome
    from layerlr_dsl.tuning.preflight import Subject
    from layerlr_dsl.tuning.running import Runner
    from layerlr_dsl.tuning.search import Search
    from layerlr_dsl.tuning.trials import Settings

EPILOG = """\b
Exit status: 0 done; 1 findings in the rules, or no trial came to a score;
2 wrong usage, data or a storage that cannot be used, a budget too small for
one trial; 130 stopped by Ctrl-C, all trials kept.
"""
AS_IN_TRAIN = (
    *("data", "task", "model", "weights", "from_scratch", "head_init", "epochs", "steps", "batch_size"),
    *("accumulate", "clip", "label_smoothing", "class_weights", "image_size", "augment", "validation"),
    *("test", "seed", "precision", "device", "workers", "feature_memory", "root"),
)
"""Options that are those of `train`, and mean the same for every trial."""
EPOCHS = 10
DEFAULT_OUT = Path("runs/tune")


def _as_in_train(command: Callable[..., Any]) -> Callable[..., Any]:
    own = [option for option in train.command.params if option.name in AS_IN_TRAIN]
    command.__click_params__ = [*reversed(own), *getattr(command, "__click_params__", [])]  # type: ignore[attr-defined]
    return command


@click.command("tune", epilog=EPILOG)
@click.argument("files", nargs=-1, type=click.Path(readable=False), metavar="[FILE]...")
@click.option(
    "--let",
    "lets",
    multiple=True,
    metavar="NAME=RANGE",
    help="Search a `let` of the files: base=1e-5..1e-2 log, depth=1..4, or set it: decay=0.8; may be repeated.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    metavar="N",
    help="Trials for each file. [default: 8, or as many as --budget allows]",
)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True, help="Runs of each finalist.")
@click.option(
    "--finalists",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Files that are run with every seed, one rate among them.",
)
@click.option("--budget", metavar="TIME", help="Wall time for everything: 90s, 10m, 1.5h.")
@click.option(
    "--storage",
    metavar="URL",
    help="Where Optuna keeps the trials, such as sqlite:///study.db; several processes may share it. "
    "[default: study.db in --out]",
)
@click.option("--name", default="tune", show_default=True, help="Of the study in the storage.")
@click.option("--resume", is_flag=True, help="Go on with the study there, or join it from another process.")
@click.option(
    "--out",
    type=FolderName(),
    default=DEFAULT_OUT,
    show_default=True,
    metavar="DIR",
    help="Folder for files, trials, results and picture.",
)
@click.option("-o", "--output", metavar="FILE", help="The winner. [default: best.lr in --out]")
@click.option("--no-baseline", is_flag=True, help="Compare with the first FILE and not with one plain rate.")
@_as_in_train
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Find out which rule file trains best on your data, and with which values.

    Without FILE, files that fit the model are written and compared: one rate for everything (plain),
    norms' statistics held, the head alone, gradual unfreezing, the head and then all, layer decay.
    Every file gets the same number of trials of the same length on the same split; poor ones are
    stopped early. The best files are then run over seeds, each with a split of its own, and what
    they gain over one plain rate is told with its noise. The test part, where there is one, stays
    unseen.

    \b
    Examples:
        layerlr tune --model torchvision:resnet18 --weights DEFAULT --data flowers --epochs 4
        layerlr tune mine.lr --data flowers --epochs 5 --let "base=1e-5..1e-2 log" -o best.lr
        layerlr tune mine.lr --data flowers --epochs 5 --budget 30m --resume
    """
    given = {
        name: value
        for name, value in options.items()
        if name in AS_IN_TRAIN and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    with said():
        return _tune(options, given, _again(context))


def _again(context: click.Context) -> str:
    """The command that goes on: as it was given, with --resume."""
    line = [*program(), "tune", *context.params["files"]]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        source = context.get_parameter_source(option.name or "")
        if not isinstance(option, click.Option) or source is not ParameterSource.COMMANDLINE:
            continue
        if option.is_flag:
            line += [option.opts[-1]]
        else:
            for one in (value or ()) if option.multiple else (value,):
                line += [option.opts[-1], str(one)]
    return shlex.join(line if "--resume" in line else [*line, "--resume"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, put together from the command line."""

    arms: list[Arm]
    settings: dict[str, Any]
    folder: Path
    by_time: bool
    """Whether trials are as long as the budget allows."""


def _tune(options: dict[str, Any], given: dict[str, Any], again: str) -> int:
    """Compare, and say of Ctrl-C, and of faulty data, what there is to go on with. Raises RunnerError, RuleError."""
    from layerlr_dsl.runner.errors import DataFault

    url = options["storage"] or f"sqlite:///{options['out'] / 'study.db'}"
    begun: list[Search] = []
    try:
        return _compare(options, given, url, begun)
    except KeyboardInterrupt:
        raise _stopped(begun, url, again, resumed=options["resume"]) from None
    except DataFault as fault:
        if not begun:
            raise
        raise DataFault(fault.message, f"{fault.help or 'mend the data'}; then go on with:", again) from fault


def _compare(options: dict[str, Any], given: dict[str, Any], url: str, begun: list[Search]) -> int:
    """All of it, from the command line to the files that are left; the search goes into `begun` once it is there."""
    from layerlr_dsl.runner.files import make_folder
    from layerlr_dsl.runner.stock import Stock
    from layerlr_dsl.tuning import budget as times
    from layerlr_dsl.tuning.preflight import look
    from layerlr_dsl.tuning.running import Runner
    from layerlr_dsl.tuning.search import Search
    from layerlr_dsl.tuning.storage import engine

    seconds = None if options["budget"] is None else times.parse(options["budget"])
    budget = times.Budget(seconds)
    engine()
    _check_output(options["output"])
    if "data" not in given:
        raise Refusal("give the data to try the files on: --data SPEC", "for a first try: --data digits")
    plan = _planned(options, given)
    seed = int(options["seed"] or 0)
    runner = Runner(plan.settings, seed, Stock(plan.settings.get("feature_memory", 1024)))
    subject = look(plan.arms, runner, seed)
    settings = _settings(options, plan, subject, seconds)
    _announce(plan, subject, settings)
    make_folder(plan.folder)
    search = Search(plan.arms, runner, settings, budget, url, _say)
    begun.append(search)
    if plan.by_time:
        _say(_lengthened(search, plan, runner, settings, budget))
    return _finish(search.run(), plan, subject, options)


def _stopped(begun: list[Search], url: str, again: str, *, resumed: bool) -> RunInterrupted:
    """What to say of Ctrl-C: before there is a study, nothing is kept."""
    from layerlr_dsl.runner.errors import RunInterrupted

    number = (begun[0].interrupts.asked if begun else 0) or 2
    if not begun and not resumed:
        return RunInterrupted("stopped; nothing was saved", None, number)
    return RunInterrupted(f"stopped; all trials that are done are in {url}", "go on with:", number, again)


def _check_output(output: str | None) -> None:
    """See before hours of trials that there will be room for the winner. Raises RunnerError."""
    from layerlr_dsl.runner.files import make_folder

    if output is None:
        return
    path = Path(output)
    if output == "-" or path.is_dir():
        raise Refusal(f"-o {output}: the winner is a rule file", f"give its name: -o {path / 'best.lr'}")
    make_folder(path.parent, "-o")


def _lengthened(search: Search, plan: Plan, runner: Runner, settings: Settings, budget: Budget) -> str:
    """Let the time decide how long the trials are; how long that is."""
    from layerlr_dsl.tuning import lengths

    share = lengths.share_of(plan.arms, settings.seeds, settings.finalists)
    return lengths.text(
        search.lengthen(lambda: lengths.measured(plan.arms, runner.pilot, share, budget, search.heed))
    )


def _planned(options: dict[str, Any], given: dict[str, Any]) -> Plan:
    settings = dict(given)
    if "epochs" in settings and "steps" in settings:
        raise click.UsageError("--epochs and --steps both give the length of a trial: give one of them.")
    if "epochs" in settings:
        settings["epochs"] = float(settings["epochs"])
    if settings.get("root"):
        settings["root"] = Path(settings["root"])
    settings.pop("seed", None)
    files = _named(options["files"])
    by_time = _set_length(settings, files, timed=options["budget"] is not None)
    arms = _arms(options, settings, files)
    return Plan(arms, settings, options["out"], by_time)


def _named(files: tuple[str, ...]) -> dict[str, Path]:
    """The files by short names: their own without the ending, or paths where those are the same."""
    from layerlr_dsl.cli.inputs import RECIPE, recipe_path

    paths = [
        recipe_path(file.removeprefix(RECIPE)) if file.startswith(RECIPE) else Path(file) for file in files
    ]
    stems = [path.stem for path in paths]
    named = {
        stem if stems.count(stem) == 1 else str(path): path for stem, path in zip(stems, paths, strict=True)
    }
    if len(named) < len(files):
        raise Refusal("a file is given twice")
    return named


def _set_length(settings: dict[str, Any], files: dict[str, Path], *, timed: bool) -> bool:
    """The length of every trial: as given, or as all files have it; whether it is left to the time instead."""
    from layerlr_dsl.tuning.arms import rules_of

    if "epochs" in settings or "steps" in settings:
        return False
    if not files:
        settings["epochs"] = float(EPOCHS)
        return timed
    rules = [rules_of(path, settings.get("root")) for path in files.values()]
    lengths = {(one.epochs, one.steps) for one in rules}
    if timed and lengths == {(None, None)}:
        settings["epochs"] = float(EPOCHS)
        return True
    if len(lengths) > 1 or lengths == {(None, None)}:
        raise Refusal(
            "the files do not give one length for all trials", "give it with --epochs N or --steps N"
        )
    epochs, steps = lengths.pop()
    settings.update({"epochs": epochs} if epochs is not None else {"steps": steps})
    return False


def _arms(options: dict[str, Any], settings: dict[str, Any], files: dict[str, Path]) -> list[Arm]:
    """What competes, the plain rate first."""
    from layerlr_dsl.tuning import family
    from layerlr_dsl.tuning.arms import Arm, arms_of
    from layerlr_dsl.tuning.ranges import Range, is_range, parse

    lets = each_once(parse(text) if is_range(text) else _constant(text) for text in options["lets"])
    ranges = {name: value for name, value in lets.items() if isinstance(value, Range)}
    fixed = {name: value for name, value in lets.items() if name not in ranges}
    own = {} if files and options["no_baseline"] else _family(options, settings, files)
    both = {**own, **files}
    arms = arms_of(both, ranges, fixed, settings.get("root"))
    # where nothing is said, the base rate of what was written here is searched
    return [
        Arm(arm.name, arm.rules, {**family.rates(arm.name), **arm.ranges}, arm.fixed)
        if arm.name in own and arm.name not in files and "base" not in arm.fixed
        else arm
        for arm in arms
    ]


def _constant(text: str) -> tuple[str, object]:
    from layerlr_dsl.language.lets import literal
    from layerlr_dsl.tuning.ranges import HELP

    name, sign, written = text.partition("=")
    value = literal(written) if sign else None
    if value is None or not name.strip().isidentifier():
        raise Refusal(f"--let {text!r} is neither a range nor a constant", HELP)
    return name.strip(), value


def _family(options: dict[str, Any], settings: dict[str, Any], files: dict[str, Path]) -> dict[str, Path]:
    """The files that are written for the model: all of the family, or one rate beside the user's own."""
    from layerlr_dsl.cli.named import as_named
    from layerlr_dsl.cli.resolving import load_inventory, stated_inventory
    from layerlr_dsl.tuning import family
    from layerlr_dsl.tuning.arms import rules_of

    if family.BASELINE in files:
        return {}
    spec, folder = settings.get("model"), options["out"] / "rules"
    if spec is not None:
        inventory = stated_inventory(spec)
    else:
        rules = {path: rules_of(path, settings.get("root")).model for path in files.values()}
        path, spec = next(((path, spec) for path, spec in rules.items() if spec), (None, None))
        if spec is None or path is None:
            raise Refusal("no file names a model", "give one with --model SPEC")
        from layerlr_dsl.model.specs import located

        root = settings.get("root") or path.parent
        inventory = load_inventory(located(spec, path.parent, root), root, False)
    target = str(folder / "plain.lr")
    named, nameable = as_named(spec, target)
    styles = (family.BASELINE,) if files else family.STYLES
    return family.write(inventory, named, nameable, settings.get("epochs"), folder, styles)


def _settings(options: dict[str, Any], plan: Plan, subject: Subject, seconds: float | None) -> Settings:
    from layerlr_dsl.tuning.trials import Settings

    usual = None if seconds is not None else 8
    left_out = ("device", "workers", *(["epochs"] if plan.by_time else []))
    told = {key: str(value) for key, value in plan.settings.items() if key not in left_out}
    return Settings(
        name=options["name"],
        trials=options["trials"] or usual,
        seeds=options["seeds"],
        finalists=options["finalists"],
        seed=int(options["seed"] or 0),
        metric=subject.metric.name,
        rising=subject.metric.rising,
        share=subject.metric.share,
        resume=options["resume"],
        facts=told,
        where=options["storage"] or str(plan.folder),
    )


def _announce(plan: Plan, subject: Subject, settings: Settings) -> None:
    _say(f"{subject.model}; {subject.data}")
    many = "as many as the budget allows" if settings.trials is None else str(settings.trials)
    names = ", ".join(arm.name for arm in plan.arms)
    _say(f"comparing {names}; trials of {_length(plan)}, {many} for each file")
    for note in subject.notes:
        _say(note)
    still = [arm.name for arm in plan.arms if not arm.ranges]
    if still:
        _say(f"compared as they stand, nothing being searched in them by --let: {', '.join(still)}")


def _length(plan: Plan) -> str:
    """`6 epochs`: how long a trial is."""
    if plan.by_time:
        return "equal time"
    name = "epochs" if plan.settings.get("epochs") else "steps"
    return plural(plan.settings[name], name[:-1])


def _say(text: str) -> None:
    click.echo(escape(text))


def _finish(outcome: Outcome, plan: Plan, subject: Subject, options: dict[str, Any]) -> int:
    from layerlr_dsl.tuning.results import write_results

    write("\n".join(["", *render(outcome, Screen.of_stdout())]))
    how = _how(plan, subject, outcome)
    root = plan.settings.get("root")
    for line in write_results(outcome, how, plan.folder, options["output"], root, subject.model):
        _say(line)
    return 0


def _how(plan: Plan, subject: Subject, outcome: Outcome) -> list[str]:
    """What was done, for the comments of the winner."""
    said = [f"{subject.model} on {subject.data}; trials of {_length(plan)}"]
    weights = plan.settings.get("weights")
    return [*said, f"weights {weights}"] if weights else said


# ---------------------------------------------------------------- what is printed


def render(outcome: Outcome, screen: Screen) -> list[str]:
    """Lines that fit the screen."""
    from layerlr_dsl.render.table import Column, table
    from layerlr_dsl.tuning.verdict import headings, rows, verdict

    columns = [
        Column(title, right=place > 1, elastic=place < 2) for place, title in enumerate(headings(outcome))
    ]
    lines = table(columns, rows(outcome), screen)
    lines.append("")
    for sentence in verdict(outcome):
        lines += wrap(sentence, screen.width, 0, "  ")
    return lines
