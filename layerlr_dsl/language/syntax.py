"""The syntax tree of a rule file: what was written, and where, before anyone asks what it means.

Every node keeps its span. Names, units, options and patterns are kept as they were typed;
whether they exist is judged later, where a near miss can be named.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypeAlias

from layerlr_dsl.language.source import Source, Span
from layerlr_dsl.tools.records import record

# ---------------------------------------------------------------- expressions


@record
class Number:
    """`1e-4`, or `5%` when `percent`; `value` is exact, since time is counted in exact decimals."""

    span: Span
    text: str
    percent: bool = False

    @property
    def exact(self) -> Fraction:
        value = Fraction(self.text)
        return value / 100 if self.percent else value

    @property
    def value(self) -> int | float:
        if self.percent:
            return float(self.text) / 100
        return int(self.text) if self.text.isdigit() else float(self.text)


@record
class String:
    span: Span
    value: str


@record
class Boolean:
    span: Span
    value: bool


@record
class Name:
    """A bare word: a `let`, a capture, an attribute of a parameter, or a word such as `float32`."""

    span: Span
    name: str


@record
class Tuple:
    span: Span
    items: tuple[Expression, ...]


@record
class Negative:
    span: Span
    operand: Expression


@record
class Arithmetic:
    """`left OP right`. Chains lean to the left except `^`, which leans to the right."""

    span: Span
    operator: Literal["+", "-", "*", "/", "^", "mod"]
    left: Expression
    right: Expression


@record
class Comparison:
    span: Span
    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Expression
    right: Expression


@record
class Logic:
    """`a and b`, `a or b`. Chains lean to the left."""

    span: Span
    operator: Literal["and", "or"]
    left: Expression
    right: Expression


@record
class Not:
    span: Span
    operand: Expression


@record
class Is:
    """`module is norm`, `module is Conv2d`, `dtype is float32`; `word` as typed, quotes removed."""

    span: Span
    subject: Expression
    word: str
    word_span: Span


@record
class Matches:
    """`name matches /re/`."""

    span: Span
    subject: Expression
    pattern: Regex


@record
class Call:
    """A function of expressions: `max(a, b)`, `last(i)`, `last(@blocks)`.

    `keywords` are those of `ramp(..., shape=cosine)` and of a schedule that is called as a function.
    """

    span: Span
    function: str
    function_span: Span
    arguments: tuple[Expression, ...]
    keywords: tuple[Argument, ...] = ()


@record
class Subscript:
    """`shape[0]`, or an element of a `let` that is a tuple: `rates[i]`."""

    span: Span
    name: str
    index: Expression


@record
class GroupCapture:
    """`@blocks` or `@blocks.i` as the argument of `last`, `first` or `count`; names are without the signs."""

    span: Span
    group: str
    capture: str | None = None


@record
class Duration:
    """`200 steps`, `2 epochs`, `5%` of the run (value 5, unit percent)."""

    span: Span
    value: Expression
    unit: Literal["epochs", "steps", "percent"]


Expression: TypeAlias = (
    Number
    | String
    | Boolean
    | Name
    | Tuple
    | Negative
    | Arithmetic
    | Comparison
    | Logic
    | Not
    | Is
    | Matches
    | Call
    | Subscript
    | GroupCapture
    | Duration
)
"""A Duration stands only inside the tuples that `ramp` takes as its points."""

# ---------------------------------------------------------------- time


@record
class Moment:
    """`epoch N`, `step N` or `N%`: a place on the clock."""

    span: Span
    unit: Literal["epoch", "step", "percent"]
    value: Expression  # for percent: the number in front of the sign, so 50 for `50%`


@record
class Condition:
    """`METRIC stops falling|rising for N epochs [by D]`."""

    span: Span
    metric: str
    direction: Literal["falling", "rising"]
    patience: Expression
    delta: Expression | None = None


Time: TypeAlias = Moment | Condition


@record
class Window:
    """`[from TIME] [until TIME]`; a missing end is None."""

    span: Span
    opens: Time | None
    closes: Time | None


# ---------------------------------------------------------------- selectors


@record
class Regex:
    """`/.../`; `pattern` is what stands between the slashes, `\\/` already turned into `/`."""

    span: Span
    pattern: str


@record
class Pattern:
    """A dotted pattern. `text` is without quotes; `quoted` says that it had them."""

    span: Span
    text: str
    quoted: bool = False


@record
class GroupRef:
    """`@name`; `name` is without the sign."""

    span: Span
    name: str


SelectorItem: TypeAlias = Pattern | Regex | GroupRef


@record
class Selector:
    """`A, B except C, D where EXPR`."""

    span: Span
    include: tuple[SelectorItem, ...]
    exclude: tuple[SelectorItem, ...] = ()
    where: Expression | None = None


# ---------------------------------------------------------------- arguments


@record
class Argument:
    """`name=value` of an optimizer or a schedule; a tuple of durations is a tuple of Duration."""

    span: Span
    name: str
    name_span: Span
    value: Expression | Duration | tuple[Duration, ...]
    value_span: Span


@record
class Factory:
    """`cosine(warmup=5%, floor=0.01)` or `adamw`: a name and its keyword arguments."""

    span: Span
    name: str
    name_span: Span
    arguments: tuple[Argument, ...] = ()


@record
class SchedulePart:
    """`linear(...) for 5 epochs`: one part of a sequence; the last has no length."""

    span: Span
    factory: Factory
    length: Duration | None = None


@record
class ScheduleSequence:
    """`A(...) for D then B(...) for D then C(...)`; most schedules are a sequence of one part."""

    span: Span
    parts: tuple[SchedulePart, ...]


# ---------------------------------------------------------------- statements


@record
class VersionStatement:
    span: Span
    number: Number


@record
class ModelStatement:
    span: Span
    spec: String


@record
class EpochsStatement:
    span: Span
    value: Expression


@record
class StepsStatement:
    """`steps 600_000`: the length of the run in optimizer steps."""

    span: Span
    value: Expression


@record
class StepsPerEpochStatement:
    """`steps_per_epoch 1250`."""

    span: Span
    value: Expression


@record
class IncludeStatement:
    span: Span
    path: String


@record
class LetStatement:
    span: Span
    name: str
    name_span: Span
    value: Expression


@record
class GroupStatement:
    span: Span
    name: str
    name_span: Span
    selector: Selector


@record
class OptimizerStatement:
    """`optimizer adamw(...)`; with a name, `optimizer critic = adam(...)`, a further one."""

    span: Span
    factory: Factory
    name: str | None = None
    name_span: Span | None = None


@record
class ScheduleStatement:
    span: Span
    sequence: ScheduleSequence


@record
class Setting:
    """`OPTION VALUE` or `OPTION *= VALUE`; `optimizer` takes a Factory, `schedule` a ScheduleSequence.

    `value` is None only for a bare word such as `frozen`, which is an error judged later. `quoted`: the
    option stood in quotes, and is handed to the optimizer's group unchecked.
    """

    span: Span
    option: str
    option_span: Span
    multiply: bool
    value: Expression | Factory | ScheduleSequence | None
    quoted: bool = False


@record
class RuleStatement:
    span: Span
    selector: Selector
    settings: tuple[Setting, ...]
    window: Window | None


@record
class FreezeStatement:
    span: Span
    selector: Selector
    updating_statistics: bool
    window: Window | None
    warmup: Duration | None


@record
class FreezeStatisticsStatement:
    """`freeze statistics of S [from T] [until T]`."""

    span: Span
    selector: Selector
    window: Window | None


@record
class UnfreezeStatement:
    """`unfreeze S at TIME`, or `unfreeze S`: from the start of the run or of the stage."""

    span: Span
    selector: Selector
    at: Time | None
    warmup: Duration | None


@record
class Turn:
    """One turn of a sequence; with `by`, one for each value of that capture."""

    span: Span
    selector: Selector
    by: str | None = None
    by_span: Span | None = None
    descending: bool = False


@record
class UnfreezeSequenceStatement:
    """`unfreeze A then B.<i> by i descending then C every N epochs [starting at TIME]`."""

    span: Span
    turns: tuple[Turn, ...]
    every: Duration
    start: Time | None
    warmup: Duration | None

    @property
    def selectors(self) -> tuple[Selector, ...]:
        return tuple(turn.selector for turn in self.turns)


@record
class StageStatement:
    """`stage NAME [for D] [until METRIC stops ...] [, fresh optimizer]`, above what holds in it."""

    span: Span
    name: str
    name_span: Span
    length: Duration | None = None
    until: Condition | None = None
    fresh: bool = False


@record
class AfterStagesStatement:
    """`after stages`: what follows comes last in the cascade and holds throughout."""

    span: Span


@record
class ExpectOption:
    """`expect SELECTOR OPTION OP VALUE [at TIME]`."""

    span: Span
    selector: Selector
    option: str
    option_span: Span
    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    value: Expression
    at: Time | None


@record
class ExpectState:
    """`expect SELECTOR frozen|trains [at TIME]`."""

    span: Span
    selector: Selector
    frozen: bool
    at: Time | None


@record
class ExpectCount:
    """`expect groups == 3`, `expect trainable < 10% at epoch 0`."""

    span: Span
    subject: Literal["groups", "trainable"]
    operator: Literal["==", "!=", "<", "<=", ">", ">="]
    value: Expression
    at: Time | None


Expectation: TypeAlias = ExpectOption | ExpectState | ExpectCount
Clause: TypeAlias = (
    RuleStatement
    | FreezeStatement
    | FreezeStatisticsStatement
    | UnfreezeStatement
    | UnfreezeSequenceStatement
)
Heading: TypeAlias = StageStatement | AfterStagesStatement
Statement: TypeAlias = (
    VersionStatement
    | ModelStatement
    | EpochsStatement
    | StepsStatement
    | StepsPerEpochStatement
    | IncludeStatement
    | LetStatement
    | GroupStatement
    | OptimizerStatement
    | ScheduleStatement
    | Clause
    | Heading
    | Expectation
)


@record
class Comment:
    """`# ...` with its sign; the formatter puts it back where it stood."""

    span: Span
    text: str


@record
class Damaged:
    """A statement that could not be read; `defines` is the name that it would have given."""

    span: Span
    defines: str | None = None


@record
class File:
    """A parsed text: the statements that could be read, in order, and every comment.

    `damaged` holds the others, so that a name lost with one of them is not reported as unknown.
    """

    source: Source
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]
    damaged: tuple[Damaged, ...] = ()
