"""The network of a rule file of the page, drawn into it: `<!-- network: my.lr -->`."""

from __future__ import annotations

import re

import layerlr_dsl as layerlr
from layerlr_dsl.model.specs import inventory_of_spec

_SVG = re.compile(r"<svg .*?</svg>", re.S)


def network(page: str, name: str) -> str:
    """The still that notebooks show of a plan, for the block of `page` with that title."""
    shown = re.search(rf'^```lr title="{re.escape(name)}"\n(.*?)^```$', page, re.M | re.S)
    assert shown is not None, f"the page has no rules called {name}"
    rules = layerlr.parse(shown[1], filename=name)
    assert rules.model is not None, f"{name} names no model"
    still = _SVG.search(rules.resolve(inventory_of_spec(rules.model))._repr_html_())
    assert still is not None
    # One line: an empty one would end the block of HTML.
    return f'<figure class="network">{" ".join(still[0].split())}</figure>'
