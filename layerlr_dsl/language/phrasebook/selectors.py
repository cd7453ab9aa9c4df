"""How layers are named, listed and left out elsewhere."""

from __future__ import annotations

import re

from layerlr_dsl.language.check_expressions import FAMILIES
from layerlr_dsl.language.phrasebook.phrase import (
    ALL,
    AS_NAMED,
    BUT,
    LIST,
    NAME,
    NUMBERED,
    PLAIN,
    Match,
    Phrase,
    numbered,
    phrase,
)

_HEAD = r"(?:(?:un)?freeze\s+)?"
_AFTER = r"\s*->.+|\s+(?:from|until|at|by|then)\s.*|"


def _joined(found: Match, separator: str = ", ") -> str:
    """What is listed with signs or words of other languages, and the rest of the statement."""
    names = re.split(r"\s*(?:\|{1,2}|&{1,2}|\+|/|\band\b|\bor\b|,)\s*|\s+", found["names"].strip())
    return f"{found['before'] or ''}{separator.join(name for name in names if name)}{found['after']}"


def _no_decay(names: str) -> str:
    """`norm, bias` in the words of selectors: families by what owns them, biases by their name."""
    words = [re.sub("(?<=bias)es$|(?<=norm|ding)s$", "", name.strip().lower()) for name in names.split(",")]
    if all(word in FAMILIES for word in words):
        asked = dict.fromkeys(FAMILIES[word] for word in words)
        return f"** where {' or '.join(asked)} -> weight_decay 0"
    return f"{names} -> weight_decay 0"


