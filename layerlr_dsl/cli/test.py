"""`layerlr test PATH...`: the `expect` statements of rule files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import click

from layerlr_dsl.cli.checking import Checked, Checker
from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.options import clock_options, format_option, model_option, root_option
from layerlr_dsl.cli.render.text import labelled, render_all
from layerlr_dsl.cli.terminal import Screen, write, write_error
from layerlr_dsl.cli.validation import Outcome as FileOutcome
from layerlr_dsl.cli.validation import Report, once_each
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.plan.expect import Outcome, run_expectations
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import count


@record
class Tested:
    """One rule file: the outcome of each `expect`, or why there are none."""

    entry: Input
    outcomes: tuple[Outcome, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    problem: str | None = None
    checked: Checked | None = None

    @property
    def failures(self) -> tuple[Diagnostic, ...]:
        return tuple(outcome.failure for outcome in self.outcomes if outcome.failure is not None)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        return self.errors or self.failures


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@model_option()
@clock_options
@root_option
@format_option("text", "json", "github", "sarif")
@click.option("--junit", metavar="FILE", help="Write the results as JUnit XML too.")
def command(
    paths: tuple[str, ...],
    model: str | None,
    epochs: Fraction | None,
    steps_per_epoch: int | None,
    root: str | None,
    form: str,
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
        layerlr test rules --format github
    """
    checker = Checker(model, epochs, steps_per_epoch, lenient=False)
    results = [run(entry, checker) for entry in gather(paths, root)]
    if form != "text":
        from layerlr_dsl.cli.reporting import show_to_machines

        show_to_machines(report(results), form, summary(results))
    else:
        for result in results:
            _report(result)
    if junit is not None:
        from layerlr_dsl.cli.files import write_output
        from layerlr_dsl.cli.render.junit import render

        write_output(junit, render(results))
    if form == "text":
        write(summary(results))
    return status(results)


def run(entry: Input, checker: Checker) -> Tested:
    """Check one file and run its expectations; nothing is printed. Raises Refusal."""
    try:
        checked = checker.check(entry, entry.read())
    except Unreadable as fault:
        return Tested(entry, problem=str(fault))
    if has_errors(checked.findings):
        errors = tuple(f for f in checked.findings if f.severity == "error")
        return Tested(entry, errors=errors, checked=checked)
    if not checked.rules.expectations:
        return Tested(entry, checked=checked)
    if checked.plan is None:
        problem = f"{entry.name}: its expectations need a model; give one with --model"
        return Tested(entry, problem=problem, checked=checked)
    return Tested(entry, tuple(run_expectations(checked.plan)), checked=checked)


def report(results: Sequence[Tested]) -> Report:
    """The results as `validate` tells of findings: only those that fail the run are among them."""
    outcomes = []
    for result in results:
        checked = None if result.checked is None else replace(result.checked, findings=result.findings)
        outcomes.append(FileOutcome(result.entry, checked, result.problem))
    return Report(tuple(outcomes), once_each(result.findings for result in results))


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
