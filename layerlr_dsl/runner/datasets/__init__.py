"""Where training data comes from: a SPEC on the command line becomes a training and a validation set.

One module for each kind of data; each is imported when it is asked for.
"""

from __future__ import annotations

from pathlib import Path

from layerlr_dsl.runner import own_code
from layerlr_dsl.runner.data import Data, Request
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.nearest import nearest

KINDS = "digits, a folder of images (or imagefolder:PATH), a table PATH.csv, torchvision:NAME or python:package.module:callable"


def load(request: Request) -> Data:
    """The data that `request` names. Raises RunnerError for whatever is wrong with it."""
    kind, _, rest = _spelled_out(request.spec).partition(":")
    if kind == "digits" and not rest:
        from layerlr_dsl.runner.datasets import digits

        data = digits.load(request)
    elif kind in ("imagefolder", "torchvision") and rest:
        from layerlr_dsl.runner.datasets import images

        data = (
            images.load_folder(rest, request) if kind == "imagefolder" else images.load_named(rest, request)
        )
    elif kind == "csv" and rest:
        from layerlr_dsl.runner.datasets import table

        data = table.load(rest, request)
    elif target := own_code.target_of(request.spec):
        from layerlr_dsl.runner.datasets import custom

        data = custom.load(target, request)
    else:
        known = "" if ":" in request.spec or not request.spec else ": there is no such folder or table"
        raise RunnerError(f"unknown data {request.spec!r}{known}", _meant(request.spec))
    for part, samples in data.parts().items():
        if len(samples) == 0:
            raise RunnerError(f"{request.spec}: the {part} set is empty", "it needs at least one sample")
    return data


def _meant(spec: str) -> str:
    """What a spec that names nothing may have meant: something beside it, or else what there is."""
    path = Path(spec).expanduser()
    beside = list(path.parent.iterdir()) if path.parent.is_dir() else []
    fitting = [one for one in beside if one.is_dir() or one.suffix.lower() in (".csv", ".tsv")]
    near = nearest(spec, ["digits", *map(str, fitting)])
    return f"did you mean {near}? Give {KINDS}" if near else f"give {KINDS}"


def _spelled_out(spec: str) -> str:
    """A plain path as the spec it stands for: a folder of images, or a table of their paths and labels."""
    path = Path(spec).expanduser()
    if spec and ":" not in spec and spec != "digits":
        if path.is_dir():
            return f"imagefolder:{spec}"
        if path.suffix.lower() in (".csv", ".tsv"):
            return f"csv:{spec}"
    return spec
