"""`layerlr view`: the page on loopback, what it shows while a file is being written, and who may ask for it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness import layerlr

CLEAN = 'model "net.json"\nepochs 10\n** -> lr 1e-3\nfreeze 0 until epoch 3\n'


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    from layerlr_dsl.model.inventory import Inventory

    monkeypatch.chdir(tmp_path)
    Inventory.of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))).save("net.json")


class Viewed:
    """A running `layerlr view`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "layerlr_dsl", "view", *arguments, "--no-open"]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", self.first)
        assert found is not None, self.first
        self.port = int(found[1])

    def get(self, path: str = "/", host: str | None = None) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path, headers={} if host is None else {"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def data(self) -> dict[str, Any]:
        found = re.search(r"let data = (\{.*\});\n", self.get()[1])
        assert found is not None
        return json.loads(found[1])  # type: ignore[no-any-return]

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(100):
            data = self.data()
            if true(data):
                return data
            time.sleep(0.1)
        raise AssertionError(f"never came true: {data['live']}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=10)


@pytest.fixture
def view(model: None) -> Iterator[Callable[..., Viewed]]:
    running: list[Viewed] = []

    def start(*arguments: str) -> Viewed:
        running.append(Viewed(*arguments))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()


def test_a_saved_file_is_redrawn_and_a_broken_one_keeps_its_picture(view: Any, tmp_path: Path) -> None:
    """Findings come in the place of nothing: the last good picture stays, and goes when they are mended."""
    file = tmp_path / "a.lr"
    file.write_text(CLEAN)
    viewed = view("a.lr")
    first = viewed.data()
    assert len(first["rules"]) == 2
    assert first["live"]["found"] == []
    file.write_text(CLEAN + "freeze 7\n")
    broken = viewed.until(lambda data: data["live"]["found"])
    assert broken["rules"] == first["rules"]
    assert broken["live"]["stale"] == "this is the last picture that could be drawn"
    assert broken["live"]["found"][0]["place"] == "a.lr:5:8"
    assert broken["live"]["found"][0]["excerpt"] == "freeze 7\n       ^"
    file.write_text(CLEAN + "1 -> lr 1e-5\n")
    mended = viewed.until(lambda data: not data["live"]["found"])
    assert len(mended["rules"]) == 3


def test_a_browser_is_told_at_once(view: Any, tmp_path: Path) -> None:
    """The page need not be loaded anew: the news come with the picture in them."""
    file = tmp_path / "a.lr"
    file.write_text(CLEAN)
    viewed = view("a.lr")
    version = viewed.data()["live"]["version"]
    with closing(http.client.HTTPConnection("127.0.0.1", viewed.port, timeout=20)) as connection:
        connection.request("GET", f"/events?since={version}")
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        file.write_text(CLEAN + "1 -> lr 1e-5\n")
        lines = iter(answer.readline, b"")
        news = json.loads(next(line for line in lines if line.startswith(b"data: "))[6:])
    assert news["version"] > version
    assert len(news["drawing"]["rules"]) == 3


def test_a_file_that_is_broken_from_the_start_shows_its_findings(view: Any, tmp_path: Path) -> None:
    """There is no picture to keep, and nothing fails for it."""
    (tmp_path / "a.lr").write_text("** ->\n")
    data = view("a.lr").data()
    assert "blocks" not in data
    assert data["live"]["found"][0]["code"] == "LR005"
    assert data["live"]["stale"] == "nothing can be drawn yet"


def test_a_deleted_file_is_told_of(view: Any, tmp_path: Path) -> None:
    """Some editors delete and write anew: the page waits for it."""
    file = tmp_path / "a.lr"
    file.write_text(CLEAN)
    viewed = view("a.lr")
    file.unlink()
    gone = viewed.until(lambda data: data["live"]["found"])
    assert "no such file" in gone["live"]["found"][0]["message"]
    file.write_text(CLEAN)
    viewed.until(lambda data: not data["live"]["found"])


def test_a_run_of_unknown_length_is_drawn_as_if(view: Any, tmp_path: Path) -> None:
    """A preview does not ask for what the file does not say; it tells what it supposed."""
    (tmp_path / "a.lr").write_text('model "net.json"\n** -> lr 1e-3\n')
    data = view("a.lr").data()
    assert data["end"] == 10
    assert "as if it were 10 epochs" in data["live"]["stale"]


def test_only_this_machine_is_answered_and_only_under_its_name(view: Any, tmp_path: Path) -> None:
    """A page elsewhere that points its own name at loopback must not read the rules."""
    (tmp_path / "a.lr").write_text(CLEAN)
    viewed = view("a.lr")
    assert viewed.get(host=f"localhost:{viewed.port}")[0] == 200
    assert viewed.get(host="evil.example")[0] == 403
    assert viewed.get(host=f"evil.example:{viewed.port}")[0] == 403
    assert viewed.get("/events", host="evil.example")[0] == 403
    assert viewed.get("/../etc/passwd")[0] == 404


def test_ctrl_c_ends_it_with_130_and_no_traceback(view: Any, tmp_path: Path) -> None:
    """As every command ends."""
    (tmp_path / "a.lr").write_text(CLEAN)
    viewed = view("a.lr")
    assert viewed.first == f"http://127.0.0.1:{viewed.port}/ shows a.lr; Ctrl-C stops\n"
    assert viewed.stop() == 130
    assert viewed.process.stdout is not None
    assert viewed.process.stdout.read() == ""


def test_what_cannot_be_viewed_is_refused(model: None, tmp_path: Path) -> None:
    """A missing file, standard input, and a port that is taken: status 2, and what to do."""
    (tmp_path / "a.lr").write_text(CLEAN)
    assert layerlr("view", "missing.lr", "--no-open").status == 2
    assert layerlr("view", "-", "--no-open").status == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = layerlr("view", "a.lr", "--no-open", "--port", str(taken.getsockname()[1]))
    assert done.status == 2
    assert "cannot be had" in done.err


def test_a_model_that_is_written_anew_is_drawn_anew(view: Any, tmp_path: Path) -> None:
    """The inventory takes part as the rules do: what was read once is not what holds for ever."""
    from torch import nn

    from layerlr_dsl.model.inventory import Inventory

    (tmp_path / "a.lr").write_text('model "net.json"\nepochs 10\n** -> lr 1e-3\n')
    viewed = view("a.lr")
    assert viewed.data()["rules"][0][4] == 4
    Inventory.of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))).save("net.json")
    viewed.until(lambda data: data["rules"][0][4] == 6)


def test_an_included_file_that_turns_up_is_noticed(view: Any, tmp_path: Path) -> None:
    """It was in no list of files to look at, since there was none."""
    (tmp_path / "a.lr").write_text(CLEAN + 'include "more.lr"\n')
    viewed = view("a.lr")
    assert viewed.data()["live"]["found"][0]["code"] == "LR113"
    (tmp_path / "more.lr").write_text("1 -> lr 1e-5\n")
    viewed.until(lambda data: not data["live"]["found"] and len(data["rules"]) == 3)


def test_a_page_left_open_is_told_what_is_new_by_the_next_server(view: Any, tmp_path: Path) -> None:
    """Both begin at their first picture, and it need not be the same."""
    file = tmp_path / "a.lr"
    file.write_text(CLEAN)
    first = view("a.lr")
    seen = first.data()["live"]["version"]
    first.stop()
    file.write_text(CLEAN + "1 -> lr 1e-5\n")
    second = view("a.lr", "--port", str(first.port))
    assert second.data()["live"]["version"] > seen
