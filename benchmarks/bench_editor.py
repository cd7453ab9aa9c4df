"""What the language server costs at the keyboard: a 500-line file against a model of 100,000 parameters.

python benchmarks/bench_editor.py

A real server over standard input and output; the time is from the moment a keystroke is sent to the moment
the client has read the diagnostics of that very version. "blocked" is how long the server takes at the same
time to answer a request about nothing, which is how long it does not listen. The rows of `make bench` on how long it
does not listen are the processor time of the longest stretch (see watched_server.py), over every kind of request.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "editor"))

from lsp_client import Client, edit
from measure import Row, report

LINES = 500
KEYSTROKES = 150


def rule_file() -> str:
    """A file of 500 lines, such as one grows: rules by layer, by kind and by expert, windows and freezes."""
    lines = [
        'model "mixture.json"',
        "epochs 30",
        "let base = 1e-3",
        "let decay = 0.9",
        "group experts = layers.*.experts",
        "optimizer adamw(weight_decay=0.05)",
        "schedule cosine(warmup=5%, floor=0.01)",
        "",
        "** -> lr base",
    ]
    shapes = (
        "layers.{l} -> lr base * decay ^ {d}  # layer {l}",
        "layers.{l}.attention.*_proj -> weight_decay 0.0{n}",
        "layers.{l}.experts.{{{n}..{m}}} -> lr *= 0.5",
        "layers.{l}.norm where ndim <= 1 -> weight_decay 0",
        "layers.{l}.experts.{n}.up_proj -> lr 1e-4 until epoch {e}",
        "freeze layers.{l}.experts.{n}.down_proj until epoch {e}",
        "# a remark on layer {l}",
    )
    number = 0
    while len(lines) < LINES - 5:
        layer = number % 60
        shape = shapes[number % len(shapes)]
        lines.append(
            shape.format(
                l=layer, d=59 - layer, n=10 + number % 80, m=20 + number % 80 + 90, e=number % 20 + 1
            )
        )
        number += 1
    lines += [
        "** where module is norm or ndim <= 1 -> weight_decay 0",
        "**.bias -> weight_decay 0",
        "layers.<i>.norm -> lr base * 0.5 ^ (last(i) - i)",
        "freeze embedding",
        "expect head lr == base",
    ]
    return "\n".join(lines) + "\n"


class Ping(threading.Thread):
    """Asks for nothing, over and over, and notes how long the answer took."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.times: list[float] = []
        self.running = True

    def run(self) -> None:
        while self.running:
            start = time.perf_counter()
            self.client.request("layerlr/settled", {"uri": ""})
            self.times.append(time.perf_counter() - start)
            time.sleep(0.01)


def keystrokes(text: str, kind: str) -> list[tuple[int, int, str]]:
    """Places and characters: inside rules, inside a let, or a new rule written from left to right."""
    lines = text.splitlines()
    if kind == "let":
        return [(2, len(lines[2]) + n, digit) for n, digit in enumerate("0" * 30)]
    if kind == "new rule":
        typed = (
            "layers.7.experts.{3..9}.down_proj where ndim > 1 -> weight_decay 0.01, lr base / 2 until epoch 9"
        )
        return [(250, n, character) for n, character in enumerate(typed)]
    generator = random.Random(0)
    places = [n for n, line in enumerate(lines) if "->" in line]
    chosen = [generator.choice(places) for _ in range(KEYSTROKES)]
    return [(n, generator.randint(0, len(lines[n])), generator.choice("01.ax *")) for n in chosen]


def typed(client: Client, uri: str, keys: list[tuple[int, int, str]], pause: float) -> list[float]:
    """The time of each keystroke in seconds."""
    times = []
    for line, column, character in keys:
        start = time.perf_counter()
        version = client.change(uri, edit(line, column, character))
        client.wait_for_version(uri, version)
        times.append(time.perf_counter() - start)
        time.sleep(pause)
    return times


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1e3


def whole(text: str, folder: Path) -> float:
    """Seconds that everything takes at once, in a process where the inventory is loaded already."""
    from layerlr_dsl.api import Rules
    from layerlr_dsl.language.checker import check
    from layerlr_dsl.language.source import Source
    from layerlr_dsl.model import Inventory

    inventory = Inventory.load(folder / "mixture.json")
    start = time.perf_counter()
    found = Rules(check(Source("mixture.lr", text, folder / "mixture.lr"))).check(inventory)
    taken = time.perf_counter() - start
    print(f"everything at once, as `layerlr validate` does it: {taken * 1e3:.0f} ms, {len(found)} findings\n")
    return taken


