"""What the study saw of each starter and recipe, written where people read it: advice follows the figures.

`write` puts it into the starters' comments, the recipes' and the page on choosing rates; a test holds them to the record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from effect.arms import STUDY
from effect.design import Study
from effect.figures import (
    Reported,
    Searched,
    baseline,
    difference,
    points,
    reported,
    score,
    searched,
    verdicts,
)
from effect.record import TRIALS, Record, searches
from effect.report import matrix
from layerlr_dsl.tools.words import wrapped

ROOT = Path(__file__).parents[2]
STARTERS = Path("layerlr_dsl/starters/evidence.json")
RATES, TUNE = Path("docs/choosing-rates.md"), Path("docs/tune.md")
THAW = Path("layerlr_dsl/catalogue/pages/LR404.md")
STYLES = ("held", "lower-half", "head", "head-then-all", "gradual", "decay", "layered")
"""Arms that are a style of `layerlr init`."""
RECIPES = {
    "lp_ft": "head-then-all",
    "gradual_unfreezing": "gradual",
    "efficientnet_lite0_digits": "gradual",
    "ulmfit": "ulmfit",
    "bitfit": "bitfit",
    "bert_layer_decay": "decay",
    "vit_layer_decay": "decay",
    "swin_layer_decay": "decay-0.9",
    "convnext_layer_decay": "decay-0.9",
}
"""The arm that does in the study's networks what a recipe does in its own."""
BEGINS = "# This project's study: "
WIDTH = 110
_OWN = re.compile(rf"#\n{re.escape(BEGINS)}(?:.*\n#   )*.*\n")
_HEADER = re.compile(r"(?:#.*\n)+")
_TABLE = re.compile(r"(?s)(<!-- the study -->\n).*?(<!-- end -->)")
_FOUND = re.compile(r"(?s)(<!-- searches -->\n).*?(<!-- end -->)")
_HELD = re.compile(r"(than free ones: ).*\.")


def write(folder: Path, root: Path = ROOT, study: Study = STUDY) -> list[Path]:
    """Bring every place up to date with the results in a folder; those that were not."""
    changed = stale(folder, root, study)
    for path, text in _texts(folder, root, study):
        if path in changed:
            path.write_text(text, "utf-8")
    return changed


def stale(folder: Path, root: Path = ROOT, study: Study = STUDY) -> list[Path]:
    """The places that say something else than the record."""
    return [
        path
        for path, text in _texts(folder, root, study)
        if not path.exists() or path.read_text("utf-8") != text
    ]


def _texts(folder: Path, root: Path, study: Study) -> Iterator[tuple[Path, str]]:
    known = Record(folder / TRIALS).all()
    standings = reported(study, known)
    seen = {arm.name: _seen(standings, arm.name, study) for arm in study.arms}
    starters = {style: seen[style] for style in STYLES if seen.get(style)}
    yield root / STARTERS, json.dumps(starters, indent=1, ensure_ascii=False) + "\n"
    for recipe, arm in RECIPES.items():
        path = root / "rules" / f"{recipe}.lr"
        yield path, with_line(path.read_text("utf-8"), arm, seen[arm])
    found = searched(study, known, searches(folder))
    told = (
        (RATES, _TABLE, "\n".join(matrix(study, standings)) + "\n"),
        (TUNE, _FOUND, _found(found)),
        (THAW, _HELD, _held(study, standings) + "."),
    )
    for name, place, text in told:
        written = (root / name).read_text("utf-8")
        yield (
            root / name,
            place.sub(lambda one, text=text: "".join([one[1], text, *one.groups()[1:]]), written),
        )


def _found(seen: Sequence[Searched]) -> str:
    """A line for each task: `- letters: -0.4 ± 2.1 to the grid's gradual at 0.003`."""
    lines = []
    for one in seen:
        chosen = one.each[0].chosen
        if chosen.best is not None:
            told = f"{points(one.to_chosen())} to the grid's {chosen.unit.arm.name} at {chosen.best.base:g}"
            lines.append(f"- {one.each[0].found.task}: {told}\n")
    return "".join(lines)


def _held(study: Study, standings: Sequence[Reported]) -> str:
    """`letters +26.4 ± 6.6`: what held statistics gain in LP-FT."""
    (claim,) = (one for one in study.claims if one.against == "lp-ft-free")
    tested = [one for one in verdicts(study, list(standings)) if one.claim is claim]
    return ", ".join(f"{one.task} {points(one.found)} ({one.epochs} epochs)" for one in tested)


def _seen(standings: Sequence[Reported], arm: str, study: Study) -> str:
    """`6 epochs: letters +15.0 ± 3.5, fashion +4.2 ± 3.2; 18 epochs: ...`, empty where it was not run."""
    by_length: dict[int, list[str]] = {}
    for one in standings:
        base = baseline(study, standings, one)
        gain = difference(one, base, score) if one.unit.arm.name == arm and base not in (None, one) else None  # type: ignore[arg-type]
        if gain is not None:
            by_length.setdefault(one.unit.epochs, []).append(f"{one.unit.task.name} {points(gain)}")
    return "; ".join(f"{epochs} epochs: {', '.join(told)}" for epochs, told in by_length.items())


def with_line(text: str, arm: str, seen: str) -> str:
    """A recipe whose first comment ends with what was seen of an arm, in the place of what it said before."""
    bare = _OWN.sub("", text, count=1)
    header = _HEADER.match(bare)
    assert header is not None
    told = (
        f"{arm} against one tuned rate, points of test accuracy: {seen}."
        if seen
        else f"{arm} was not tried yet."
    )
    return header[0] + "#\n" + "\n".join(wrapped(BEGINS + told, WIDTH, "#   ")) + "\n" + bare[header.end() :]
