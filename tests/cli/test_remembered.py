"""`validate` remembers clean files, and never says of a file what no longer holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import layerlr

from layerlr_dsl.cli import checking, remembered
from layerlr_dsl.model.inventory import Inventory

Write = Callable[..., Path]

CLEAN = "** -> lr 1e-3\n"
FAULTY = "** -> lr 1e-3, colour 5\n"
NAMES = ("fc.weight", "fc.bias")


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LAYERLR_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def judged(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really parsed and checked."""
    names: list[str] = []
    real = checking.check

    def spy(source: object, root: Path | None) -> object:
        names.append(source.name)  # type: ignore[attr-defined]
        return real(source, root)  # type: ignore[arg-type]

    monkeypatch.setattr(checking, "check", spy)
    return names


def _inventory(path: Path, names: tuple[str, ...] = NAMES) -> Path:
    from torch import nn

    model = nn.Module()
    for name in names:
        module, _, leaf = name.partition(".")
        if not hasattr(model, module):
            model.add_module(module, nn.Module())
        getattr(model, module).register_parameter(leaf, nn.Parameter(data=__import__("torch").ones(2, 2)))
    Inventory.of(model).save(path)
    return path


def _entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("clean-*.json"))


def test_a_clean_file_is_judged_once(write: Write, judged: list[str]) -> None:
    """The second answer is the first one, word for word, and nothing is parsed for it."""
    write("a.lr", CLEAN)
    first = layerlr("validate", "a.lr")
    second = layerlr("validate", "a.lr")
    assert (first.status, first.together) == (second.status, second.together)
    assert judged == ["a.lr"]


def test_notes_of_a_shared_include_are_counted_once_from_memory_too(write: Write, judged: list[str]) -> None:
    """Adding up the numbers of each file would count them twice."""
    _inventory(Path("m.json"))
    write("shared.lr", "fc.* -> lr 1e-2\nfc.weight -> lr 1e-3\n")
    for name in ("a.lr", "b.lr"):
        write(name, 'model "m.json"\ninclude "shared.lr"\n')
    alone = layerlr("validate", "a.lr")
    first = layerlr("validate", "a.lr", "b.lr")
    parsed = len(judged)
    second = layerlr("validate", "a.lr", "b.lr")
    assert "(1 note with --info)" in alone.out
    assert "(1 note with --info)" in first.out
    assert second.together == first.together
    assert len(judged) == parsed


@pytest.mark.parametrize(
    "arguments",
    [["--info"], ["--advice"], ["--format", "json"], ["--format", "github"], ["--fix"]],
    ids=" ".join,
)
def test_forms_that_show_more_than_the_summary_judge_anew(
    arguments: list[str], write: Write, judged: list[str]
) -> None:
    """They need the findings themselves, of which nothing is kept."""
    write("a.lr", CLEAN)
    layerlr("validate", "a.lr")
    judged.clear()
    layerlr("validate", "a.lr", *arguments)
    assert judged


def test_an_edited_file_is_judged_anew_even_with_its_old_time(write: Write, cache: Path) -> None:
    """Same name, same size, same modification time: only the content differs."""
    path = write("a.lr", "** -> lr 1e-3\n")
    assert layerlr("validate", "a.lr").status == 0
    time = path.stat().st_mtime_ns
    write("a.lr", "** -> lr 1e-*\n")
    os.utime(path, ns=(time, time))
    assert layerlr("validate", "a.lr").status == 1


def test_an_edited_include_is_judged_anew(write: Write, cache: Path) -> None:
    """The file itself is what it was."""
    write("a.lr", 'include "b.lr"\n')
    write("b.lr", CLEAN)
    assert layerlr("validate", "a.lr").status == 0
    write("b.lr", FAULTY)
    assert layerlr("validate", "a.lr").status == 1


def test_an_include_of_an_include_counts_too(write: Write, cache: Path) -> None:
    """At any depth."""
    write("a.lr", 'include "b.lr"\n')
    write("b.lr", 'include "c.lr"\n')
    write("c.lr", CLEAN)
    assert layerlr("validate", "a.lr").status == 0
    write("c.lr", FAULTY)
    assert layerlr("validate", "a.lr").status == 1


