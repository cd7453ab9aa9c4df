"""Why a statement cannot be read, said to a person: one finding for one fault.

Each explainer looks for one kind of mistake and returns None if it is another; the first that
knows the mistake explains it, from the particular to the general.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from layerlr_dsl.language import explain_expressions as expressions
from layerlr_dsl.language import explain_parts as parts
from layerlr_dsl.language import explain_signs as signs
from layerlr_dsl.language import explain_stages as stages
from layerlr_dsl.language import explain_statements as statements
from layerlr_dsl.language import explain_time as time
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.failure import WORDS, Failure
from layerlr_dsl.language.faults import shortened
from layerlr_dsl.language.phrases import foreign_phrase

Explainer = Callable[[Failure], "Diagnostic | None"]

_EXPLAINERS: tuple[Explainer, ...] = (
    signs.forbidden_character,
    signs.unclosed_text,
    signs.single_quotes,
    signs.slash_comment,
    foreign_phrase,
    signs.unclosed_regex,
    signs.unclosed_bracket,
    statements.misspelled_statement,
    stages.stage_without_name,
    stages.name_of_a_stage,
    stages.fresh_without_comma,
    stages.sign_in_heading,
    stages.comma_in_heading,
    stages.beginning_of_a_stage,
    stages.length_without_for,
    stages.moment_for_length,
    stages.nothing_behind_then,
    stages.joined_schedules,
    stages.named_optimizer,
    stages.capture_of_a_turn,
    stages.statistics_of,
    stages.group_as_value,
    stages.value_behind_keyword,
    stages.grouped_digits,
    statements.option_without_selector,
    statements.statement_with_equal,
    statements.quotes_missing,
    statements.definition_without_equal,
    statements.quoted_name,
    statements.dotted_name,
    statements.second_optimizer,
    parts.selector_missing,
    parts.repeated_part,
    parts.part_out_of_order,
    parts.selection_behind_arrow,
    parts.comma_after_where,
    parts.misplaced_comma,
    statements.incomplete_expectation,
    expressions.is_not,
    expressions.word_for_value,
    expressions.chained_comparison,
    expressions.other_operator,
    expressions.regex_expected,
    expressions.foreign_expression,
    parts.option_without_name,
    parts.assigned_option,
    parts.argument_without_name,
    time.sign_in_time,
    time.metric_without_quotes,
    time.number_missing,
    time.misspelled_stops,
    expressions.parentheses_missing,
    time.other_condition,
    time.second_time,
    time.time_word_missing,
    statements.unfreeze_without_time,
    parts.misspelled_word,
    signs.list_in_brackets,
    signs.spaced_pattern,
    signs.odd_selector,
    signs.other_arrow,
    signs.unmatched_closing,
    time.other_time_word,
    statements.options_of_another_statement,
    parts.ends_too_early,
    statements.missing_arrow,
    expressions.value_missing,
    parts.missing_comma,
)

# How a message names what could have stood there, in this order.
_EXPECTED = (
    ("a selector", {"PATTERN"}),
    ("an option", {"NAME", "OPTIMIZER"}),
    ("a value", {"NAME", "NUMBER", "OPEN"}),
    ("an operator", {"PLUS", "MINUS", "STAR"}),
    ("a number", {"NUMBER"}),
    ("a name", {"NAME"}),
    ("a text in double quotes", {"STRING"}),
    ("a regular expression such as `/bias$/`", {"REGEX"}),
    ("`->`", {"ARROW"}),
    ("a comparison such as `==`", {"COMPARE"}),
    ("`=`", {"EQUAL"}),
    ("`(`", {"OPEN"}),
    ("`)`", {"CLOSE"}),
    ("`]`", {"CLOSE_BRACKET"}),
    ("`,`", {"COMMA"}),
)
# What a general name already says.
_SAID = {
    "a selector": {"STRING", "REGEX", "GROUP_NAME"},
    "a value": {"STRING", "MINUS", "TRUE", "FALSE", "NOT"},
    "an operator": {"SLASH", "MOD", "CARET", "COMPARE", "AND", "OR", "IS", "MATCHES"},
}


def explain(failure: Failure) -> Diagnostic:
    """The one finding for this failure."""
    for explainer in _EXPLAINERS:
        if (found := explainer(failure)) is not None:
            return found
    return _unexpected(failure)


def _unexpected(failure: Failure) -> Diagnostic:
    expected = _listed(_expectations(failure))
    if failure.ended:
        return error("LR005", "this statement ends too early", failure.span, f"expected {expected} next")
    return error(
        "LR001", f"unexpected `{shortened(failure.found)}`", failure.span, f"expected {expected} here"
    )


def _expectations(failure: Failure) -> list[str]:
    left = set(failure.accepted)
    named = []
    for label, needed in _EXPECTED:
        if needed <= left:
            named.append(label)
            left -= needed | _SAID.get(label, set())
    named += sorted(f"`{word}`" for name, word in WORDS.items() if name in left)
    if "$END" in failure.accepted:
        named.append("the end of the statement")
    return named


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names)) or ["the end of the statement"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
