"""Names for parameter groups: what their parameters have in common, unique and stable.

Loggers make keys of them (Lightning's LearningRateMonitor, ours), and MLflow for one refuses most signs. So a
name has letters, digits, `_`, `.`, `-` and `/` only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from layerlr_dsl.language.expressions import Value
from layerlr_dsl.tools.numbers import in_words


def group_name(parameters: Sequence[str]) -> str:
    """What some parameters share: `layer4`, `layer4/bias` (all biases there), `conv1-bn1`, `all/bias`."""
    first, last = min(parameters).split("."), max(parameters).split(".")
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    if len(parameters) == 1:
        return _plain(parameters[0])
    leaves = {name.rpartition(".")[2] for name in parameters}
    leaf = f"/{_plain(leaves.pop())}" if len(leaves) == 1 else ""
    if shared:
        return _plain(".".join(shared)) + leaf
    tops = list(dict.fromkeys(_plain(name.partition(".")[0]) for name in parameters))
    if leaf and len(tops) > 2:
        return f"all{leaf}"
    return ("-".join(tops) if len(tops) <= 3 else f"{tops[0]}-to-{tops[-1]}") + leaf


def told_apart(names: list[str], options: Sequence[dict[str, Value]]) -> list[str]:
    """The names made unique: by the options in which like-named groups differ, then by number."""
    out = list(names)
    for name in [name for name, often in Counter(names).items() if often > 1]:
        places = [i for i, n in enumerate(names) if n == name]
        differing = [
            option for option in options[places[0]] if len({repr(options[i].get(option)) for i in places}) > 1
        ]
        for i in places:
            told = "-".join(f"{o}-{_plain(in_words(options[i].get(o)))}" for o in differing[:2])
            out[i] = f"{name}/{told}" if told else name
    # Numbers come last: a name that a rule elsewhere could change is worse than a plain one.
    seen: dict[str, int] = {}
    for i, name in enumerate(out):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            out[i] = f"{name}/{seen[name]}"
    return out


def _plain(text: str) -> str:
    """The text with every run of other signs made into one `-`, and none at its ends."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "group"
