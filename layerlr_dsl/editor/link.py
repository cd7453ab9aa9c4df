"""Talking to the analyst process, and building models in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_LONGEST_LINE = 2**30
_MOST_RESTARTS = 5


class LinkDown(Exception):
    """The analyst ended before it answered, or cannot be started."""


class Link:
    """One analyst process, started when it is first needed and again where it ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._restarts = 0

    async def ask(self, do: str, **message: Any) -> Any:
        """The result of a job. Raises LinkDown; a crash of the job itself is logged and raised so too."""
        async with self._starting:
            process = await self._running()
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        line = json.dumps({"id": number, "do": do, **message}) + "\n"
        assert process.stdin is not None
        try:
            process.stdin.write(line.encode())
            await process.stdin.drain()
        except (ConnectionError, RuntimeError):
            self._waiting.pop(number, None)
            raise LinkDown("the analyst is gone") from None
        return await future

    def kill(self) -> None:
        """End the process; it is not started again."""
        self._restarts = _MOST_RESTARTS + 1
        if self._process is not None:
            _kill(self._process)

    async def ended(self) -> None:
        """Wait until the process that was killed is gone."""
        if self._process is not None and self._reader is not None:
            await self._process.wait()
            await self._reader

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        if self._restarts > _MOST_RESTARTS:
            raise LinkDown("the analyst ended too often")
        self._restarts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "layerlr_dsl.editor.analyst",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            reply = json.loads(line)
            future = self._waiting.pop(reply["id"], None)
            if future is None or future.done():
                continue
            if "crash" in reply:
                logger.error("the analyst failed:\n%s", reply["crash"])
                future.set_exception(LinkDown("the analysis failed"))
            else:
                self._restarts = 0
                future.set_result(reply["result"])
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(LinkDown("the analyst ended"))


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


Failure = tuple[str, str | None]


class Builds:
    """Models that had to be built, by spec and folder: where the inventory is, or why there is none."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="layerlr-")
        self._numbers = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()
        self._closed = False
        self.inventories: dict[tuple[str, str], str] = {}
        self.failures: dict[tuple[str, str], Failure] = {}
        self.running: dict[tuple[str, str], asyncio.subprocess.Process | None] = {}

    async def build(self, spec: str, folder: str) -> bool:
        """Build a model unless that was tried already; whether there is anything new to know."""
        key = (spec, folder)
        if self._closed or key in self.running or key in self.inventories or key in self.failures:
            return False
        self.running[key] = None
        try:
            async with self._one_at_a_time:
                if not self._closed:
                    await self._build(key)
        finally:
            del self.running[key]
        return True

    def forget_failures(self) -> None:
        """Let what failed be tried again."""
        self.failures.clear()

    def kill(self) -> None:
        """End what is being built, and remove what was."""
        self._closed = True
        for process in self.running.values():
            if process is not None:
                _kill(process)
        self._folder.cleanup()

    async def ended(self) -> None:
        """Wait until what was killed is gone."""
        for process in list(self.running.values()):
            if process is not None:
                await process.wait()

    async def _build(self, key: tuple[str, str]) -> None:
        output = str(Path(self._folder.name) / f"{next(self._numbers)}.json")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "layerlr_dsl.editor.building",
            *key,
            output,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.running[key] = process
        said, complaints = await process.communicate()
        if self._closed:
            return
        if process.returncode == 0:
            self.inventories[key] = output
            return
        try:
            fault = json.loads(said)
            self.failures[key] = (fault["message"], fault["help"])
        except (ValueError, TypeError, KeyError):
            logger.error("building %s failed:\n%s", key[0], complaints.decode(errors="replace"))
            self.failures[key] = (f"{key[0]} could not be built", "see the server's log")
