"""From a syntax tree to tokens: the plainest printer, for tests that go from a tree to text and back.

Two neighbouring tokens are valid with a space between them. It shares no code with the package.
"""

from __future__ import annotations

from typing import Any

from layerlr_dsl.language import syntax as s

LEVELS = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "mod": 6,
    "sign": 7,
    "^": 8,
}
ATOM = 9


def text(node: Any) -> str:
    return " ".join(tokens(node))


def tokens(node: Any) -> list[str]:
    """The tokens of any node; nested tuples are joined with commas."""
    return WRITERS[type(node)](node)


def level(node: Any) -> int:
    if isinstance(node, s.Arithmetic | s.Logic):
        return LEVELS[node.operator]
    if isinstance(node, s.Comparison | s.Is | s.Matches):
        return LEVELS["compare"]
    if isinstance(node, s.Negative):
        return LEVELS["sign"]
    return LEVELS["not"] if isinstance(node, s.Not) else ATOM


def at_least(node: Any, least: int) -> list[str]:
    """The tokens of an operand, in parentheses where it binds less than `least`."""
    written = tokens(node)
    return written if level(node) >= least else ["(", *written, ")"]


def listed(nodes: Any) -> list[str]:
    out: list[str] = []
    for node in nodes:
        out += [*([","] if out else []), *tokens(node)]
    return out


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def binary(node: Any) -> list[str]:
    own = level(node)
    left, right = (own + 1, LEVELS["sign"]) if node.operator == "^" else (own, own + 1)
    return [*at_least(node.left, left), node.operator, *at_least(node.right, right)]


def comparison(node: s.Comparison) -> list[str]:
    return [*at_least(node.left, 5), node.operator, *at_least(node.right, 5)]


def is_word(node: s.Is) -> list[str]:
    return [*at_least(node.subject, 5), "is", node.word if node.word.isidentifier() else quoted(node.word)]


def one_tuple(node: s.Tuple) -> list[str]:
    return ["(", *listed(node.items), *([","] if len(node.items) == 1 else []), ")"]


def count(node: Any) -> list[str]:
    """A number, a name or anything else in parentheses."""
    plain = isinstance(node, s.Number | s.Name) or (
        isinstance(node, s.Negative) and isinstance(node.operand, s.Number)
    )
    return tokens(node) if plain else ["(", *tokens(node), ")"]


def moment(node: s.Moment) -> list[str]:
    if node.unit == "percent":
        return percent(node.value)
    return [node.unit, *count(node.value)]


def percent(value: Any) -> list[str]:
    *first, last = count(value)
    return [*first, last + "%"]


def duration(node: s.Duration) -> list[str]:
    return percent(node.value) if node.unit == "percent" else [*count(node.value), node.unit]


def condition(node: s.Condition) -> list[str]:
    metric = node.metric if node.metric.isidentifier() else quoted(node.metric)
    delta = ["by", *count(node.delta)] if node.delta else []
    return [metric, "stops", node.direction, "for", *count(node.patience), "epochs", *delta]


def window(node: s.Window) -> list[str]:
    opens = ["from", *tokens(node.opens)] if node.opens else []
    return opens + (["until", *tokens(node.closes)] if node.closes else [])


def selector(node: s.Selector) -> list[str]:
    out = listed(node.include)
    out += ["except", *listed(node.exclude)] if node.exclude else []
    return out + (["where", *tokens(node.where)] if node.where else [])


def argument(node: s.Argument) -> list[str]:
    value = node.value
    if isinstance(value, tuple):
        return [node.name, "=", "(", *listed(value), *([","] if len(value) == 1 else []), ")"]
    return [node.name, "=", *tokens(value)]


def factory(node: s.Factory) -> list[str]:
    return [node.name, "(", *listed(node.arguments), ")"] if node.arguments else [node.name]


def setting(node: s.Setting) -> list[str]:
    value = tokens(node.value) if node.value is not None else []
    return [quoted(node.option) if node.quoted else node.option, *(["*="] if node.multiply else []), *value]


def rule(node: s.RuleStatement) -> list[str]:
    return [
        *selector(node.selector),
        "->",
        *listed(node.settings),
        *(window(node.window) if node.window else []),
    ]


def freeze(node: s.FreezeStatement) -> list[str]:
    updating = ["updating", "statistics"] if node.updating_statistics else []
    within = window(node.window) if node.window else []
    return ["freeze", *selector(node.selector), *updating, *within, *thaw(node)]


def thaw(node: Any) -> list[str]:
    return ["warmup", *tokens(node.warmup)] if node.warmup else []


def between(word: str, nodes: Any) -> list[str]:
    out: list[str] = []
    for node in nodes:
        out += [*([word] if out else []), *tokens(node)]
    return out


