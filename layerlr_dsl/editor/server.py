"""The language server: documents kept in step, findings published, slow work handed to other processes.

Nothing here waits: reading and checking go on in slices, models are matched and resolved by the analyst,
and built, where they have to be, by a process of their own. torch is never imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidRequest
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from layerlr_dsl.editor import wire
from layerlr_dsl.editor.findings import Snapshot
from layerlr_dsl.editor.link import Builds, Link, LinkDown
from layerlr_dsl.editor.session import Session
from layerlr_dsl.model.spec_syntax import located
from layerlr_dsl.tools.version import __version__

logger = logging.getLogger(__name__)

SLICE = 0.008
"""Seconds of reading and checking between two looks at what the client says."""
QUIET = 0.25
"""Seconds without a change after which the analyst is asked."""
TIDY = 300
"""Seconds between two full passes of the collector."""
_COLLECTOR = (20_000, 20, 100_000)
BUILD_QUIET = 0.75
"""Seconds more after which a model that is not stored is built."""


@dataclass
class Settings:
    """What a client may set when it starts the server (`initializationOptions`)."""

    root: Path | None = None
    epochs: float | None = None
    steps_per_epoch: int | None = None

    @staticmethod
    def of(options: Any) -> Settings:
        """Read leniently: what is missing or of the wrong kind is left out."""

        def number(key: str) -> Any:
            value = options.get(key)
            right = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
            return value if right else None

        if not isinstance(options, dict):
            options = getattr(options, "_asdict", dict)()
        root = options.get("root")
        steps = number("stepsPerEpoch")
        return Settings(
            Path(root) if isinstance(root, str) and root else None,
            number("epochs"),
            int(steps) if steps is not None and steps >= 1 else None,
        )


@dataclass(eq=False)
class Open:
    """An open document with what is going on about it."""

    session: Session
    closed: bool = False
    working: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    analysing: bool = False
    again: bool = False
    building: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def settled(self) -> bool:
        """Whether all that can be known of the present text is known."""
        busy = self.working is not None or self.timer is not None or self.analysing or self.building
        return not busy and self.session.settled


class Protocol(LanguageServerProtocol):
    """Keeps texts itself: pygls' own copies end lines where the protocol does not. Answers every request."""

    _server: Server

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A request that cannot be read is answered all the same: its client waits."""
        try:
            return super().structure_message(data)
        except JsonRpcException as fault:
            if "method" in data and "id" in data:
                self._send_response(data["id"], error=fault.to_response_error())
            raise

    def handle_message(self, message: Any) -> None:
        """A request that comes behind `shutdown` is refused aloud."""
        if self._shutdown and hasattr(message, "method") and hasattr(message, "id"):
            fault = JsonRpcInvalidRequest("the server is shutting down")
            self._send_response(message.id, error=fault.to_response_error())
            return
        super().handle_message(message)

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self._server.open(document.uri, document.text, document.version)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self._server.change(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.close(params.text_document.uri)


class Server(LanguageServer):
    """Open documents, and the processes that work for them."""

    def __init__(self) -> None:
        super().__init__("layerlr", __version__, protocol_cls=Protocol)
        self.settings = Settings()
        self.documents: dict[str, Open] = {}
        self.link = Link()
        self.formatter = Link()
        self.painter = Link()
        self.builds = Builds()
        self.finished = False
        self.status = 0
        """What the process exits with: 1 if the client says `exit` without `shutdown` before it."""
        self._tidied = time.monotonic()

    @property
    def encoding(self) -> str:
        encoding = self.protocol.server_capabilities.position_encoding
        return str(getattr(encoding, "value", encoding) or "utf-16")

    # ------------------------------------------------------------ documents

    def open(self, uri: str, text: str, version: int) -> None:
        self.close(uri)
        session = Session(uri, wire.path_of(uri), text, self.settings.root, self.encoding)
        session.version = version
        self.documents[uri] = Open(session)
        self.wake(self.documents[uri])

    def change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self.documents.get(params.text_document.uri)
        if document is None:
            logger.warning("a change of %s, which is not open", params.text_document.uri)
            return
        session = document.session
        for change in params.content_changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = change.range.start, change.range.end
                session.replace((start.line, start.character), (end.line, end.character), change.text)
            else:
                session.replace_all(change.text)
        session.version = params.text_document.version
        self.wake(document)

    def close(self, uri: str) -> None:
        document = self.documents.pop(uri, None)
        if document is None:
            return
        document.closed = True
        if document.timer is not None:
            document.timer.cancel()
        self._send("textDocument/publishDiagnostics", {"uri": uri, "diagnostics": []})

    def look_again(self) -> None:
        """Files on disk have changed: includes and models may be others now."""
        self.builds.forget_failures()
        for document in self.documents.values():
            document.session.touch()
            self.wake(document)

    async def settled(self, uri: str) -> Session | None:
        """The session of a document once all that can be known of its present text is known; None if not open."""
        document = self.documents.get(uri)
        while document is not None and not document.closed and not document.settled:
            await asyncio.sleep(0.01)
        return None if document is None else document.session

    def sessions(self) -> Iterator[Session]:
        return (document.session for document in self.documents.values())

    async def ready(self, uri: str) -> Session | None:
        """The session of a document once its present text has been read; None if it is not open."""
        document = self.documents.get(uri)
        while document is not None and not document.closed and document.working is not None:
            await asyncio.wait([document.working])
        return None if document is None or document.closed else document.session

    # ------------------------------------------------------------ at once

    def wake(self, document: Open) -> None:
        """Work on a document that has changed, and ask the analyst once it is quiet."""
        self._work_on(document)
        if document.timer is not None:
            document.timer.cancel()
        loop = asyncio.get_running_loop()
        document.timer = loop.call_later(QUIET, self._ask_analyst, document)

    def _work_on(self, document: Open) -> None:
        if document.working is None:
            document.working = asyncio.get_running_loop().create_task(self._work(document))

    async def _work(self, document: Open) -> None:
        try:
            while not document.closed and not document.session.work(SLICE):
                await asyncio.sleep(0)
            self.publish(document)
        except Exception:
            # What a text cannot be told must not end the server; the next change starts anew.
            logger.exception("working on %s failed", document.session.uri)
            document.session.restart()
            document.session.settled = True
        finally:
            document.working = None

    def publish(self, document: Open) -> None:
        if document.closed:
            return
        session = document.session
        params = {
            "uri": session.uri,
            "version": session.version,
            "diagnostics": wire.diagnostics(session),
        }
        self._send("textDocument/publishDiagnostics", params)

    def _send(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification that is plain data already: pygls' converter takes 100 us a finding."""
        if self.protocol.writer is None:
            return
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.protocol.writer.write(f"Content-Length: {len(body)}\r\n\r\n{body}".encode())

    # ------------------------------------------------------------ a moment later

    def _ask_analyst(self, document: Open) -> None:
        document.timer = None
        if document.closed:
            return
        if document.analysing:
            document.again = True
            return
        document.analysing = True
        self._start(document, self._analyse(document))

    def _start(self, document: Open, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        document.tasks.add(task)
        task.add_done_callback(document.tasks.discard)

    async def _analyse(self, document: Open) -> None:
        try:
            document.again = True
            while document.again and not document.closed:
                document.again = False
                await self._analyse_once(document)
        except LinkDown as reason:
            if not document.closed:
                logger.warning("%s: %s", document.session.uri, reason)
        except Exception:
            logger.exception("taking in the analysis of %s failed", document.session.uri)
        finally:
            document.analysing = False

    async def _analyse_once(self, document: Open) -> None:
        session = await self.ready(document.session.uri)
        if session is None or session is not document.session:
            return
        snapshot, version = session.snapshot(), session.version
        result = await self.link.ask("analyse", **self.request(session))
        if document.closed or (session.large and session.version != version):
            return
        await self._absorb(session, result, snapshot)
        if document.closed or (session.large and session.version != version):
            return
        self._work_on(document)
        self._refresh_hints()
        self._tidy()
        if session.model_state == "missing" and session.model_spec is not None:
            document.building += 1
            self._start(document, self._build(document, session.model_spec))

    async def _absorb(self, session: Session, result: dict[str, Any], snapshot: Snapshot) -> None:
        """Take an answer in, in slices: one about thousands of rules would keep everybody waiting."""
        until = time.perf_counter() + SLICE
        for _ in session.absorbing(result, snapshot):
            if time.perf_counter() >= until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE

    def request(self, session: Session) -> dict[str, Any]:
        """What the analyst has to know of a document."""
        folder = self._folder(session)
        key = (self._located(session, session.named_model() or ""), folder)
        return {
            "text": session.text.content,
            "name": session.name,
            "path": None if session.path is None else str(session.path),
            "root": None if session.root is None else str(session.root),
            "encoding": session.text.encoding,
            "epochs": self.settings.epochs,
            "steps_per_epoch": self.settings.steps_per_epoch,
            "built": self.builds.inventories.get(key),
            "failure": self.builds.failures.get(key),
            "known": session.model_key if session.tree is not None else None,
        }

    @staticmethod
    def _folder(session: Session) -> str:
        if session.root is not None:
            return str(session.root)
        return str(session.path.parent if session.path is not None else Path.cwd())

    def _located(self, session: Session, spec: str) -> str:
        beside = None if session.path is None else session.path.parent
        return located(spec, beside, Path(self._folder(session)))

    async def _build(self, document: Open, spec: str) -> None:
        """Build a model that no one has built before, unless the document names another by then."""
        try:
            await asyncio.sleep(BUILD_QUIET)
            session = document.session
            if document.closed or session.named_model() != spec:
                return
            async with self._progress(f"building {spec}"):
                await self.builds.build(self._located(session, spec), self._folder(session))
            for other in self.documents.values():
                if other.session.named_model() == spec:
                    self._ask_analyst(other)
        finally:
            document.building -= 1

    # ------------------------------------------------------------ the client

    @contextlib.asynccontextmanager
    async def _progress(self, title: str) -> Any:
        window = self.client_capabilities.window
        if window is None or not window.work_done_progress:
            yield
            return
        token = f"layerlr-{id(asyncio.current_task())}"
        await self.work_done_progress.create_async(token)
        self.work_done_progress.begin(token, types.WorkDoneProgressBegin(title=title))
        try:
            yield
        finally:
            self.work_done_progress.end(token, types.WorkDoneProgressEnd())

    def settle_memory(self) -> None:
        """Keep the collector from what is there to stay, and from long passes while somebody types.

        A full pass over the libraries alone takes 50 ms. What documents leave behind is gathered once in a while, after an analysis.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTOR)

    def _tidy(self) -> None:
        if time.monotonic() > self._tidied + TIDY:
            gc.collect()
            self._tidied = time.monotonic()

    def _refresh_hints(self) -> None:
        workspace = self.client_capabilities.workspace
        hints = workspace.inlay_hint if workspace is not None else None
        if hints is not None and hints.refresh_support:
            self.protocol.send_request(types.WORKSPACE_INLAY_HINT_REFRESH, None)

    async def finish(self) -> None:
        """End the processes that work for the server, and wait for them."""
        self.finished = True
        self.kill()
        await asyncio.gather(
            self.link.ended(), self.formatter.ended(), self.painter.ended(), self.builds.ended()
        )

    def kill(self) -> None:
        """End the processes that work for the server."""
        for document in self.documents.values():
            document.closed = True
        self.link.kill()
        self.formatter.kill()
        self.painter.kill()
        self.builds.kill()