def rows() -> list[Row]:
    """What the table shows: the 95th percentile of a keystroke, in seconds of the wall clock."""
    from models import mixture

    from layerlr_dsl.model import Inventory

    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Inventory.of(mixture()).save(folder / "mixture.json")
        text = rule_file()
        client = Client(folder)
        for kind, label in (("anywhere", "into rules"), ("new rule", "a new rule"), ("let", "into a let")):
            uri = client.open("mixture.lr", text)
            client.settled(uri)
            times = typed(client, uri, keystrokes(text, kind), 0.03)
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
            p95 = percentile(times, 0.95) / 1e3
            found.append(Row(f"diagnostics after a keystroke, {label}, p95", p95, 0.03, "30 ms", 1.0))
        client.close()
        found += listening_rows(folder, text)
    return found


PATIENCE = 0.05
"""Seconds for which the server may stop listening, whatever it is asked."""


def asked(client: Client, uri: str, text: str) -> None:
    """Every request of an editor, where there is most to answer."""
    lines = text.splitlines()
    line = next(n for n, written in enumerate(lines) if "lr base" in written)
    document = {"textDocument": {"uri": uri}}
    whole = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": len(lines), "character": 0}}}
    for column in (3, lines[line].index("->") + 3, lines[line].index("base") + 1):
        for method in ("completion", "hover", "definition"):
            client.at(method, uri, line, column)
    client.at("references", uri, line, column, context={"includeDeclaration": True})
    client.at("rename", uri, line, column, newName="basis")
    client.request("textDocument/documentSymbol", document)
    client.request("textDocument/semanticTokens/full", document)
    client.request("textDocument/inlayHint", {**document, **whole})
    client.request("textDocument/codeAction", {**document, **whole, "context": {"diagnostics": []}})
    client.request("textDocument/formatting", {**document, "options": {"tabSize": 4, "insertSpaces": True}})
    client.settled(uri)


def listening_rows(folder: Path, text: str) -> list[Row]:
    """The longest for which the server does not listen, while it is asked and typed into."""
    long = text + "".join(f"layers.{n % 60}.norm -> lr {n}e-6  # remark {n}\n" for n in range(4500))
    found = []
    for label, content in ((f"{LINES} lines", text), (f"{len(long):,} characters", long)):
        client = Client(folder, server=(str(Path(__file__).with_name("watched_server.py")),))
        uri = client.open("mixture.lr", content)
        client.settled(uri)
        client.request("layerlr/longest", {})  # opening a file loads its model, once
        typed(client, uri, keystrokes(text, "anywhere")[:20], 0.03)
        asked(client, uri, content)
        longest = client.request("layerlr/longest", {})
        found.append(Row(f"longest not listening, {label}", longest, PATIENCE, "50 ms", 1.0))
        client.close()
    return found


def main() -> None:
    from models import mixture

    from layerlr_dsl.model import Inventory

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Inventory.of(mixture()).save(folder / "mixture.json")
        text = rule_file()
        taken = whole(text, folder)
        gc.collect()
        gc.disable()  # the passes over this process' own copy of the inventory would be counted as the server's
        client = Client(folder)
        print(f"{'typing':44} {'p50':>9} {'p95':>9} {'worst':>9} {'of whole':>9} {'blocked':>9}")
        for kind, pause, label in (
            ("anywhere", 0.03, "into rules, quickly"),
            ("anywhere", 0.6, "into rules, the analyst at work in between"),
            ("new rule", 0.03, "a new rule, from left to right"),
            ("let", 0.03, "into a let that 170 rules use"),
        ):
            uri = client.open("mixture.lr", text)
            client.settled(uri)
            ping = Ping(client)
            ping.start()
            times = typed(client, uri, keystrokes(text, kind), pause)
            ping.running = False
            ping.join()
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
            p95 = percentile(times, 0.95)
            print(
                f"{label:44} {percentile(times, 0.5):6.1f} ms {p95:6.1f} ms {max(times) * 1e3:6.1f} ms"
                f" {p95 / taken / 1e3:9.4f} {max(ping.times) * 1e3:6.1f} ms"
            )
        client.close()


if __name__ == "__main__":
    if "--json" in sys.argv:
        report(rows())
    else:
        main()
