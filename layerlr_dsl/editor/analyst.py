"""The process beside the language server: it holds the inventories and takes its time.

A request is a line of JSON on standard input, a reply a line of JSON on standard output:
`{"id": 1, "do": "analyse", ...}` is answered by `{"id": 1, "result": ...}` or `{"id": 1, "crash": "..."}`.
It ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

from layerlr_dsl.editor.analysis import Models, Request, analyse
from layerlr_dsl.language.diagnostics import RuleError
from layerlr_dsl.language.source import Source


def main() -> None:
    """Answer until the server is gone."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Whatever a library prints must not end up among the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, replies)


def serve(requests: IO[str], replies: IO[str]) -> None:
    jobs = _jobs()
    for line in requests:
        message = json.loads(line)
        number, job = message.pop("id"), message.pop("do")
        try:
            reply = {"id": number, "result": jobs[job](message)}
        except Exception:
            reply = {"id": number, "crash": traceback.format_exc()}
        try:
            replies.write(json.dumps(reply) + "\n")
            replies.flush()
        except BrokenPipeError:
            return


def _jobs() -> dict[str, Callable[[dict[str, Any]], Any]]:
    models = Models()

    def run(message: dict[str, Any]) -> dict[str, Any]:
        result = analyse(Request(**message), models)
        # Inventories stay for good: the collector need not look at them again.
        if result["model"]["tree"] is not None:
            gc.collect()
            gc.freeze()
        return result

    def picture(message: dict[str, Any]) -> Any:
        from layerlr_dsl.editor import picture  # deferred: the drawing is for those who ask for it

        before = message.pop("before")
        request = Request(**message)
        return picture.page(request, models) if before is None else picture.told(request, models, before)

    return {"analyse": run, "format": _format, "picture": picture}


def _format(message: dict[str, Any]) -> str | None:
    """The text in its canonical layout; None where it has syntax errors."""
    from layerlr_dsl.language.formatting import format_text

    try:
        return format_text(Source(message["name"], message["text"]))
    except RuleError:
        return None


if __name__ == "__main__":
    main()
