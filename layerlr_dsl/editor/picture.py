"""The picture of a document beside it: the page of `layerlr view`, and what is new for it after a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from layerlr_dsl.editor.analysis import Looked, Models, Request, look, plan_of
from layerlr_dsl.language.diagnostics import has_errors
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plots import html
from layerlr_dsl.plots.network import drawing
from layerlr_dsl.render import news

_UNSAID = {
    "none": 'the file names no model: write `model "..."` in it',
    "missing": "the model of the file is not built yet",
}
"""By state of the model: why nothing is drawn, where no finding says so."""


def page(request: Request, models: Models) -> str:
    """The whole page, which is told of news by messages."""
    return html.following(request.name, told(request, models, before=False))


def told(request: Request, models: Models, before: bool) -> dict[str, Any]:
    """The news of a document, as `layerlr view` has them; `before` says whether a picture is shown already."""
    looked = look(request, models)
    if looked.known is None or has_errors(looked.found):
        said = () if has_errors(looked.found) else (news.fault(_UNSAID[looked.state]),)
        return news.undrawn(looked.found, before, *said)
    plan, supposed = _plan(looked, request)
    if has_errors(plan.diagnostics):
        return news.undrawn(plan.diagnostics, before)
    shown = html.data(drawing(plan, f"{request.name} on {looked.rules.model}"))
    return news.drawn(plan.diagnostics, shown, supposed)


def _plan(looked: Looked, request: Request) -> tuple[Plan, bool]:
    """The plan, and whether the length of the run had to be supposed."""
    assert looked.known is not None
    plan = plan_of(looked.rules, looked.known.inventory, request)
    if plan.clock.total is not None:
        return plan, False
    return plan_of(looked.rules, looked.known.inventory, replace(request, epochs=news.SUPPOSED)), True
