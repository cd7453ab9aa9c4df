"""What several tools have alike: optimizers by name, weight decay by transformers' habit, regular expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from layerlr_dsl.catalogue import optimizers as catalogue
from layerlr_dsl.catalogue.signatures import MISSING, OptimizerInfo
from layerlr_dsl.importers import nodes
from layerlr_dsl.importers.description import LeftOut, Line, Rule, SourceFault
from layerlr_dsl.importers.reading import Unread
from layerlr_dsl.language import syntax as s
from layerlr_dsl.language.regex import RegexFault, full_match
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.printable import shown


@dataclass
class Setup:
    """An optimizer and its arguments, less what a rule file cannot say of them."""

    info: OptimizerInfo
    arguments: dict[str, Any]
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def factory(self) -> s.Factory:
        """As a rule file writes it: only what is not the default."""
        rate = self.info.scheduled
        told = {k: v for k, v in self.arguments.items() if k != rate and not self._is_default(k, v)}
        return nodes.factory(self.info.name, **told)

    def default(self, option: str) -> Any:
        """What torch takes where nobody says anything; None where it needs to be said."""
        default = self.info.options[option].default
        return None if default is MISSING else default

    def value(self, option: str) -> Any:
        """What holds for parameters of which nothing is said."""
        return self.arguments.get(option, self.default(option))

    def _is_default(self, option: str, value: Any) -> bool:
        return bool(value == self.info.options[option].default)


def setup(called: str, arguments: Mapping[str, Any], line: Line, lines: Mapping[str, Line]) -> Setup:
    """An optimizer as its tool names it; AdamW in the place of one that nobody knows.

    Raises SourceFault for a value that its constructor would not take.
    """
    info = catalogue.find(called)
    left = []
    if info is None:
        near = nearest(called, catalogue.names())
        hint = f" (did you mean `{near}`?)" if near else ""
        left.append(
            LeftOut(f"no optimizer is called `{shown(called)}`{hint}: AdamW stands in its place", line)
        )
        info = catalogue.known("adamw")
    made = Setup(info, {}, left)
    for option, value in arguments.items():
        _take(made, option, value, lines.get(option, line))
    return made


def _take(made: Setup, option: str, value: Any, line: Line) -> None:
    known = made.info.options.get(option)
    value = tuple(value) if isinstance(value, list) else value
    if known is None:
        near = nearest(option, made.info.options)
        hint = f"did you mean `{near}`?" if near else "the rules say nothing of it"
        made.left_out.append(LeftOut(f"{made.info.name} has no option `{shown(option)}`: {hint}", line))
    elif isinstance(value, Unread):
        text = shown(value, 60)
        made.left_out.append(LeftOut(f"`{option}` is `{text}`, which is no plain value", line))
    elif not known.algorithmic:
        return
    else:
        made.arguments[option] = checked_option(made, option, value, line)


def checked_option(made: Setup, option: str, value: Any, line: Line) -> Any:
    """The value, if the optimizer would take it. Raises SourceFault."""
    problem = "must be a finite number" if _too_large(value) else catalogue.problem(made.info, option, value)
    if problem is not None:
        raise SourceFault(f"`{option}` of {made.info.name} {problem}", line)
    return value


def _too_large(value: Any) -> bool:
    """Whether a whole number is beyond what a float can be, which no optimizer's check expects."""
    numbers = value if isinstance(value, tuple) else (value,)
    return any(isinstance(one, int) and abs(one) > _LARGEST for one in numbers)


_LARGEST = 10**300
_MOST_DIGITS = 10


def product(one: float, factor: float) -> Any:
    """A product as a number where that is short, else as it was written: `1e-4 * 0.01`."""
    whole = one * factor
    return whole if len(repr(whole)) <= _MOST_DIGITS else nodes.arithmetic(one, "*", factor)


# ---------------------------------------------------------------- regular expressions


def searched(pattern: str, line: Line) -> s.Regex:
    """What Python's `re.search` finds somewhere in a name. Raises SourceFault."""
    return matched(f".*{_grouped(pattern)}.*", line)


def begun(pattern: str, line: Line) -> s.Regex:
    """What Python's `re.match` finds at the start of a name. Raises SourceFault."""
    return matched(f"{_grouped(pattern)}.*", line)


def matched(pattern: str, line: Line) -> s.Regex:
    """What matches whole names. Raises SourceFault for what RE2 cannot say."""
    for before, after in ((".*.*", ".*"), ("$.*", ""), (".*^", "")):
        pattern = pattern.replace(before, after) if "|" not in pattern else pattern
    try:
        full_match(pattern)
    except RegexFault as fault:
        raise SourceFault(f"`{shown(pattern)}` is no regular expression of RE2: {fault}", line) from None
    return nodes.regex(pattern)


def _grouped(pattern: str) -> str:
    return f"(?:{pattern})" if "|" in pattern else pattern


def containing(text: str) -> s.Regex:
    """Every name that holds a text."""
    return nodes.regex(f".*{literal(text)}.*")


def literal(text: str) -> str:
    """A text as a regular expression of exactly it."""
    return "".join(f"\\{char}" if char in ".^$*+?{}[]\\|()" else char for char in text)


def plain_names(text: str) -> tuple[s.Selector, ...]:
    """Selectors that often mean what a piece of a name is meant to say: the child, or what is called so anywhere."""
    trimmed = text.strip(".")
    if not trimmed or not all(part.replace("_", "a").isalnum() for part in trimmed.split(".")):
        return ()
    return (nodes.selector(nodes.named(trimmed)), nodes.selector(nodes.pattern(f"**.{trimmed}")))


# ---------------------------------------------------------------- transformers' habits

_NAMED_AS_NORM = "(?i)(.*(bias|layernorm|rmsnorm).*|(.*[._])?norm(\\..*)?)"


def not_decayed(line: Line) -> Rule:
    """No decay for biases, torch's LayerNorm and what is called a norm, as transformers' Trainer has it."""
    condition = nodes.any_of((nodes.module_is("torch.nn.LayerNorm"), nodes.matches("path", _NAMED_AS_NORM)))
    flat = nodes.compared("ndim", "<=", 1)
    shorter = (
        nodes.selector(where=flat),
        nodes.selector(where=nodes.module_is("norm")),
        nodes.selector(where=nodes.any_of((flat, nodes.module_is("norm")))),
    )
    return Rule(nodes.selector(where=condition), {"weight_decay": 0}, line, "weight decay", shorter)
