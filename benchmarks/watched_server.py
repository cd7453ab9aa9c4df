"""A language server that notes how long it does not listen: `python benchmarks/watched_server.py REPORT`.

Every callback of its event loop is one stretch in which no message is read. What is noted is the processor time of the
longest since the last look, which another program's load does not change; `layerlr/longest` asks for it in seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from layerlr_dsl.editor import features
from layerlr_dsl.editor.server import Server


class Watch:
    """The longest callback since the last look."""

    def __init__(self) -> None:
        self.longest = 0.0

    def around(self, run: Any) -> Any:
        def timed(handle: Any) -> None:
            start = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - start)

        return timed

    def look(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


def main() -> int:
    watch = Watch()
    asyncio.events.Handle._run = watch.around(asyncio.events.Handle._run)  # type: ignore[method-assign]
    register = features.register

    def longest(server: Server, params: Any) -> float:
        return watch.look()

    def registered(server: Server) -> None:
        register(server)
        server.feature("layerlr/longest")(longest)

    features.register = registered
    return features.main()


if __name__ == "__main__":
    raise SystemExit(main())
