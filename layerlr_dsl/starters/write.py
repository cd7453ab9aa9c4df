"""The text of a starting file, in one of several styles, with comments that say why.

Rates follow common practice: discriminative rates and gradual unfreezing after ULMFiT (Howard and
Ruder 2018), layer-wise decay after ELECTRA and BEiT (Clark et al. 2020, Bao et al. 2021), the head
first and then everything after LP-FT (Kumar et al. 2022), Muon for hidden matrices after Jordan et al.
2024. None of them is sure to beat one well-chosen rate, which is why that comes first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from layerlr_dsl.language.formatting import format_text
from layerlr_dsl.language.source import Source
from layerlr_dsl.model.anatomy import Anatomy, anatomy, is_token
from layerlr_dsl.model.cover import cover
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.starters.stages import every_block, listed, stages
from layerlr_dsl.tools.printable import escape
from layerlr_dsl.tools.records import record
from layerlr_dsl.tools.words import wrapped

EVIDENCE = Path(__file__).with_name("evidence.json")
"""What the study saw of each style; `make effect` writes it."""


@record
class Subject:
    """What every style writes about."""

    inventory: Inventory
    parts: Anatomy

    @property
    def stem(self) -> str:
        return listed(cover(self.inventory, self.parts.stem))

    @property
    def head(self) -> str:
        return listed(cover(self.inventory, self.parts.head))

    @property
    def lower_half(self) -> str | None:
        """The first half of the body, None where it cannot be told from the rest, or shares tensors with it."""
        halves = stages(self.inventory, self.parts, 2)
        blocks = self.parts.blocks.members.values() if self.parts.blocks is not None else ()
        tied = any(map(self.ties, (self.parts.rest, *blocks)))
        return None if tied or len(halves) < 2 else halves[0].selector

    def ties(self, rows: Iterable[int]) -> bool:
        """Whether some of these parameters have further names."""
        return any(row in self.inventory.aliases for row in rows)

    @property
    def keeps_statistics(self) -> bool:
        """Whether some norms keep running statistics."""
        return bool(self.inventory.statistics)


def starter(inventory: Inventory, style: str, spec: str | Mapping[str, str], nameable: bool) -> str:
    """The text of a starting file. `nameable` says that a file may name the model by `spec`.

    spec: of one model, or of several by the keys that their names begin with, which no file may name.

    Raises KeyError for an unknown style.
    """
    subject = Subject(inventory, anatomy(inventory))
    epochs, body = STYLES[style](subject)
    specs = [spec] if isinstance(spec, str) else [f"{key}={one}" for key, one in spec.items()]
    given = " ".join(f"--model '{escape(one)}'" for one in specs)
    head = [
        f"# A starting file for {escape(', '.join(specs))}, style `{style}`.",
        "# `layerlr plan` shows what it does, `layerlr explain` why.",
        *_evidence(style, fits=style in fitting(inventory, [style])),
        "version 1",
        f'model "{_escaped(specs[0])}"'
        if nameable
        else f"# a file may not name {'this model' if len(specs) == 1 else 'several models'}: pass {given}",
        f"epochs {epochs}",
        "",
    ]
    return format_text(Source("<starter>", "\n".join([*head, *body]) + "\n"))


def _evidence(style: str, *, fits: bool) -> list[str]:
    """What the project's study saw of a style, where the model has what it is about, and that it is for one's
    own data to say.
    """
    if style == "plain":
        return ["# One rate for everything comes first: it is what any other file has to beat."]
    seen = json.loads(EVIDENCE.read_text("utf-8")).get(style) if fits else None
    told = (
        f"Against one tuned rate in this project's study, points of test accuracy: {seen}. " if seen else ""
    )
    told += "Whether it beats one rate on your data, `layerlr tune` tells."
    return wrapped(f"# {told}", 100, "# ")


def fitting(inventory: Inventory, styles: Iterable[str]) -> list[str]:
    """Those of `styles` that say something of this model that the plain style does not, in their order."""
    subject = Subject(inventory, anatomy(inventory))
    needs = {
        "held": subject.keeps_statistics,
        "head": bool(subject.parts.head),
        "head-then-all": bool(subject.parts.head),
        "lower-half": subject.lower_half is not None,
        "decay": bool(stages(inventory, subject.parts, 2)),
        "gradual": bool(stages(inventory, subject.parts, 2)),
    }
    return [style for style in styles if needs.get(style, True)]


def _escaped(spec: str) -> str:
    return spec.replace("\\", "\\\\").replace('"', '\\"')


def _setting(weight_decay: str = "0.05") -> list[str]:
    return [
        f"optimizer adamw(weight_decay={weight_decay})",
        "schedule cosine(warmup=10%, floor=0.01)",
        "",
    ]


def _no_decay(subject: Subject, frozen: Sequence[int] = ()) -> list[str]:
    """The rules for what is not decayed; none for tokens that lie among parameters that never train."""
    undecayed = _undecayed(subject, range(len(subject.inventory)), "**")
    return [*undecayed, *_undecayed_tokens(subject.inventory, frozen)] if undecayed else []


def _undecayed(subject: Subject, rows: Sequence[int], selector: str) -> list[str]:
    """The rule for biases and norms among the parameters `rows`, which `selector` covers."""
    inventory = subject.inventory
    if inventory.lazy:
        return []
    flat = any(len(inventory.shapes[row]) <= 1 for row in rows)
    norms = any("norm" in inventory.owner_class(row).families for row in rows)
    if not flat and not norms:
        return []
    condition = " or ".join(["ndim <= 1"] * flat + ["module is norm"] * norms)
    return ["", "# biases and norms are not decayed", f"{selector} where {condition} -> weight_decay 0"]


def _undecayed_tokens(inventory: Inventory, frozen: Sequence[int]) -> list[str]:
    """Learned tokens and positions, which have several dimensions and are no weights of a layer."""
    rows = [
        row
        for row in range(len(inventory))
        if row not in frozen and is_token(inventory, row) and len(inventory.shapes[row]) > 1
    ]
    leaves = dict.fromkeys(inventory.leaves[row] for row in rows)
    if not leaves:
        return []
    named = {leaf: [inventory.names[row] for row in rows if inventory.leaves[row] == leaf] for leaf in leaves}
    items = [names[0] if len(names) == 1 else f"**.{leaf}" for leaf, names in named.items()]
    return ["# nor are learned tokens and positions", f"{', '.join(items)} -> weight_decay 0"]


def _held(subject: Subject, why: str) -> list[str]:
    """The statement that holds the norms' running statistics, where there are any."""
    return [f"# {why}", "freeze statistics of **", ""] if subject.keeps_statistics else []


