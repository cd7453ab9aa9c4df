"""Why a statement cannot be read, said to a person: one finding for one fault.

Each explainer looks for one kind of mistake and returns None if it is another; the first that
knows the mistake explains it, from the particular to the general.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from layerlr_dsl.language import explain_signs as signs
from layerlr_dsl.language import explain_words as words
from layerlr_dsl.language.diagnostics import Diagnostic, error
from layerlr_dsl.language.failure import WORDS, Failure
from layerlr_dsl.language.faults import shortened

Explainer = Callable[[Failure], "Diagnostic | None"]

_EXPLAINERS: tuple[Explainer, ...] = (
    signs.forbidden_character,
    signs.unclosed_text,
    signs.single_quotes,
    signs.unclosed_regex,
    signs.unclosed_bracket,
    words.misspelled_statement,
    words.selector_missing,
    words.quotes_missing,
    words.repeated_part,
    words.comma_after_where,
    words.chained_comparison,
    words.option_without_name,
    words.text_for_regex,
    words.number_missing,
    words.misspelled_stops,
    words.incomplete_expectation,
    words.trailing_comma,
    words.part_out_of_order,
    words.selection_behind_arrow,
    words.definition_without_equal,
    words.quoted_name,
    words.metric_without_quotes,
    words.positional_argument,
    words.misspelled_word,
    signs.other_arrow,
    signs.assigned_option,
    signs.other_operator,
    signs.spaced_pattern,
    signs.unmatched_closing,
    words.unfreeze_without_time,
    words.options_of_another_statement,
    words.missing_arrow,
    words.missing_comma,
    words.ends_too_early,
)

# How a message names what could have stood there, in this order.
_EXPECTED = (
    ("a selector", {"PATTERN"}),
    ("an option", {"NAME", "OPTIMIZER"}),
    ("a value", {"NAME", "NUMBER", "OPEN"}),
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
            left -= needed | ({"STRING", "MINUS", "TRUE", "FALSE"} if "value" in label else set())
            if label == "a selector":
                left -= {"STRING", "REGEX", "GROUP_NAME"}
    named += sorted(f"`{word}`" for name, word in WORDS.items() if name in left)
    if "END" in failure.accepted or "$END" in failure.accepted:
        named.append("the end of the statement")
    return named


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names)) or ["the end of the statement"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
