"""Remembered inventories: found again without torch, and only where they can be trusted."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from architectures import TiedHead

from layerlr_dsl.model import Inventory, ModelError, cache_file, inventory_cache
from layerlr_dsl.model.inventory_cache import installed_versions
from layerlr_dsl.model.spec_syntax import parse_spec
from layerlr_dsl.model.specs import inventory_of_spec

SPEC = "timm:resnet10t"


def key(text: str = SPEC, **options) -> str:
    found = inventory_cache.key_of(parse_spec(text, **options))
    assert found is not None
    return found


def remembered(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


def test_an_inventory_is_remembered_whole(own_cache):
    """What comes out of the store is what went in, ties and all."""
    inventory = Inventory.of(TiedHead())
    assert inventory_cache.get(key()) is None
    inventory_cache.put(key(), inventory)
    found = inventory_cache.get(key())
    assert found is not None
    assert vars(found) == {**vars(inventory)}


def test_only_the_user_can_read_the_folder_and_its_files(own_cache):
    """Mode 0700, whatever the umask; no temporary file stays behind."""
    before = os.umask(0)
    try:
        inventory_cache.put(key(), Inventory.of(TiedHead()))
    finally:
        os.umask(before)
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(remembered(own_cache).stat().st_mode) == 0o600


def test_a_second_look_needs_no_torch(own_cache):
    """In a new process, the inventory comes from the store; neither torch nor timm nor pydantic is imported."""
    code = (
        "import sys\n"
        "from layerlr_dsl.model.specs import inventory_of_spec\n"
        f"print(len(inventory_of_spec({SPEC!r})))\n"
        "print(*{'torch', 'timm', 'pydantic', 'numpy'} & set(sys.modules))\n"
    )
    results = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        results.append(done.stdout.splitlines())
    assert results[0][0] == results[1][0]
    assert "torch" in results[0][1].split()
    assert results[1][1] == ""


def test_an_inventory_file_that_was_checked_is_not_checked_again(tmp_path):
    """The second look imports no pydantic; a file that was changed since is checked anew."""
    path = tmp_path / "model.json"
    Inventory.of(TiedHead()).save(path)
    code = (
        "import sys\n"
        "from layerlr_dsl.model.specs import inventory_of_spec\n"
        f"print(len(inventory_of_spec({str(path)!r}, allow_python=True)), 'pydantic' in sys.modules)\n"
    )
    expected = f"{len(Inventory.of(TiedHead()))} "
    for imported in ("True", "False"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected + imported
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(ModelError, match="is not an inventory"):
        inventory_of_spec(str(path), allow_python=True)


DAMAGE = {
    "cut short": lambda content: content[:-10],
    "empty": lambda content: b"",
    "one byte changed": lambda content: content[:-50] + b"X" + content[-49:],
    "other JSON under its right digest": lambda content: _signed(b'{"version": 1}'),
    "no JSON under its right digest": lambda content: _signed(b"\xff"),
    "deep JSON under its right digest": lambda content: _signed(b"[" * 200_000),
}


def _signed(text: bytes) -> bytes:
    from hashlib import sha256

    return sha256(text).hexdigest().encode() + b"\n" + text


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_ignored_and_written_anew(damage, own_cache):
    """The next look builds the model again and mends the inventory_cache."""
    expected = inventory_of_spec(SPEC).to_json()
    entry = remembered(own_cache)
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    assert inventory_cache.get(key()) is None
    assert inventory_of_spec(SPEC).to_json() == expected
    assert entry.read_bytes() == good


def test_a_folder_that_others_may_write_to_is_not_used(own_cache):
    """Neither read nor written."""
    inventory_cache.put(key(), Inventory.of(TiedHead()))
    for mode in (0o777, 0o770, 0o702):
        own_cache.chmod(mode)
        assert inventory_cache.get(key()) is None
        before = remembered(own_cache).stat().st_mtime_ns
        inventory_cache.put(key(), Inventory.of(TiedHead()))
        assert remembered(own_cache).stat().st_mtime_ns == before
    own_cache.chmod(0o700)
    assert inventory_cache.get(key()) is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(own_cache):
    """Its owner could put anything there."""
    inventory_cache.put(key(), Inventory.of(TiedHead()))
    os.chown(own_cache, 12345, -1)
    assert inventory_cache.get(key()) is None


def test_a_link_to_a_folder_is_not_used(own_cache, tmp_path):
    """Who can place the link chooses the folder."""
    inventory_cache.put(key(), Inventory.of(TiedHead()))
    own_cache.rename(tmp_path / "elsewhere")
    own_cache.symlink_to(tmp_path / "elsewhere")
    assert inventory_cache.get(key()) is None


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/cache", "a\0b"])
def test_a_cache_that_cannot_be_made_is_no_error(place, monkeypatch):
    """The model is built, and not remembered."""
    monkeypatch.setattr(cache_file, "cache_folder", lambda: Path(place))
    assert len(inventory_of_spec(SPEC)) > 20
    assert inventory_cache.get(key()) is None


def test_without_a_variable_the_users_cache_is_used(monkeypatch, tmp_path):
    """platformdirs says where that is."""
    monkeypatch.delenv("LAYERLR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file.cache_folder() == tmp_path / "layerlr"


def test_the_key_holds_everything_that_decides_the_inventory(monkeypatch, tmp_path):
    """Another name, argument, library version or revision of ours is another entry."""
    keys = [key(), key("timm:resnet10t(num_classes=3)"), key("timm:resnet14t"), key("torchvision:resnet18")]
    for name in ("torch", "timm"):
        real = installed_versions(("torch", "torchvision", "timm"))
        assert real is not None
        monkeypatch.setattr(
            inventory_cache, "installed_versions", lambda names, r=real, n=name: {**r, n: "99"}
        )
        keys.append(key())
    monkeypatch.undo()
    monkeypatch.setattr(inventory_cache, "REVISION", inventory_cache.REVISION + 1)
    keys.append(key())
    assert len(set(keys)) == len(keys)
    monkeypatch.undo()
    assert key("timm:resnet10t( )") == keys[0]


def test_the_key_of_a_folder_holds_the_digest_of_its_config(tmp_path):
    """An edited config.json is another model; the weights beside it do not matter."""
    config = tmp_path / "model" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"model_type": "bert"}))
    first = key("hf:model", root=tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x")
    assert key("hf:model", root=tmp_path) == first
    config.write_text(json.dumps({"model_type": "bert", "hidden_size": 24}))
    assert key("hf:model", root=tmp_path) != first


def test_python_specs_and_missing_libraries_have_no_key(monkeypatch):
    """What may change unseen is not remembered."""
    assert inventory_cache.key_of(parse_spec("python:a:b", allow_python=True)) is None
    monkeypatch.setattr(inventory_cache, "installed_versions", lambda names: None)
    assert inventory_cache.key_of(parse_spec(SPEC)) is None


def test_versions_are_those_that_importlib_metadata_finds():
    """The quick reading of sys.path agrees with the standard library's."""
    names = ("torch", "torchvision", "timm", "transformers")
    assert installed_versions(names) == {name: metadata.version(name) for name in names}
    assert installed_versions(("torch", "no-such-distribution")) is None


def test_the_oldest_entries_are_dropped_and_nothing_else(own_cache, monkeypatch):
    """The folder has bounds; files of other names in it are left alone."""
    monkeypatch.setattr(cache_file, "MOST_ENTRIES", 3)
    own_cache.mkdir(mode=0o700)
    (own_cache / "notes.json").write_text("mine")
    names = [f"inventory-{number:064x}.json" for number in range(6)]
    for age, name in enumerate(names):
        cache_file.write(name, b"text")
        os.utime(own_cache / name, (age, age))
    assert {path.name for path in own_cache.iterdir()} == {"notes.json", *names[3:]}
    assert cache_file.read(names[5], 100) == b"text"


def test_entries_that_are_too_large_together_are_dropped_but_for_the_newest(own_cache, monkeypatch):
    """One that is too large on its own is kept: it was asked for a moment ago."""
    monkeypatch.setattr(cache_file, "MOST_BYTES", 100)
    names = [f"inventory-{number:064x}.json" for number in range(3)]
    for age, name in enumerate(names):
        cache_file.write(name, b"x" * 90)
        os.utime(own_cache / name, (age, age))
    assert [path.name for path in own_cache.iterdir()] == [names[2]]