SELECTORS: tuple[Phrase, ...] = (
    phrase(
        rf"(?:not\s+|[!~]\s*|(?:{ALL}\s*(?:-|minus\b|{BUT})\s*))(?P<rest>{LIST})\s*->(?P<after>.+)",
        "what is left out follows `except`",
        r"** except \g<rest> ->\g<after>",
    ),
    phrase(
        r"(?:all|every)\s+(?:the\s+)?(?P<what>norm|bias|embedding|batchnorm|layernorm|bn)(?:e?s)?\s*->(?P<after>.+)",
        "what is of a kind is asked for with `where`",
        lambda found: f"** where {FAMILIES[found['what']]} ->{found['after']}",
        safe=True,
    ),
    phrase(
        r"(?P<stem>[A-Za-z_]+?)(?P<many>s?)\s+(?P<low>\d+)\s*(?:-|to|\.\.|through)\s*(?P<high>\d+)(?P<after>\s*->.+)",
        NUMBERED,
        numbered,
        AS_NAMED,
        example=True,
    ),
    phrase(
        rf"(?P<head>{_HEAD})(?:(?:re|regexp?|r|pattern)\s*[:(]?\s*[\"'](?P<quoted>[^\"'/]+)[\"']\s*\)?|(?:re|regexp?):(?P<bare>\S+))(?P<after>{_AFTER})",
        "a regular expression stands between slashes, and matches a whole name",
        lambda found: (
            f"{found['head']}/{found['quoted'] or found['bare']}/ {found['after'].lstrip()}".rstrip()
        ),
    ),
    phrase(
        rf"(?P<head>{_HEAD})(?P<stem>[\w.]+?)(?:\$\{{?(?P<a>[A-Za-z_]\w*)\}}?|\(\\d[+*]?\)|\\d[+*]?|\((?P<b>[a-z])\)|%d)(?P<tail>[\w.*]*)(?P<after>{_AFTER})",
        "a number in a name is captured with `<i>`",
        lambda found: (
            f"{found['head']}{found['stem']}<{found['a'] or found['b'] or 'i'}>{found['tail']}{found['after']}"
        ),
    ),
    phrase(
        rf"(?P<head>{_HEAD})%(?P<text>\w+)%(?P<after>{_AFTER})",
        "what stands for anything is `*`",
        r"\g<head>**.*\g<text>*\g<after>",
    ),
    phrase(
        rf"(?P<head>{_HEAD})(?P<names>[\w*]+(?:/[\w*]+)*/?)(?P<after>{_AFTER})",
        "the segments of a name are joined by dots, not `/`",
        lambda found: f"{found['head']}{found['names'].strip('/').replace('/', '.')}{found['after']}",
    ),
    phrase(
        r"(?:the\s+)?(?P<end>first|last)\s+(?P<n>\d+)\s+(?P<what>\w+)\s*->(?P<after>.+)",
        "layers are counted by a capture and a condition",
        lambda found: (
            f"{found['what']}.<i> where i "
            + (f"< {found['n']}" if found["end"] == "first" else f"> last(i) - {found['n']}")
            + f" ->{found['after']}"
        ),
        "name them as the model does, as in `{}`",
        example=True,
    ),
    phrase(
        rf"(?P<before>)(?P<names>{NAME}(?:\s*(?:\|{{1,2}}|&{{1,2}}|\+|\band\b|\bor\b|,)\s*{NAME})+)(?P<after>\s*->.+)",
        "what is selected together is listed with commas",
        _joined,
        safe=True,
    ),
    phrase(
        rf"(?P<before>(?:freeze|unfreeze)\s+)(?P<names>{NAME}(?:\s*(?:\|{{1,2}}|&{{1,2}}|\+|\band\b|\bor\b|,)\s*{NAME})+)(?P<after>(?:\s+(?:from|until|at|warmup)\b.*)?)",
        "what is selected together is listed with commas",
        _joined,
        safe=True,
    ),
    phrase(
        rf"(?P<before>)(?P<names>{PLAIN}(?:\s+{PLAIN})+)(?P<after>\s*->.+)",
        "what is selected together is listed with commas",
        _joined,
    ),
    phrase(
        rf"(?P<head>{LIST})\s*>\s*(?P<tail>{NAME})(?P<after>\s*->.+)",
        "the segments of a name are joined by dots",
        r"\g<head>.\g<tail>\g<after>",
    ),
    phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)\^?(?P<name>\w+(?:\\\.\w+)*)(?:\\?\.\*|\\\.\.\*|\$)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "this reads as a regular expression, and a selector is a dotted name that covers all below it",
        lambda found: f"{found['head']}{found['name'].replace(chr(92), '')}{found['after']}",
    ),
    phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)\^(?P<name>[\w.*]+)\$?(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "a selector begins at the top of the model, without a sign",
        r"\g<head>\g<name>\g<after>",
    ),
    phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)(?P<stem>[\w.]*)\((?P<names>\w+(?:\|\w+)+)\)(?P<tail>[\w.]*)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "one of several is written in braces",
        lambda found: (
            f"{found['head']}{found['stem']}{{{found['names'].replace('|', ',')}}}{found['tail']}{found['after']}"
        ),
        safe=True,
    ),
    phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)(?:(?:self|model|net)\.)?(?P<name>[\w.]+)\.(?:named_)?parameters\(\)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "a selector is the dotted name of a module, and covers its parameters",
        r"\g<head>\g<name>\g<after>",
        safe=True,
    ),
    phrase(
        rf"(?:exclude|skip|remove|drop)\s+(?P<names>{LIST})\s+from\s+(?:weight[_ ]?decay|wd)|no[_ ](?:weight[_ ]?decay|wd|decay)\s*(?:\s(?:on|for|in)\s|[:=])\s*(?P<other>{LIST})",
        "what gets no weight decay is given a decay of 0",
        lambda found: _no_decay(found["names"] or found["other"]),
    ),
    phrase(
        rf"(?P<names>{LIST})\s*->\s*no[ _](?:weight[_ ]?decay|wd|decay)|(?P<other>{LIST})\s*->\s*no_decay",
        "what gets no weight decay is given a decay of 0",
        lambda found: f"{found['names'] or found['other']} -> weight_decay 0",
        safe=True,
    ),
)