# ---------------------------------------------------------------- styles


def _plain(subject: Subject) -> tuple[int, list[str]]:
    """One rate for everything: what any other file must beat."""
    return 30, [*_setting(), "let base = 1e-3", "", "** -> lr base", *_no_decay(subject)]


def _plain_held(subject: Subject) -> tuple[int, list[str]]:
    """One rate for everything, by the running statistics that the norms came with."""
    held = _held(subject, "norms go by the statistics that they came with: few steps would spoil them")
    if not held:
        held = ["# this model has no norms that keep running statistics"]
    return 30, [*_setting(), "let base = 1e-3", "", *held, "** -> lr base", *_no_decay(subject)]


def _head(subject: Subject) -> tuple[int, list[str]]:
    """The head alone; what the rest gives can be remembered, so that each epoch is cheap."""
    body = [*_setting(), "let base = 3e-3", ""]
    if not subject.parts.head:
        body += ["# this model has no head that could be told from the rest", "** -> lr base"]
        return 30, [*body, *_no_decay(subject)]
    body += [f"group head = {subject.head}", ""]
    body += ["# `layerlr train --remember-features` computes what is frozen once a sample"]
    body += ["freeze ** except @head", "@head -> lr base"]
    return 30, [*body, *_undecayed(subject, subject.parts.head, "@head")]


