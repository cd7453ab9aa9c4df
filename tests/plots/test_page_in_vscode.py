"""The page as VS Code's preview shows it, in a real browser: the editor's theme is its own, and a rule is asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from browser import driven, needs_browser
from pages import plan_of

from layerlr_dsl.editor import vsix
from layerlr_dsl.plots import html
from layerlr_dsl.plots.network import drawing

pytestmark = [
    needs_browser,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node to dress the page"),
]
_STAND_IN = """<script>
var sent = [];
function acquireVsCodeApi() { return { setState: state => sent.push(state), postMessage: said => sent.push(said) }; }
</script></head>"""
_VARIABLES = "--vscode-editor-background: %s; --vscode-editor-foreground: %s; --vscode-focusBorder: #0078d4"


def dressed(theme: str, paper: str, ink: str) -> str:
    """The page of `layerlr view` with what the extension adds, in a body that VS Code has marked."""
    page = html.following(
        "a.lr", {"drawing": html.data(drawing(plan_of(), "a.lr on Net")), "found": [], "stale": ""}
    )
    script = (
        f"const {{ dressed }} = require({json.dumps(str(vsix.extension_folder() / 'preview.js'))})({{}});"
        "process.stdout.write(dressed(require('fs').readFileSync(0, 'utf8'), 'file:///a.lr'));"
    )
    made = subprocess.run(
        ["node", "-e", script], input=page, capture_output=True, text=True, check=True
    ).stdout
    marked = made.replace("<body>", f'<body data-vscode-theme-kind="{theme}">', 1)
    return marked.replace("<html ", f'<html style="{_VARIABLES % (paper, ink)}" ').replace(
        "</head>", _STAND_IN
    )


def test_the_theme_is_the_editor_s_and_follows_it(tmp_path: Path) -> None:
    """Dark in a dark editor on a light system; light again once the editor is."""
    steps = """
    const seen = () => [getComputedStyle(document.body).backgroundColor, getComputedStyle($("play")).backgroundColor,
      document.documentElement.style.colorScheme, matchMedia("(prefers-color-scheme: dark)").matches];
    const before = seen();
    document.body.dataset.vscodeThemeKind = "vscode-light";
    await new Promise(resolve => setTimeout(resolve, 50));
    done([before, seen()]);
    """
    dark, light = driven(dressed("vscode-dark", "#1f1f1f", "#cccccc"), steps, tmp_path, wait=2000)
    assert dark == ["rgb(31, 31, 31)", "rgb(22, 27, 34)", "dark", True]
    assert light == ["rgb(31, 31, 31)", "rgb(246, 248, 250)", "light", False]


def test_a_rule_that_is_chosen_is_asked_for_and_one_that_is_let_go_is_not(tmp_path: Path) -> None:
    """The editor is told where it is written, and first of all whose page this is."""
    steps = """
    const rule = document.querySelector("#rules button");
    rule.click();
    rule.click();
    done([sent, data.rules[0][1]]);
    """
    sent, place = driven(dressed("vscode-light", "#ffffff", "#000000"), steps, tmp_path, wait=2000)
    assert sent == [{"uri": "file:///a.lr"}, {"rule": place}]