def test_a_new_file_that_takes_an_includes_place_is_seen(write: Write, cache: Path) -> None:
    """Includes are looked for beside the file first; every file that was read is what it was."""
    write("inner/a.lr", 'include "b.lr"\n')
    write("b.lr", CLEAN)
    assert layerlr("validate", "inner/a.lr", "--root", ".").status == 0
    write("inner/b.lr", FAULTY)
    assert layerlr("validate", "inner/a.lr", "--root", ".").status == 1


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_that_now_leads_elsewhere_is_seen(write: Write, cache: Path, tmp_path: Path) -> None:
    """The content at its old end is what it was."""
    write("good.lr", CLEAN)
    write("bad.lr", FAULTY)
    write("a.lr", 'include "b.lr"\n')
    link = tmp_path / "b.lr"
    link.symlink_to("good.lr")
    assert layerlr("validate", "a.lr").status == 0
    link.unlink()
    link.symlink_to("bad.lr")
    assert layerlr("validate", "a.lr").status == 1


def test_an_include_that_is_gone_is_seen(write: Write, cache: Path) -> None:
    """It is a finding that it is missing."""
    write("a.lr", 'include "b.lr"\n')
    gone = write("b.lr", CLEAN)
    assert layerlr("validate", "a.lr").status == 0
    gone.unlink()
    assert layerlr("validate", "a.lr").status == 1


def test_an_edited_inventory_is_judged_against(write: Write, cache: Path, tmp_path: Path) -> None:
    """A parameter that is no more leaves a rule without a match."""
    _inventory(tmp_path / "m.json")
    write("a.lr", 'model "m.json"\n** -> lr 1e-3\nfc.bias -> weight_decay 0\n')
    assert layerlr("validate", "a.lr").status == 0
    _inventory(tmp_path / "m.json", ("fc.weight",))
    assert layerlr("validate", "a.lr").status == 1


def test_other_options_are_another_question(write: Write, judged: list[str]) -> None:
    """An answer without a length of the run, or for another model, is none for this one."""
    write("a.lr", "** -> lr 1e-3\nfreeze fc.bias until epoch 5\n")
    _inventory(Path("m.json"))
    _inventory(Path("n.json"), ("head.weight",))
    assert layerlr("validate", "a.lr").status == 0
    assert layerlr("validate", "a.lr", "--model", "m.json", "--epochs", "10").status == 0
    assert layerlr("validate", "a.lr", "--model", "n.json", "--epochs", "10").status == 1
    shorter = layerlr("validate", "a.lr", "--model", "m.json", "--epochs", "2")
    assert "warning" in shorter.out
    assert len(judged) == 4


