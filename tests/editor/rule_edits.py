"""Rule texts and sequences of edits, as people and worse make them."""

from __future__ import annotations

from hypothesis import strategies as st

# Whole statements, so that much of what comes about makes sense, and pieces that break them.
STATEMENTS = (
    "version 1\n",
    'model "m.json"\n',
    "epochs 12\n",
    "let a = 1e-3\n",
    "let b = a * 2\n",
    "let c = c\n",
    "group g = head, @h\n",
    "group h = layers.<i>.norm\n",
    "optimizer sgd(lr=0.1, momentum=0.9)\n",
    "optimizer adamw(\n  lr=1e-3,\n  betas=(0.9, 0.99))\n",
    "schedule step(every=3 epochs)\n",
    "schedule cosin(warmup=2)\n",
    "** -> lr b\n",
    "layers.<i> -> lr *= 0.5 ^ (last(i) - i)\n",
    "layers.0.experts.{0..1}.* -> lr 1e-4, weight_decay 0\n",
    "layers.9 -> wd 1\n",
    "embeding -> lr 1\n",
    "norm -> lr 1\n",
    f"layers.{'9' * 200} -> lr 1\n",
    "@g -> lr a ^ i\n",
    "@g except head where ndim > 1 and module is norm -> momentum 0.5\n",
    "** -> optimizer muon(lr=0.02)\n",
    "/.*bias/ -> weight_decay 0; head -> lr 1 until epoch 3\n",
    "freeze layers.1 until epoch b\n",
    "freeze embedding, layers.0,\n  layers.1 from epoch 2\n",
    "unfreeze layers.3 then layers.2 every 2 epochs\n",
    "stage first for 2 epochs\n",
    "stage rest until loss stops falling for 3 epochs, fresh optimizer\n",
    "after stages\n",
    "steps 1_000\n",
    "unfreeze head then layers.<i> by i descending then\n  embedding every 2 epochs\n",
    "unfreeze layers.0\n",
    "freeze statistics of layers.<i>.norm until epoch 3\n",
    "schedule linear for 2 epochs then\n  cosine(warmup=1 epoch)\n",
    "optimizer critic = sgd(lr=ramp((0%, 1), (3 epochs, b), shape=linear))\n",
    'head -> "rank" 128, lr last(@h)\n',
    "expect head lr == 1 # at the start; (always)\n",
    "expect groups == a\n",
    'include "inc.lr"\n',
    'include "none.lr"\n',
)
SHARDS = (
    *'abi01.,;()*<>{}[]@#"/\\-= ',
    "\n",
    "\r\n",
    "\n  ",
    "\\\n",
    ",\n",
    "\nlayers ",
    " -> ",
    " where ",
    " except ",
    " then ",
    " then\n",
    " then\n  ",
    "statistics of ",
    "stage ",
    ", fresh optimizer",
    " until epoch 3",
    "é😀",
    "\x00",
    "\u2028",
    "# note\n",
    "layers",
    "[a",
    "{1",
    '"x',
    "(",
)
INCLUDED = "let z = 3\nlet a = 5\nnosuch -> lr q\ngroup h = head\nbad bad\n"

PIECES = st.one_of(st.sampled_from(STATEMENTS), st.sampled_from(SHARDS))
INSERTED = st.lists(PIECES, max_size=4).map("".join)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), INSERTED), min_size=1, max_size=12)
"""Each as a place (a share of the text), how much goes, and what comes."""

TEXTS = st.lists(PIECES, max_size=12).map("".join)


def cut(text: str, edit: tuple[float, int, str]) -> tuple[int, int, str]:
    """An edit of this text: start, end and what comes between."""
    share, gone, new = edit
    start = int(share * len(text))
    return start, min(start + gone, len(text)), new
