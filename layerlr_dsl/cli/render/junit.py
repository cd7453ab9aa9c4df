"""Results of `expect` statements as JUnit XML, one suite a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as xml

from layerlr_dsl.cli.render.text import render as render_finding
from layerlr_dsl.cli.terminal import Screen
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.tools.printable import escape

if TYPE_CHECKING:
    from layerlr_dsl.cli.test import Tested


def render(results: Sequence[Tested]) -> str:
    """The whole document, to be written as UTF-8."""
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
    fault.text = "\n" + render_finding(finding, Screen()) + "\n"
