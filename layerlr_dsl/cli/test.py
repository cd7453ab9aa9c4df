"""`layerlr test PATH...`: the `expect` statements of rule files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import click

from layerlr_dsl.cli.checking import Checker
from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.options import clock_options, model_option, root_option
from layerlr_dsl.cli.render.text import labelled, render_all
from layerlr_dsl.cli.terminal import Screen, write, write_error
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.plan.expect import Outcome, run_expectations
from layerlr_dsl.reports.cells import escape
from layerlr_dsl.reports.words import count


@dataclass(frozen=True, slots=True)
class Tested:
    """One rule file: the outcome of each `expect`, or why there are none."""

    entry: Input
    outcomes: tuple[Outcome, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    problem: str | None = None

    @property
    def failures(self) -> tuple[Diagnostic, ...]:
        return tuple(outcome.failure for outcome in self.outcomes if outcome.failure is not None)


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@model_option()
@clock_options
@root_option
@click.option("--junit", metavar="FILE", help="Write the results as JUnit XML too.")
def command(
    paths: tuple[str, ...],
    model: str | None,
    epochs: Fraction | None,
    steps_per_epoch: int | None,
    root: str | None,
    junit: str | None,
) -> int:
    """Run the `expect` statements of rule files, all of them, and show what each found.

    \b
    Examples of such statements:
        expect layer4.0.conv1.weight lr == 1e-4
        expect layer1 frozen at epoch 4
        expect trainable < 10% at epoch 0

    \b
    Examples:
        layerlr test rules
        layerlr test my.lr --model timm:resnet50 --junit results.xml
    """
    checker = Checker(model, epochs, steps_per_epoch, lenient=False)
    results = [run(entry, checker) for entry in gather(paths, root)]
    for result in results:
        _report(result)
    if junit is not None:
        from layerlr_dsl.cli.files import write_atomically
        from layerlr_dsl.cli.render.junit import render

        write_atomically(junit, render(results))
    write(summary(results))
    return status(results)


def run(entry: Input, checker: Checker) -> Tested:
    """Check one file and run its expectations; nothing is printed. Raises Refusal."""
    try:
        checked = checker.check(entry, entry.read())
    except Unreadable as fault:
        return Tested(entry, problem=str(fault))
    if has_errors(checked.findings):
        return Tested(entry, errors=tuple(f for f in checked.findings if f.severity == "error"))
    if not checked.rules.expectations:
        return Tested(entry)
    if checked.plan is None:
        return Tested(entry, problem=f"{entry.name}: its expectations need a model; give one with --model")
    return Tested(entry, tuple(run_expectations(checked.plan)))


def status(results: Sequence[Tested]) -> int:
    if any(result.problem is not None for result in results):
        return 2
    return int(any(result.errors or result.failures for result in results))


def summary(results: Sequence[Tested]) -> str:
    """`2 files: 5 passed, 1 failed`."""
    failed = sum(len(result.failures) for result in results)
    passed = sum(len(result.outcomes) for result in results) - failed
    broken = sum(bool(result.errors) for result in results)
    unusable = sum(result.problem is not None for result in results)
    parts = [f"{passed} passed"] if passed or not (failed or broken or unusable) else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{broken} with errors"] if broken else []
    parts += [f"{unusable} unusable"] if unusable else []
    return f"{count(len(results), 'file')}: {', '.join(parts)}"


def _report(result: Tested) -> None:
    screen = Screen.of_stderr()
    name = escape(result.entry.name)
    if result.problem is not None:
        write_error("\n".join(labelled("error", result.problem, screen)))
    elif result.errors:
        write_error(render_all(result.errors, screen) + "\n")
    elif result.failures:
        write_error(render_all(result.failures, screen) + "\n")
    if result.outcomes:
        passed = len(result.outcomes) - len(result.failures)
        write(f"{name}: {passed} of {len(result.outcomes)} passed")
