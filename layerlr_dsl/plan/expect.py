"""Running the `expect` statements of a file against its plan."""

from __future__ import annotations

from collections.abc import Iterator

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.check_choices import CHOICES, expected_choice
from layerlr_dsl.language.checked import CheckedExpectation
from layerlr_dsl.language.diagnostics import Diagnostic, Findings, Related, error
from layerlr_dsl.language.expressions import COMPARISONS, Fault, Value, evaluate
from layerlr_dsl.language.source import Span
from layerlr_dsl.plan.behaviour import Behaviour
from layerlr_dsl.plan.explain import explain
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.plan.stages import Fired
from layerlr_dsl.plan.timeline import Timeline
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.records import record

TOLERANCE = 1e-9


@record
class Outcome:
    """One `expect` statement: what it says, and its failure, if it failed."""

    span: Span
    text: str
    failure: Diagnostic | None


@record
class _Moment:
    tick: int
    fired: Fired
    words: str


def run_expectations(plan: Plan) -> list[Outcome]:
    """Every `expect` statement of the main file, in order."""
    return [
        Outcome(e.statement.span, e.statement.span.excerpt, _failure(plan, e))
        for e in plan.rules.expectations
    ]


def _failure(plan: Plan, expectation: CheckedExpectation) -> Diagnostic | None:
    statement = expectation.statement
    moments = _moments(plan, expectation)
    if isinstance(moments, Diagnostic):
        return moments
    for moment in moments:
        if isinstance(statement, s.ExpectCount):
            failure = _count(plan, statement, moment)
        else:
            failure = next(_parameters(plan, expectation, moment), None)
        if failure is not None:
            return failure
    return None


def _moments(plan: Plan, expectation: CheckedExpectation) -> list[_Moment] | Diagnostic:
    """When to look: at the time given, else at the start of every phase, or every tick of what moves."""
    statement, stage = expectation.statement, expectation.stage
    if statement.at is None:
        starts = [m for m in _phase_starts(plan) if not stage or plan.stage(m.tick, m.fired) == stage]
        return [*starts, *_moving_ticks(plan, statement, stage)]
    timeline = Timeline(plan.rules, plan.clock)
    timeline.events, timeline.found = list(plan.events), Findings()
    mark = timeline.mark(statement.at, timeline.window(None, stage).opens, stage)
    failed = next((found for found in timeline.found if found.severity == "error"), None)
    if failed is not None:
        return failed
    words = f"at {statement.at.span.text}"
    if mark.event is None:
        return [_Moment(timeline.tick(mark, {}), {}, words)]
    if mark.event >= len(plan.events):
        return error(
            "LR220", "no rule waits for this condition", statement.at.span, "use the condition of a rule"
        )
    last = max((phase.start for phase in plan.phases), default=0)
    return [_Moment(last, {mark.event: last}, words)]


def _moving_ticks(plan: Plan, statement: s.Expectation, stage: int) -> list[_Moment]:
    """Every tick at which an option that moves is looked at."""
    if not isinstance(statement, s.ExpectOption):
        return []
    if not any(statement.option in behaviour.moving for behaviour in plan.behaviours):
        return []
    ticks = [tick for tick in plan.looked_at() if not stage or plan.stage(tick) == stage]
    return [_Moment(tick, {}, f"at {plan.words(tick)}") for tick in ticks]


def _phase_starts(plan: Plan) -> list[_Moment]:
    return [
        _Moment(
            phase.tick,
            phase.fired,
            f"at {plan.clock.words(phase.start)}" if phase.when is None else f"when {phase.when}",
        )
        for phase in plan.phases
    ]


def _holds(found: Value, comparison: str, wanted: Value) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (found, wanted))
    if not numbers:
        if comparison not in ("==", "!="):
            return False
        return bool(COMPARISONS[comparison](_plain(found), _plain(wanted)))
    close = _near(found, wanted)
    if comparison in ("==", "<=", ">=") and close:
        return True
    if comparison in ("!=", "<", ">") and close:
        return False
    return bool(COMPARISONS[comparison](found, wanted))


def _near(a: float, b: float) -> bool:
    """Within 1e-9 of each other, relatively, so that tiny rates are told apart."""
    return a == b or abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def _plain(value: Value) -> Value:
    return tuple(value) if isinstance(value, list) else value


