"""The page of recipes: every rule file that is shipped, with what its comment says."""

from __future__ import annotations

import re

from layerlr_dsl.tools.resources import recipes_path

INTRODUCTION = """# Recipes

These rule files come with layerlr. Each names the paper or the code that it follows, tests itself
with `expect` statements, and is compared with that code, parameter by parameter, by the tests of
layerlr. Any command that takes a rule file takes `recipe:NAME` too:

```sh
layerlr plan recipe:vit_layer_decay
layerlr plan recipe:vit_layer_decay --model timm:deit_tiny_distilled_patch16_224
layerlr diff recipe:resnet18 my.lr
```

To make one your own, copy it: `layerlr recipes --format json` says where each lies.
"""

_PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_COMMENT = re.compile(r"(?:#.*\n)+")


def recipes_page() -> str:
    """All recipes, those to be included last."""
    folder = recipes_path()
    paths = sorted(folder.rglob("*.lr"), key=lambda p: (len(p.parts), p.name))
    sections = [INTRODUCTION]
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        text = path.read_text(encoding="utf-8")
        comment = _COMMENT.match(text)
        said = "" if comment is None else _prose(comment[0])
        body = text[comment.end() :] if comment else text
        sections.append(f"## {name}\n\n{said}\n\n```lr\n{body.strip()}\n```")
    return "\n\n".join(sections) + "\n"


def _prose(comment: str) -> str:
    lines = [line.removeprefix("#").strip() for line in comment.splitlines()]
    text = "\n".join(lines).replace("*", r"\*")
    return _PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
