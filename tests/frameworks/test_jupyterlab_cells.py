"""The colours of `%%layerlr` cells in a real JupyterLab and a real Notebook, in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest

from layerlr_dsl.editor.jupyterlab import FOLDER

websocket = pytest.importorskip(
    "websocket", reason="websocket-client, which JupyterLab brings, drives the browser"
)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed to show the page")
RULES = "%%layerlr rules\nfreeze stem until epoch 2\n** -> lr 1e-3  # one\n"
COLOURS = """JSON.stringify([...document.querySelectorAll(".jp-CodeCell .cm-content")].map(cell =>
  [...cell.querySelectorAll(".layerlr")].map(span => [span.textContent, getComputedStyle(span).color])))"""
PATIENCE = 60  # seconds


def within(seconds, ask):
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError("nothing came in time")


class Page:
    """A page of a browser, asked over the protocol of its developer tools."""

    def __init__(self, port):
        pages = json.load(urlopen(f"http://127.0.0.1:{port}/json"))
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=PATIENCE)
        self.numbers = count(1)

    def call(self, method, **arguments):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        return answer["result"]

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression)["result"].get("value")

    def coloured(self):
        """Of each code cell, the words that the extension coloured, and how."""
        return [dict(cell) for cell in json.loads(self.value(COLOURS) or "[]")]


@pytest.fixture(params=["jupyterlab", "notebook"])
def address(request, tmp_path):
    """A notebook with a cell of rules and one of Python, served with the extension and without any settings."""
    pytest.importorskip(request.param)
    shutil.copytree(FOLDER, tmp_path / "data" / "labextensions" / "layerlr")
    cells = [nbformat.v4.new_code_cell(text) for text in (RULES, "freeze = 1  # one")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    log = tmp_path / "log"
    command = [sys.executable, "-m", request.param, "--no-browser", "--allow-root", "--port=0"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--IdentityProvider.token=t"],
            cwd=tmp_path, stdout=out, stderr=out, env={**os.environ, **own, "JUPYTER_PATH": str(tmp_path / "data")},
        )  # fmt: skip
    found = within(PATIENCE, lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
    place = {"jupyterlab": "lab/tree", "notebook": "notebooks"}[request.param]
    yield f"{found[0]}/{place}/a.ipynb?token=t"
    server.terminate()
    server.wait()


@pytest.fixture
def page(address, tmp_path):
    profile = Path(tmp_path, "profile")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]
    browser = subprocess.Popen(
        [BROWSER, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    port = within(
        PATIENCE, lambda: (at := profile / "DevToolsActivePort").exists() and at.read_text().split()[:1]
    )
    page = Page(port[0])
    yield page
    page.socket.close()
    browser.terminate()
    browser.wait()


def test_a_cell_of_rules_is_coloured_as_it_is_written(page):
    """Words of the language, selectors, options and values apart; Python is left alone; it follows what is typed."""
    rules, python = within(PATIENCE, lambda: len(found := page.coloured()) == 2 and found[0] and found)
    assert python == {}
    assert len({rules[word] for word in ("freeze", "stem", "lr", "1e-3", "# one")}) == 5
    assert rules["freeze"] == rules["until"]
    page.value("document.querySelector('.jp-CodeCell .cm-content').focus()")
    page.call("Input.insertText", text="#")
    assert within(PATIENCE, lambda: page.coloured() == [{}, {}])
    page.value("document.execCommand('delete')")
    assert within(PATIENCE, lambda: page.coloured()[0] == rules)
