"""A language client as small as can be: JSON-RPC over the standard input and output of a real server."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE = 60.0


class Failed(Exception):
    """The server answered with an error."""


class Client:
    """Starts `layerlr lsp`, speaks to it, and keeps the newest diagnostics of every document."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str] | None = None,
        options: dict[str, Any] | None = None,
        encodings: tuple[str, ...] = (),
        server: tuple[str, ...] = ("-m", "layerlr_dsl", "lsp"),
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=environment,
        )
        self.folder = folder
        self.diagnostics: dict[str, dict[str, Any]] = {}
        self.published: list[dict[str, Any]] = []
        self.refreshed = 0
        self.versions: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        general = {"general": {"positionEncodings": list(encodings)}} if encodings else {}
        self.capabilities = self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "initializationOptions": options or {},
                "capabilities": {
                    **general,
                    "workspace": {"inlayHint": {"refreshSupport": True}},
                    "textDocument": {},
                },
            },
        )["capabilities"]
        self.notify("initialized", {})

    # ------------------------------------------------------------ speaking

    def request(self, method: str, params: Any, patience: float = PATIENCE) -> Any:
        number = next(self._numbers)
        answers = self._answers[number] = queue.Queue()
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        answer = answers.get(timeout=patience)
        if "error" in answer:
            raise Failed(answer["error"]["message"])
        return answer["result"]

    def notify(self, method: str, params: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params})

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while header := self.process.stdout.readline():
            size = 0
            while header.strip():
                name, _, value = header.decode().partition(":")
                if name.lower() == "content-length":
                    size = int(value)
                header = self.process.stdout.readline()
            self._receive(json.loads(self.process.stdout.read(size)))

    def _receive(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answers.pop(message["id"]).put(message)
            return
        if message["method"] == "textDocument/publishDiagnostics":
            with self._news:
                self.diagnostics[message["params"]["uri"]] = message["params"]
                self.published.append(message["params"])
                self._news.notify_all()
        elif "id" in message:
            self.refreshed += message["method"] == "workspace/inlayHint/refresh"
            self._write({"jsonrpc": "2.0", "id": message["id"], "result": None})

    def close(self) -> int:
        """Shut the server down; its exit status."""
        self.request("shutdown", None)
        return self.leave()

    def leave(self) -> int:
        """Say `exit` and nothing else; the server's exit status."""
        self.notify("exit", None)
        status = self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return status

    # ------------------------------------------------------------ documents

    def open(self, name: str, text: str) -> str:
        """Write a file and open it; its URI."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8", newline="")
        uri = path.as_uri()
        self.versions[uri] = 1
        document = {"uri": uri, "languageId": "layerlr", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def change(self, uri: str, *changes: dict[str, Any]) -> int:
        """Send changes; the new version."""
        self.versions[uri] += 1
        document = {"uri": uri, "version": self.versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})
        return self.versions[uri]

    def wait_for_version(self, uri: str, version: int) -> list[dict[str, Any]]:
        """The first diagnostics published for a version."""

        def there() -> bool:
            return uri in self.diagnostics and (self.diagnostics[uri].get("version") or 0) >= version

        with self._news:
            assert self._news.wait_for(there, PATIENCE), "no diagnostics came"
            found: list[dict[str, Any]] = self.diagnostics[uri]["diagnostics"]
            return found

    def settled(self, uri: str) -> dict[str, Any]:
        """Wait until the server knows all that can be known; what it believes the document to be."""
        state: dict[str, Any] = self.request("layerlr/settled", {"uri": uri})
        return state

    def findings(self, uri: str) -> list[dict[str, Any]]:
        """All diagnostics of a document once everything is known."""
        self.settled(uri)
        found: list[dict[str, Any]] = self.diagnostics[uri]["diagnostics"]
        return found

    def codes(self, uri: str) -> list[str]:
        return [d["code"] for d in self.findings(uri)]

    def at(self, method: str, uri: str, line: int, column: int, **more: Any) -> Any:
        """A request about a place."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        return self.request(f"textDocument/{method}", {**place, **more})


def edit(line: int, column: int, new: str, end: tuple[int, int] | None = None) -> dict[str, Any]:
    """A change of the text between two places; by default an insertion."""
    last_line, last_column = end or (line, column)
    return {
        "range": {
            "start": {"line": line, "character": column},
            "end": {"line": last_line, "character": last_column},
        },
        "text": new,
    }
