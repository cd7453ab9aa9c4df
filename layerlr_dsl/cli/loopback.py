"""A page served to browsers on this machine alone, which is told when there is something new."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
PULSE = 10.0
"""Seconds after which an idle connection is written to, so that a closed one is noticed."""


class Board:
    """The newest news, by version; readers wait for the next.

    Versions begin at the time in milliseconds, so that a page left open is told what is new by the next server at its address.
    """

    def __init__(self) -> None:
        self._news: dict[str, Any] = {}
        self._version = time.time_ns() // 1_000_000
        self._changed = threading.Condition()

    def post(self, news: dict[str, Any]) -> None:
        """Put up news; what says the same as what is up already is none."""
        with self._changed:
            if {**news, "version": self._version} == self._news:
                return
            self._version += 1
            self._news = {**news, "version": self._version}
            self._changed.notify_all()

    def newest(self) -> dict[str, Any]:
        with self._changed:
            return self._news

    def after(self, version: int, timeout: float) -> dict[str, Any] | None:
        """The newest news of another version, as soon as there is any; None after `timeout` seconds."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._version != version, timeout)
            return self._news if found else None


class Loopback(ThreadingHTTPServer):
    """Serves `page()` at `/` and what is posted on `board` at `/events`. Raises OSError for a port in use."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, page: Callable[[], str], board: Board) -> None:
        super().__init__((HOST, port), _Handler)
        self.page = page
        self.board = board

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def names(self) -> set[str]:
        """What a request may call this server: another name is a page elsewhere that points its name here."""
        return {f"{host}:{self.server_port}" for host in (HOST, "localhost")}

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Loopback
    protocol_version = "HTTP/1.1"
    server_version = "layerlr"
    sys_version = ""

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if self.headers.get("Host") not in self.server.names():
            self.send_error(403, "Not a name of this server")
        elif place.path == "/":
            self._page()
        elif place.path == "/events":
            self._events(parse_qs(place.query))
        else:
            self.send_error(404)

    def _page(self) -> None:
        content = self.server.page().encode()
        self._begin("text/html; charset=utf-8", {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _events(self, query: dict[str, list[str]]) -> None:
        """News as they come, until the browser goes away."""
        self.close_connection = True
        self._begin("text/event-stream", {"Connection": "close"})
        seen = _number(self.headers.get("Last-Event-ID") or query.get("since", ["0"])[0])
        while True:
            news = self.server.board.after(seen, PULSE)
            if news is None:
                self.wfile.write(b":\n\n")
            else:
                seen = news["version"]
                self.wfile.write(f"id: {seen}\ndata: {json.dumps(news)}\n\n".encode())
            self.wfile.flush()

    def _begin(self, kind: str, headers: dict[str, str]) -> None:
        self.send_response(200)
        shared = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in {**shared, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are nothing to tell of."""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