def _lower_half(subject: Subject) -> tuple[int, list[str]]:
    """One rate for the upper half; the lower one never trains, which saves its part of the backward pass."""
    body = [*_setting(), "let base = 1e-3", "", "** -> lr base"]
    lower = subject.lower_half
    if lower is None:
        body += ["# this model has no parts that could be told into a lower and an upper half"]
        return 30, [*body, *_no_decay(subject)]
    stem = () if subject.ties(subject.parts.stem) else subject.parts.stem
    frozen = [*([subject.stem] if stem else []), lower]
    body += [*_no_decay(subject, stem), ""]
    body += ["# `layerlr train --remember-features` computes what is frozen once a sample"]
    return 30, [*body, f"freeze {', '.join(frozen)}"]


def _head_then_all(subject: Subject) -> tuple[int, list[str]]:
    """The head alone for a while, then everything at a smaller rate."""
    if not subject.parts.head:
        return _head(subject)
    why = "the head is fitted to features that go by these statistics; by those of a batch it would not fit"
    body = ["optimizer adamw(weight_decay=0.05)", "let base = 3e-4", "let probe = 3e-3", ""]
    body += [f"group head = {subject.head}", *_no_decay(subject), "", *_held(subject, why)]
    body += ["# a fresh head would bend good features while it learns", "stage probe for 50%"]
    body += ["freeze ** except @head", "@head -> lr probe", "schedule cosine(floor=0.01)", ""]
    body += ["stage tune", "** -> lr base", "schedule cosine(warmup=10%, floor=0.01)"]
    return 20, body


def _layered(subject: Subject) -> tuple[int, list[str]]:
    """Plain rates: small near the input, large near the output."""
    parts = subject.parts
    body = [*_setting(), "let base = 1e-3", ""]
    steps = stages(subject.inventory, parts, 3) if parts.blocks or parts.head else []
    rest = bool(parts.rest) if parts.blocks else False
    body.append("# early layers hold general features and need little change, late ones more")
    if rest or not steps or parts.head:
        body.append("** -> lr base")
    rules = [f"{s.selector} -> lr base / {d}" for s, d in zip(steps, _tiers(len(steps))[1:], strict=True)]
    if parts.stem:
        tied = subject.ties(parts.stem)
        stem = f"{subject.stem} -> lr base / {_tiers(len(steps))[0]}"
        rules.insert(len(rules) if tied else 0, stem)  # last, it also wins for names that lie in a block
    body += rules
    return 30, [*body, *_no_decay(subject)]


def _tiers(count: int) -> list[int]:
    """What the base rate is divided by, for the stem and `count` stages after it."""
    return [100, 30, 10, 3][: 1 + count] if count == 3 else [30, 10, 3][: 1 + count]


def _decay(subject: Subject) -> tuple[int, list[str]]:
    """Geometric rates: each block a constant factor below the next."""
    parts = subject.parts
    blocks = parts.blocks
    body = [*_setting(), "let base = 1e-3", "let decay = 0.75", ""]
    body.append("# the head trains at the base rate, every layer below it at `decay` times the one above")
    if blocks is None:
        steps = stages(subject.inventory, parts, 6) if parts.head else []
        body.append("** -> lr base")
        body += [f"{s.selector} -> lr base * decay ^ {len(steps) - n}" for n, s in enumerate(steps)]
        return 30, [*body, *_no_decay(subject)]
    if parts.rest or parts.head:
        body.append("** -> lr base")
    lowest, highest = blocks.numbers[0], blocks.numbers[-1]
    body.append(f"{every_block(blocks)} -> lr base * decay ^ (last(i) - i + 1)")
    if parts.stem:
        body.append(f"{subject.stem} -> lr base * decay ^ {highest - lowest + 2}")
    return 30, [*body, *_no_decay(subject)]


