"""torch's CPU build beside PyPI's torchvision: the frameworks' own imports need it mended first."""

import sys

import pytest
import torch
from documented import written

from layerlr_dsl.model.torchvision_compat import with_torchvision


def _import():
    import torchvision

    return torchvision


with_torchvision(_import)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A folder with the files of the page, to run in; the modules that they import go again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    names = written("configuration", tmp_path)
    yield tmp_path
    for name in {name.rpartition(".")[0] for name in names} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.fixture
def seen(monkeypatch):
    """The rates of each optimizer step, and whether the backbone trains in it."""
    noted = []
    step = torch.optim.AdamW.step

    def note(self, closure=None):
        result = step(self, closure)  # Lightning's computes the loss in it
        groups = self.param_groups
        noted.append(([g["lr"] for g in groups], any(p.grad is not None for p in groups[0]["params"])))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    return noted
