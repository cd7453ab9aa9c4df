"""The extension in a real VS Code: its server with a web client (`npm install -g code-server playwright-core`)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerlr_dsl.editor import vsix

_CODE, _NODE = shutil.which("code-server"), shutil.which("node")
_BROWSER = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    None in (_CODE, _NODE, _BROWSER), reason="needs code-server, Node and Chromium to show VS Code"
)
_SETTINGS = {
    "workbench.colorTheme": "Default Dark Modern",
    "workbench.startupEditor": "none",
    "security.workspace.trust.enabled": False,
    "editor.formatOnSave": True,
    "files.autoSave": "off",
}


def _environment() -> dict[str, str]:
    """With the modules beside code-server in reach of a script of Node."""
    assert _CODE is not None
    modules = next((str(at) for at in Path(_CODE).resolve().parents if at.name == "node_modules"), "")
    return {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, (modules, os.environ.get("NODE_PATH"))))}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A VS Code of its own with the extension in it, as long as the test runs."""
    probe = "require.resolve('playwright-core')"
    if subprocess.run(["node", "-e", probe], env=_environment(), capture_output=True, check=False).returncode:
        pytest.skip("needs playwright-core beside code-server")
    data = tmp_path / "data"
    command = [sys.executable, "-m", "layerlr_dsl", "lsp"]
    for folder, settings in (("User", _SETTINGS), ("Machine", {"layerlr.command": command})):
        (data / folder).mkdir(parents=True)
        (data / folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    places = ["--user-data-dir", str(data), "--extensions-dir", str(tmp_path / "extensions")]
    packed = vsix.pack(tmp_path / "layerlr.vsix")
    assert _CODE is not None
    subprocess.run([_CODE, *places, "--install-extension", str(packed)], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen(
        [_CODE, *places, "--auth", "none", "--bind-addr", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait(30)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("code-server does not listen")


def driven(address: str, file: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("vs_code_session.js")
    command = ["node", str(script), address, str(file), str(_BROWSER)]
    done = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_what_a_person_sees(address: str, folder: Path) -> None:
    """Colours, a finding and its fix, the picture in the editor's theme, a rule found in the text, a broken file."""
    file = folder / "a.lr"
    file.write_text('model "m.json"\n** -> lr 1\nlayers -> wd 1\n', encoding="utf-8")
    seen = driven(address, file)
    assert len(set(seen["colours"].values())) == 3
    assert "did you mean `weight_decay`?" in seen["hover"]
    assert seen["title"] == seen["kept"] == "a.lr on m.json"
    assert seen["paper"] == "rgb(31, 31, 31)"
    assert "LR005" in seen["broken"]
    assert "this is the last picture that could be drawn" in seen["broken"]
    assert file.read_text(encoding="utf-8").splitlines()[2] == "layers -> weight_decay 1"
