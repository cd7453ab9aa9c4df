"""Names for parameter groups: what their parameters have in common, unique and stable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from layerlr_dsl.language.expressions import Value
from layerlr_dsl.tools.numbers import in_words


def group_name(parameters: Sequence[str]) -> str:
    """The longest common path of some parameters: `layer4`, `layer4.*.bias`, `conv1, bn1`, `*`."""
    first, last = min(parameters).split("."), max(parameters).split(".")
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    if len(parameters) == 1:
        return parameters[0]
    leaves = {name.rpartition(".")[2] for name in parameters}
    if shared:
        path = ".".join(shared)
        return path if len(leaves) > 1 else f"{path}.**.{leaves.pop()}"
    tops = list(dict.fromkeys(name.partition(".")[0] for name in parameters))
    if len(leaves) == 1:
        leaf = leaves.pop()
        return ", ".join(f"{top}.**.{leaf}" for top in tops) if len(tops) <= 2 else f"**.{leaf}"
    return ", ".join(tops) if len(tops) <= 3 else f"{tops[0]}, {tops[1]}, ... {tops[-1]}"


def told_apart(names: list[str], options: Sequence[dict[str, Value]]) -> list[str]:
    """The names made unique: by the options in which like-named groups differ, then by number."""
    out = list(names)
    for name in [name for name, often in Counter(names).items() if often > 1]:
        places = [i for i, n in enumerate(names) if n == name]
        differing = [
            option for option in options[places[0]] if len({repr(options[i].get(option)) for i in places}) > 1
        ]
        for i in places:
            told = ", ".join(f"{o} {in_words(options[i].get(o))}" for o in differing[:2])
            out[i] = f"{name} ({told})" if told else name
    # Numbers come last: a name that a rule elsewhere could change is worse than a plain one.
    seen: dict[str, int] = {}
    for i, name in enumerate(out):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            out[i] = f"{name} #{seen[name]}"
    return out
