"""Ejected pages at work in a process that has no layerlr, beside the plan in this one."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from loop import run
from torch import nn

from layerlr_dsl.api import Plan
from layerlr_dsl.optim.several import parts_of

WORKER = """
import importlib.util, json, pickle, sys
sys.modules["layerlr_dsl"] = None
sys.path.insert(0, sys.argv[1])
import torch
from loop import run
torch.set_num_threads(1)
for line in sys.stdin:
    folder, *asked = json.loads(line)
    spec = importlib.util.spec_from_file_location("page", folder + "/page.py")
    page = sys.modules["page"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(page)
        model = torch.load(folder + "/model.pt", weights_only=False)
        made = page.make_optimizer(model)
        schedule = page.Schedule(model, made)
        found = run(model, made if isinstance(made, list) else [made], schedule, *asked)
    except Exception as fault:
        import traceback
        found = traceback.format_exc()
    with open(folder + "/found.pkl", "wb") as file:
        pickle.dump(found, file)
    print("done", flush=True)
"""


class Worker:
    """A process that runs pages, one after the other."""

    def __init__(self) -> None:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", WORKER, here]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, page: str, model: nn.Module, *asked: Any) -> list[Any]:
        """What a page does with a model."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "page.py").write_text(page)
            torch.save(model, Path(folder, "model.pt"))
            assert self.process.stdin
            assert self.process.stdout
            self.process.stdin.write(json.dumps([folder, *asked]) + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"
            found = pickle.loads(Path(folder, "found.pkl").read_bytes())
        assert not isinstance(found, str), found
        return found

    def close(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]


def by_the_plan(plan: Plan, model: nn.Module, *asked: Any) -> list[Any]:
    """What the plan does with a copy of a model."""
    model = copy.deepcopy(model)
    optimizer = plan.optimizer(model)
    schedule = plan.schedule(model, optimizer)
    return run(model, parts_of(optimizer) or [optimizer], schedule, *asked)


def difference(found: list[Any], wanted: list[Any]) -> str | None:
    """The first difference between two runs, down to the last bit."""
    kinds = ("options", "flags", "modes", "weights")
    for step, (one, other) in enumerate(zip(found, wanted, strict=True)):
        for kind, left, right in zip(kinds, one, other, strict=True):
            if left.keys() != right.keys():
                return f"step {step}: other names in {kind}"
            for name in left:
                if not _same(left[name], right[name]):
                    return f"step {step}: {kind} of {name}: {left[name]} where the plan has {right[name]}"
    return None


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right) or bool((left.isnan() & right.isnan() | (left == right)).all())
    return bool(left == right)
