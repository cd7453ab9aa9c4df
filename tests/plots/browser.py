"""Driving a page in a real browser, where there is one: a script of steps is put into the page, and its answer read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATH = next((found for name in _NAMES if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(_PATH is None, reason="no Chromium is installed to draw the page")

_TOOLS = """
const errors = [];
addEventListener("error", event => errors.push(String(event.message)));
const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const block = path => document.querySelector(`[data-path="${path}"]`);
const text = id => document.getElementById(id).textContent;
const done = value => {
  if (parent !== window) { parent.postMessage({ value, errors }, "*"); return; }
  const node = document.createElement("pre");
  node.id = "answer";
  node.textContent = JSON.stringify({ value, errors });
  document.body.append(node);
};
"""


_AROUND = """<!doctype html><body style="margin:0"><iframe src="inner.html" style="border:0;width:%dpx;height:900px">
</iframe><script>addEventListener("message", event => {
  const node = document.createElement("pre");
  node.id = "answer";
  node.textContent = JSON.stringify(event.data);
  document.body.append(node);
});</script></body>"""
NARROWEST = 500
"""What a window of Chromium cannot be narrower than; a frame in it can."""


def driven(
    page: str, steps: str, folder: Path, *, width: int = 1280, dark: bool = False, wait: int = 0
) -> Any:
    """What the steps hand to `done`, after the page was drawn. wait: milliseconds of the browser's time to run."""
    path = folder / "page.html"
    script = f"<script>{_TOOLS}\n(async () => {{ {steps} }})().catch(fault => done(String(fault)));</script>"
    whole = page.replace("</body>", f"{script}</body>")
    if width < NARROWEST:
        (folder / "inner.html").write_text(whole, encoding="utf-8")
        whole, wait = _AROUND % width, wait or 3000
    path.write_text(whole, encoding="utf-8")
    assert _PATH is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--window-size={width},900"]
    flags += [f"--user-data-dir={folder / 'profile'}"]
    if dark:
        flags.append("--force-dark-mode")
    if wait:
        flags.append(f"--virtual-time-budget={wait}")
    ran = subprocess.run(
        [_PATH, *flags, path.as_uri()], capture_output=True, text=True, timeout=120, env={**os.environ}
    )
    found = re.search(r'<pre id="answer">(.*?)</pre>', ran.stdout, re.S)
    assert found is not None, ran.stderr[-2000:]
    answer = json.loads(unescape(found[1]))
    assert not answer["errors"]
    return answer["value"]
