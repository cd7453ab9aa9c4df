"""`layerlr test PATH...`: the `expect` statements of rule files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as xml

import click

from layerlr_dsl.cli.inputs import Input, gather
from layerlr_dsl.cli.options import Models, Run, format_option, models_option, root_option, run_options
from layerlr_dsl.cli.outputs import write_output
from layerlr_dsl.cli.printing import show_to_machines
from layerlr_dsl.cli.report import Outcome as FileOutcome
from layerlr_dsl.cli.report import Report, once_each
from layerlr_dsl.cli.resolving import Resolved, Resolver
from layerlr_dsl.cli.terminal import Screen, write, write_error
from layerlr_dsl.language.diagnostics import Diagnostic, has_errors
from layerlr_dsl.language.files import Unreadable
from layerlr_dsl.plan.expect import Outcome, run_expectations
from layerlr_dsl.render.text import labelled, render, render_all
from layerlr_dsl.tools.numbers import plural
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record


@record
class Tested:
    """One rule file: the outcome of each `expect`, or why there are none."""

    entry: Input
    outcomes: tuple[Outcome, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    problem: str | None = None
    resolved: Resolved | None = None

    @property
    def failures(self) -> tuple[Diagnostic, ...]:
        return tuple(outcome.failure for outcome in self.outcomes if outcome.failure is not None)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        return self.errors or self.failures


@click.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@models_option
@run_options
@root_option
@format_option("text", "json", "github", "sarif")
@click.option("--junit", metavar="FILE", help="Write the results as JUnit XML too.")
def command(
    paths: tuple[str, ...],
    model: Models | None,
    run: Run,
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
    resolver = Resolver(model, run, lenient=False)
    results = [tested(entry, resolver) for entry in gather(paths, root)]
    resolver.refuse_unknown()
    if form != "text":
        show_to_machines(report(results), form, summary(results))
    else:
        for result in results:
            _report(result)
    if junit is not None:
        write_output(junit, as_junit(results))
    if form == "text":
        write(summary(results))
    return status(results)


def tested(entry: Input, resolver: Resolver) -> Tested:
    """Check one file and run its expectations; nothing is printed. Raises Refusal."""
    try:
        resolved = resolver.resolve(entry, entry.read())
    except Unreadable as fault:
        return Tested(entry, problem=str(fault))
    if has_errors(resolved.findings):
        errors = tuple(f for f in resolved.findings if f.severity == "error")
        return Tested(entry, errors=errors, resolved=resolved)
    if not resolved.rules.expectations:
        return Tested(entry, resolved=resolved)
    if resolved.plan is None:
        problem = f"{entry.name}: its expectations need a model; give one with --model"
        return Tested(entry, problem=problem, resolved=resolved)
    return Tested(entry, tuple(run_expectations(resolved.plan)), resolved=resolved)


def report(results: Sequence[Tested]) -> Report:
    """The results as `validate` tells of findings: only those that fail the run are among them."""
    outcomes = []
    for result in results:
        resolved = None if result.resolved is None else replace(result.resolved, findings=result.findings)
        outcomes.append(FileOutcome(result.entry, resolved, result.problem))
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
    nothing = not (passed or failed or broken or unusable)
    parts = ["no `expect` statements"] if nothing else [f"{passed} passed"] * bool(passed)
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{broken} with errors"] if broken else []
    parts += [f"{unusable} unusable"] if unusable else []
    return f"{plural(len(results), 'file')}: {', '.join(parts)}"


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


# ---------------------------------------------------------------- JUnit


def as_junit(results: Sequence[Tested]) -> str:
    """The results as JUnit XML, one suite a file, to be written as UTF-8."""
    root = xml.Element("testsuites", name="layerlr")
    for result in results:
        name = escape(result.entry.name)
        broken = len(result.errors) + (result.problem is not None)
        suite = xml.SubElement(
            root,
            "testsuite",
            name=name,
            tests=str(len(result.outcomes) + broken),
            failures=str(len(result.failures)),
            errors=str(broken),
        )
        for outcome in result.outcomes:
            case = _case(suite, name, outcome.text, outcome.span.first.line)
            if outcome.failure is not None:
                _fault(case, "failure", outcome.failure)
        for finding in result.errors:
            line = finding.span.first.line if finding.span is not None else 0
            _fault(_case(suite, name, finding.code, line), "error", finding)
        if result.problem is not None:
            xml.SubElement(_case(suite, name, "unusable", 0), "error", message=escape(result.problem))
    xml.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{xml.tostring(root, encoding="unicode")}\n'


def _case(suite: xml.Element, file: str, name: str, line: int) -> xml.Element:
    return xml.SubElement(suite, "testcase", classname=file, name=escape(name), file=file, line=str(line))


def _fault(case: xml.Element, tag: str, finding: Diagnostic) -> None:
    fault = xml.SubElement(case, tag, type=finding.code, message=escape(finding.message))
    fault.text = "\n" + render(finding, Screen()) + "\n"