def _gradual(subject: Subject) -> tuple[int, list[str]]:
    """Unfreezing from the head down, one stage after the other."""
    parts = subject.parts
    steps = [stage.selector for stage in stages(subject.inventory, parts, 5)]
    if not parts.head:  # then the last stage, and what follows it, trains from the start
        steps = steps[:-1]
    if parts.stem:
        steps.insert(0, "@stem")
    body = [*_setting(), "let base = 1e-3", ""]
    if parts.stem:
        body.append(f"group stem = {subject.stem}")
    if parts.head:
        body += [f"group head = {subject.head}", ""]
        body += ["# the head is new and learns fast, the rest is adapted gently"]
        body += ["** -> lr base / 10", "@head -> lr base"]
    else:
        body += ["", "** -> lr base / 10"]
    if not steps:
        body += ["", "# this model has no parts that could be thawed one after the other"]
        return 30, [*body, *_no_decay(subject)]
    turns = [*reversed(steps)]
    body += [
        "",
        "# each is frozen until its turn, from the top down, so that a fresh head does not wreck them",
    ]
    if len(turns) == 1:
        body.append(f"freeze {turns[0]} until 20%")
    else:
        body += _sequence(turns)
    why = "a head that was fitted by these statistics would not fit at a thaw by those of a batch"
    return 30, [*body, "", *_held(subject, why), *_no_decay(subject)]


def _sequence(turns: list[str]) -> list[str]:
    """The statement that thaws `turns` in order; long selectors get names first."""
    ending = "every 10% starting at 10%"
    chain = " then ".join(turns)
    if len(chain) <= 70:
        return [f"unfreeze {chain} {ending}"]
    names = [
        turn if turn.startswith("@") else f"@stage{len(turns) - place}" for place, turn in enumerate(turns)
    ]
    groups = [f"group {name[1:]} = {turn}" for name, turn in zip(names, turns, strict=True) if name != turn]
    return [*groups, f"unfreeze {' then '.join(names)} {ending}"]


def _muon(subject: Subject) -> tuple[int, list[str]]:
    """Muon for the matrices of the blocks, AdamW for the rest."""
    body = [*_setting(), "** -> lr 1e-3", *_no_decay(subject), ""]
    condition = _matrices(subject)
    if condition is None:
        body += [
            "# Muon takes matrices only, and the blocks of this model have none (convolutions are 4-D).",
            "# A rule for it would read:  BLOCKS where ndim == 2 -> optimizer muon(lr=0.02)",
        ]
        return 30, body
    assert subject.parts.blocks is not None
    body += [
        "# hidden matrices get Muon; embeddings, head, norms and biases stay with AdamW",
        f"{every_block(subject.parts.blocks)} where {condition}",
    ]
    body[-1] += " -> optimizer muon(lr=0.02, momentum=0.95, weight_decay=0.01)"
    return 30, body


def _matrices(subject: Subject) -> str | None:
    """The condition that selects the matrices of the blocks, or None where there are none."""
    inventory, blocks = subject.inventory, subject.parts.blocks
    if blocks is None or inventory.lazy:
        return None
    flat = [row for rows in blocks.members.values() for row in rows if len(inventory.shapes[row]) == 2]
    embeddings = [row for row in flat if "embedding" in inventory.owner_class(row).families]
    biases = [row for row in flat if "bias" in inventory.leaves[row]]
    if len({*flat} - {*embeddings, *biases}) == 0:
        return None
    condition = "ndim == 2"
    if embeddings:
        condition += " and not module is embedding"
    if biases:
        condition += " and not name matches /.*bias.*/"
    return condition


STYLES: dict[str, Callable[[Subject], tuple[int, list[str]]]] = {
    "plain": _plain,
    "held": _plain_held,
    "head": _head,
    "lower-half": _lower_half,
    "head-then-all": _head_then_all,
    "layered": _layered,
    "gradual": _gradual,
    "decay": _decay,
    "muon": _muon,
}