def test_a_model_named_on_the_command_line_belongs_to_the_folder_it_was_named_in(
    write: Write, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`m.json` in another folder is another model."""
    rules = write("a.lr", "fc.* -> lr 1e-3\n")
    for folder, names in (("one", NAMES), ("two", ("head.weight",))):
        (tmp_path / folder).mkdir()
        _inventory(tmp_path / folder / "m.json", names)
    monkeypatch.chdir(tmp_path / "one")
    assert layerlr("validate", rules, "--model", "m.json").status == 0
    monkeypatch.chdir(tmp_path / "two")
    assert layerlr("validate", rules, "--model", "m.json").status == 1


def test_a_wider_root_is_another_question(write: Write, cache: Path) -> None:
    """What a wide root allows, the file's own folder forbids."""
    write("b.lr", CLEAN)
    write("inner/a.lr", 'include "../b.lr"\n')
    assert layerlr("validate", "inner/a.lr", "--root", ".").status == 0
    assert layerlr("validate", "inner/a.lr").status == 1


@pytest.mark.parametrize("text", [FAULTY, "** -> lr 1e-3\nlet x = 1\nfreeze fc from epoch 9\nepochs 5\n"])
def test_what_has_findings_is_never_remembered(text: str, write: Write, judged: list[str]) -> None:
    """Each run finds them again."""
    _inventory(Path("m.json"))
    write("a.lr", 'model "m.json"\n' + text)
    first, second = layerlr("validate", "a.lr"), layerlr("validate", "a.lr")
    assert "with --info" not in first.out
    assert first.together == second.together
    assert "error" in first.together or "warning" in first.together
    assert len(judged) == 2


DAMAGE = {
    "empty": lambda good: b"",
    "cut": lambda good: good[:-20],
    "one byte changed": lambda good: good[:100] + bytes([good[100] ^ 1]) + good[101:],
    "no JSON, signed": lambda good: _signed(b"nothing"),
    "a list, signed": lambda good: _signed(b"[]"),
    "an empty object, signed": lambda good: _signed(b"{}"),
    "files of the wrong form, signed": lambda good: _with(good, files=[3]),
    "notes of the wrong form, signed": lambda good: _with(good, notes=5),
}


def _signed(text: bytes) -> bytes:
    from hashlib import sha256

    return sha256(text).hexdigest().encode() + b"\n" + text


def _with(good: bytes, **changes: object) -> bytes:
    return _signed(json.dumps(json.loads(good.partition(b"\n")[2]) | changes).encode())


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_ignored_and_written_anew(
    damage: Callable[[bytes], bytes], write: Write, judged: list[str], cache: Path
) -> None:
    """It costs the time of judging and nothing else."""
    write("a.lr", CLEAN)
    said = layerlr("validate", "a.lr").together
    (entry,) = _entries(cache)
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    assert layerlr("validate", "a.lr").together == said
    assert judged == ["a.lr", "a.lr"]
    assert entry.read_bytes() == good


def test_an_entry_moved_to_another_files_name_is_not_believed(write: Write, cache: Path) -> None:
    """It says which files it is about."""
    write("a.lr", CLEAN)
    layerlr("validate", "a.lr")
    (entry,) = _entries(cache)
    content = entry.read_bytes()
    write("b.lr", "** -> lr 1e-2\n")
    layerlr("validate", "b.lr")
    (other,) = set(_entries(cache)) - {entry}
    write("b.lr", FAULTY)
    other.write_bytes(content)
    assert layerlr("validate", "b.lr").status == 1


def test_an_upgraded_or_edited_package_judges_anew(
    write: Write, judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version may find what the old one did not."""
    write("a.lr", CLEAN)
    for change in ({"lark": "99"}, {"google_re2": "99"}):
        layerlr("validate", "a.lr")
        judged.clear()
        found = remembered.installed_versions(remembered.JUDGES)
        assert found is not None
        with monkeypatch.context() as later:
            later.setattr(remembered, "installed_versions", lambda names, f={**found, **change}: f)
            layerlr("validate", "a.lr")
        assert judged == ["a.lr"]
    layerlr("validate", "a.lr")
    judged.clear()
    with monkeypatch.context() as later:
        later.setattr(remembered, "_fingerprint", lambda: "another")
        layerlr("validate", "a.lr")
    assert judged == ["a.lr"]


def test_the_fingerprint_sees_every_file_of_the_package(tmp_path: Path) -> None:
    """A rule about a module, the grammar or a table that was edited, added or removed."""
    (tmp_path / "language" / "__pycache__").mkdir(parents=True)
    table = tmp_path / "language" / "table.json"
    table.write_text("{}")
    seen = [sorted(remembered._files(str(tmp_path)))]
    table.write_text("[]")
    os.utime(table, ns=(1, 1))
    seen.append(sorted(remembered._files(str(tmp_path))))
    (tmp_path / "language" / "more.py").write_text("")
    seen.append(sorted(remembered._files(str(tmp_path))))
    (tmp_path / "language" / "__pycache__" / "more.pyc").write_text("")
    assert sorted(remembered._files(str(tmp_path))) == seen[-1]
    assert len({tuple(each) for each in seen}) == 3


def test_another_version_of_the_models_library_judges_anew(
    write: Write, judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library may name its parameters otherwise in its next version."""
    write("a.lr", 'model "torchvision:squeezenet1_1"\n** -> lr 1e-3\n')
    layerlr("validate", "a.lr")
    layerlr("validate", "a.lr")
    assert judged == ["a.lr"]
    real = remembered.installed_versions

    def newer(names: tuple[str, ...]) -> dict[str, str] | None:
        found = real(names)
        return {**found, "torchvision": "99"} if found and "torchvision" in found else found

    monkeypatch.setattr(remembered, "installed_versions", newer)
    layerlr("validate", "a.lr")
    assert judged == ["a.lr", "a.lr"]


def test_models_that_run_code_are_never_remembered(
    write: Write, judged: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they import may change unseen."""
    write("own_code_of_mine.py", "from torch import nn\ndef make():\n    return nn.Linear(2, 2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    write("a.lr", CLEAN)
    for _ in range(2):
        assert layerlr("validate", "a.lr", "--model", "python:own_code_of_mine:make").status == 0
    assert judged == ["a.lr", "a.lr"]


def test_optimizers_of_other_packages_are_never_remembered(
    write: Write, judged: list[str], cache: Path
) -> None:
    """Their next version may take other options."""
    pytest.importorskip("pytorch_optimizer")
    write("a.lr", "optimizer lion\n** -> lr 1e-3\n")
    for _ in range(2):
        assert layerlr("validate", "a.lr").status == 0
    assert len(judged) == 2
    assert not _entries(cache)


def test_standard_input_is_never_remembered(judged: list[str]) -> None:
    """It is another text each time."""
    assert layerlr("validate", "-", stdin=CLEAN).status == 0
    assert layerlr("validate", "-", stdin=FAULTY).status == 1


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_a_pipe_under_a_files_name_is_never_remembered(cache: Path) -> None:
    """`layerlr validate <(...)`: the next pipe may have the same number."""
    for text, status in ((CLEAN, 0), (FAULTY, 1)):
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        try:
            assert layerlr("validate", f"/dev/fd/{reading}").status in (status, 2)
        finally:
            os.close(reading)
    assert not _entries(cache)


def test_a_file_that_changes_while_it_is_judged_is_not_remembered(
    write: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was judged is not what lies there now."""
    write("a.lr", CLEAN)
    real = checking.check

    def slow(source: object, root: Path | None) -> object:
        found = real(source, root)  # type: ignore[arg-type]
        write("a.lr", FAULTY)
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(checking, "check", slow)
        assert layerlr("validate", "a.lr").status == 0
    assert layerlr("validate", "a.lr").status == 1


def test_a_file_has_one_entry_however_often_it_is_edited(write: Write, cache: Path) -> None:
    """The store does not grow with each save."""
    for number in range(1, 5):
        write("a.lr", f"** -> lr {number}e-3\n")
        assert layerlr("validate", "a.lr").status == 0
    assert len(_entries(cache)) == 1


def test_one_file_with_findings_leaves_the_others_remembered(write: Write, judged: list[str]) -> None:
    """And the report is of all of them."""
    write("a.lr", CLEAN)
    write("b.lr", FAULTY)
    assert layerlr("validate", "a.lr", "b.lr").out.startswith("2 files: 1 error")
    judged.clear()
    assert layerlr("validate", "a.lr").status == 0
    assert judged == []


def test_a_folder_for_others_is_neither_read_nor_written(
    write: Write, judged: list[str], cache: Path
) -> None:
    """As with inventories."""
    if os.name == "nt":
        pytest.skip("no modes there")
    write("a.lr", CLEAN)
    cache.chmod(0o777)
    for _ in range(2):
        assert layerlr("validate", "a.lr").status == 0
    assert len(judged) == 2
    assert not _entries(cache)


def test_remembered_files_load_neither_parser_nor_planner(write: Write, cache: Path) -> None:
    """Nothing is imported that would only be needed to judge."""
    write("a.lr", 'model "torchvision:squeezenet1_1"\n** -> lr 1e-3\n')
    assert layerlr("validate", "a.lr").status == 0
    probe = (
        "import sys\nfrom layerlr_dsl.cli import run\nassert run(['validate', 'a.lr']) == 0\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'lark', 'pydantic', 'rich')"
        " or m.startswith(('layerlr_dsl.plan', 'layerlr_dsl.language.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        done.stdout.splitlines()[-1] == "['layerlr_dsl.language.numbers', 'layerlr_dsl.language.resources']"
    )