def _count(plan: Plan, statement: s.ExpectCount, moment: _Moment) -> Diagnostic | None:
    wanted = evaluate(statement.value, plan.decider.bare_scope)
    if statement.subject == "groups":
        found: Value = len(plan.groups)
        shown = spelled(found)
        names = ", ".join(group.name for group in plan.groups[:8])
        help = f"the groups are: {names}" + (", ..." if len(plan.groups) > 8 else "")
    else:
        states = plan.state(moment.tick, moment.fired)
        trains = sum(g.numel for g, st in zip(plan.groups, states, strict=True) if not st.frozen)
        whole = sum(g.numel for g in plan.groups)
        found = trains / whole if whole else 0.0
        shown = f"{spelled(100 * found, 4)}%"
        help = f"{trains:,} of {whole:,} elements train"
    if _holds(found, statement.operator, wanted):
        return None
    what = f"`{statement.subject}` is {shown} {moment.words if statement.subject == 'trainable' else ''}".rstrip()
    written = f"{statement.operator} {statement.value.span.text}"
    return error("LR220", f"expected {statement.subject} {written}, but {what}", statement.span, help)


def _parameters(plan: Plan, expectation: CheckedExpectation, moment: _Moment) -> Iterator[Diagnostic]:
    statement, selector = expectation.statement, expectation.selector
    assert selector is not None
    assert not isinstance(statement, s.ExpectCount)
    decider = plan.decider
    kinds = plan.matches.classes
    for number, kind in enumerate(kinds):
        bindings = decider.decide(kind, selector)
        if bindings is None:
            continue
        behaviour = plan.behaviours[plan.behaviour_of_class[number]]
        state = behaviour.freeze(moment.tick, moment.fired)
        if isinstance(statement, s.ExpectState):
            if state.frozen is not statement.frozen:
                was = "is frozen" if not statement.frozen else "trains"
                want = "to be frozen" if statement.frozen else "to train"
                message = f"expected `{kind.row.name}` {want}, but it {was} {moment.words}"
                yield _fail(plan, statement, kind.row.name, "frozen", message, moment)
            continue
        if statement.option in CHOICES:
            yield from _choice(plan, statement, kind.row.name, behaviour, moment)
            continue
        options = behaviour.options(moment.tick, moment.fired)
        if statement.option not in options:
            near = nearest(statement.option, options)
            help = f"did you mean `{near}`?" if near else None
            info = plan.optimizers[behaviour.optimizer].info
            yield error(
                "LR103", f"{info.name} has no option `{statement.option}`", statement.option_span, help
            )
            continue
        try:
            wanted = evaluate(statement.value, decider.scope(selector, bindings, kind.row))
        except Fault as fault:
            yield fault.finding(f"{fault.message}, for `{kind.row.name}`")
            continue
        found = options[statement.option]
        if not _holds(found, statement.operator, wanted):
            written = f"{statement.option} {statement.operator} {spelled(wanted)}"
            message = f"expected {written} for `{kind.row.name}`, but its {statement.option} is {spelled(found)} {moment.words}"
            yield _fail(plan, statement, kind.row.name, statement.option, message, moment)


def _choice(
    plan: Plan, statement: s.ExpectOption, name: str, behaviour: Behaviour, moment: _Moment
) -> Iterator[Diagnostic]:
    """The optimizer or schedule by name; a schedule also by its whole text."""
    wanted = expected_choice(statement) or ""
    if statement.option == "optimizer":
        info = optimizers.find(wanted)
        choice = plan.optimizers[behaviour.optimizer]
        shown = choice.called
        same = shown == wanted or (info is not None and info.name == choice.info.name)
    else:
        schedule = behaviour.schedule_at(moment.tick, moment.fired)
        shown = "constant" if schedule is None else schedule.text()
        same = wanted.replace(" ", "") in (shown.replace(" ", ""), shown.partition("(")[0])
    if same is (statement.operator != "=="):
        message = (
            f"expected {statement.option} {statement.operator} {wanted} for `{name}`, but its "
            f"{statement.option} is {shown}"
        )
        yield _fail(plan, statement, name, statement.option, message, moment)


def _fail(
    plan: Plan, statement: s.Expectation, name: str, option: str, message: str, moment: _Moment
) -> Diagnostic:
    told = explain(plan, name, moment.tick, moment.fired).options.get(option)
    winners = [] if told is None else [step for step in told.steps if step.status == "wins"]
    related = (Related("this rule decides", winners[-1].span),) if winners else ()
    defaults = {"frozen": None, "schedule": "the file gives no schedule", "optimizer": "no rule chooses one"}
    help = None if winners else defaults.get(option, "no rule says so: it is the optimizer's default")
    return error("LR220", message, statement.span, help, related=related)
