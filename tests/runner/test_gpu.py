"""On a GPU: the same rules, the same end; skipped where there is none."""

from __future__ import annotations

import pytest
import torch
from tinyruns import again, content, settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_trains_and_resumes(tmp_path, rules, layerlr, precision):
    """Frozen layers keep their bytes, and a checkpoint made on the GPU is read on the CPU."""
    line = settings(rules, tmp_path / "run", "--precision", precision, "--device", "cuda", "--clip", 1)
    ran = layerlr(*line)
    assert ran.status == 0, ran.err
    assert content(tmp_path / "run")["model"]["head.weight"].device.type == "cpu"
    ran = layerlr(*again(tmp_path / "run", "--epochs", 4, "--device", "cpu"))
    assert ran.status == 0, ran.err


def test_the_gpu_ends_where_the_cpu_does(tmp_path, rules, layerlr):
    """A model without chance: to numerical tolerance."""
    rules.write_text("optimizer adamw\nschedule cosine\n** -> lr 1e-2\nfreeze body until epoch 1.5\n")
    line = ["train", rules, "--data", "python:tiny:data", "--model", "python:tiny:Plain", "--epochs", 3]
    for device in ("cpu", "cuda"):
        assert layerlr(*line, "--device", device, "--out", tmp_path / device).status == 0
    one, other = (content(tmp_path / device)["model"] for device in ("cpu", "cuda"))
    assert [n for n, v in one.items() if not torch.allclose(v, other[n], atol=1e-3)] == []


def test_features_are_remembered_there_too(tmp_path, rules, layerlr):
    """The table stays in the memory of the host, rows travel batch by batch."""
    rules.write_text("optimizer adamw\n** -> lr 1e-2\nfreeze stem, body\n")
    ran = layerlr(*settings(rules, tmp_path / "run", "--device", "cuda", "--remember-features"))
    assert ran.status == 0, ran.err
    assert "remembering what stem to body give" in ran.out


def test_compiled_it_trains_through_a_thaw(tmp_path, rules, layerlr):
    """One recompilation for each frozen set."""
    ran = layerlr(*settings(rules, tmp_path / "run", "--device", "cuda", "--compile"))
    assert ran.status == 0, ran.err