def turn(node: s.Turn) -> list[str]:
    by = ["by", node.by] if node.by else []
    return [*selector(node.selector), *by, *(["descending"] if node.descending else [])]


def part(node: s.SchedulePart) -> list[str]:
    return [*factory(node.factory), *(["for", *duration(node.length)] if node.length else [])]


def call(node: s.Call) -> list[str]:
    return [node.function, "(", *listed((*node.arguments, *node.keywords)), ")"]


def optimizer(node: s.OptimizerStatement) -> list[str]:
    return ["optimizer", *([node.name, "="] if node.name else []), *factory(node.factory)]


def stage(node: s.StageStatement) -> list[str]:
    length = ["for", *duration(node.length)] if node.length else []
    until = ["until", *condition(node.until)] if node.until else []
    return ["stage", node.name, *length, *until, *([",", "fresh", "optimizer"] if node.fresh else [])]


def freeze_statistics(node: s.FreezeStatisticsStatement) -> list[str]:
    within = window(node.window) if node.window else []
    return ["freeze", "statistics", "of", *selector(node.selector), *within]


def sequence(node: s.UnfreezeSequenceStatement) -> list[str]:
    out = ["unfreeze", *between("then", node.turns)]
    starting = ["starting", "at", *tokens(node.start)] if node.start else []
    return [*out, "every", *tokens(node.every), *starting, *thaw(node)]


def at(node: Any) -> list[str]:
    return ["at", *tokens(node.at)] if node.at else []


def expect_option(node: s.ExpectOption) -> list[str]:
    compared = [node.option, node.operator, *at_least(node.value, 5)]
    return ["expect", *selector(node.selector), *compared, *at(node)]


def expect_count(node: s.ExpectCount) -> list[str]:
    return ["expect", node.subject, node.operator, *at_least(node.value, 5), *at(node)]


WRITERS: dict[type, Any] = {
    s.Number: lambda n: [n.text + "%" * n.percent],
    s.String: lambda n: [quoted(n.value)],
    s.Boolean: lambda n: ["true" if n.value else "false"],
    s.Name: lambda n: [n.name],
    s.Tuple: one_tuple,
    s.Negative: lambda n: ["-", *at_least(n.operand, LEVELS["sign"])],
    s.Arithmetic: binary,
    s.Logic: binary,
    s.Comparison: comparison,
    s.Not: lambda n: ["not", *at_least(n.operand, LEVELS["not"])],
    s.Is: is_word,
    s.Matches: lambda n: [*at_least(n.subject, 5), "matches", *tokens(n.pattern)],
    s.Call: call,
    s.GroupCapture: lambda n: ["@" + n.group + ("." + n.capture if n.capture else "")],
    s.Subscript: lambda n: [n.name, "[", *tokens(n.index), "]"],
    s.Moment: moment,
    s.Duration: duration,
    s.Condition: condition,
    s.Regex: lambda n: ["/" + n.pattern.replace("/", "\\/") + "/"],
    s.Pattern: lambda n: [quoted(n.text) if n.quoted else n.text],
    s.GroupRef: lambda n: ["@" + n.name],
    s.Argument: argument,
    s.Factory: factory,
    s.SchedulePart: part,
    s.ScheduleSequence: lambda n: between("then", n.parts),
    s.Turn: turn,
    s.Setting: setting,
    s.VersionStatement: lambda n: ["version", *tokens(n.number)],
    s.ModelStatement: lambda n: ["model", *tokens(n.spec)],
    s.EpochsStatement: lambda n: ["epochs", *tokens(n.value)],
    s.IncludeStatement: lambda n: ["include", *tokens(n.path)],
    s.LetStatement: lambda n: ["let", n.name, "=", *tokens(n.value)],
    s.GroupStatement: lambda n: ["group", n.name, "=", *selector(n.selector)],
    s.StepsStatement: lambda n: ["steps", *tokens(n.value)],
    s.StepsPerEpochStatement: lambda n: ["steps_per_epoch", *tokens(n.value)],
    s.OptimizerStatement: optimizer,
    s.ScheduleStatement: lambda n: ["schedule", *tokens(n.sequence)],
    s.StageStatement: stage,
    s.AfterStagesStatement: lambda n: ["after", "stages"],
    s.RuleStatement: rule,
    s.FreezeStatement: freeze,
    s.FreezeStatisticsStatement: freeze_statistics,
    s.UnfreezeStatement: lambda n: ["unfreeze", *selector(n.selector), *at(n), *thaw(n)],
    s.UnfreezeSequenceStatement: sequence,
    s.ExpectOption: expect_option,
    s.ExpectState: lambda n: ["expect", *selector(n.selector), "frozen" if n.frozen else "trains", *at(n)],
    s.ExpectCount: expect_count,
}
