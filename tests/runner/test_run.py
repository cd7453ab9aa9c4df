"""What a run does and leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
import torch
from tinyruns import HERE, RULES, again, content, differences, environment, settings

import layerlr_dsl as layerlr_api
from layerlr_dsl.model.specs import build


def _rows(folder, kind):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of three epochs."""
    from layerlr_dsl.cli import run

    home = tmp_path_factory.mktemp("run")
    (home / "common").mkdir()
    (home / "common" / "decay.lr").write_text("** where ndim <= 1 -> weight_decay 0\n")
    (home / "tiny.lr").write_text(RULES + 'include "common/decay.lr"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        assert run([str(a) for a in settings(home / "tiny.lr", home / "out", "--clip", 1)]) == 0
    return home / "out"


def test_the_folder_holds_everything(folder):
    """Rules with their includes, plan, configuration, metrics, checkpoints, plot and summary; of scraps only the lock."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == [
        ".lock",
        "best.pt",
        "checkpoints.sha256",
        "config.json",
        "last.pt",
        "metrics.jsonl",
        "model.json",
        "plan.json",
        "plan.png",
        "previous.pt",
        "rules/common/decay.lr",
        "rules/tiny.lr",
        "summary.json",
        "timing.jsonl",
    ]
    assert (folder / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_the_plan_and_the_rules_are_those_of_the_run(folder):
    """The copied rules resolve to the stored plan."""
    model = build("python:tiny:Net", root=HERE) if str(HERE) in sys.path else None
    plan = layerlr_api.load(folder / "rules" / "tiny.lr", folder / "rules").resolve(model, 3, 6)
    stored = json.loads((folder / "plan.json").read_text())
    assert stored["steps_per_epoch"] == 6
    assert stored["groups"] == json.loads(json.dumps(plan.to_json()))["groups"]


def test_every_rate_in_the_metrics_is_the_one_the_plan_gives(folder):
    """Each step's row carries the rates that the step was taken with."""
    plan = layerlr_api.load(folder / "rules" / "tiny.lr", folder / "rules").resolve(
        build("python:tiny:Net"), 3, 6
    )
    group_of = {group.name: group.parameters[0] for group in plan.groups}
    rows = _rows(folder, "step")
    assert len(rows) == 18
    for row in rows:
        now = plan.at(step=row["step"] - 1)
        assert row["lr"] == pytest.approx({name: now[first]["lr"] for name, first in group_of.items()})
        assert sorted(row["frozen"]) == sorted(n for n, first in group_of.items() if now[first]["frozen"])


def test_epoch_rows_tell_losses_accuracies_and_what_is_frozen(folder):
    """One row an epoch; the best is marked where it was reached."""
    rows = _rows(folder, "epoch")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0]["trainable_share"] < rows[2]["trainable_share"] == 1.0
    best = max(range(3), key=lambda k: (rows[k]["val_accuracy"], -k))
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["best_epoch"], summary["best_val_accuracy"]) == (best, rows[best]["val_accuracy"])
    assert summary["val_accuracy"] == rows[2]["val_accuracy"]
    assert content(folder, "best.pt")["progress"]["best_epoch"] == best


def test_frozen_layers_have_not_moved_and_thawed_ones_have(folder, tmp_path, layerlr):
    """The stem is frozen until the middle of epoch 1: after one epoch its bytes are those it began with."""
    short = tmp_path / "short"
    ran = layerlr(
        *settings(folder / "rules" / "tiny.lr", short, "--root", folder / "rules"), "--save-every", 2
    )
    assert ran.status == 0
    from layerlr_dsl.training.chance import seed_everything

    seed_everything(0, 0)
    fresh = build("python:tiny:Net").state_dict()
    late = content(folder)["model"]
    assert not torch.equal(late["stem.0.weight"], fresh["stem.0.weight"])
    early = content(folder, "best.pt") if content(folder, "best.pt")["progress"]["epoch"] == 1 else None
    if early is not None:
        assert differences(early["model"]["stem.0.weight"], fresh["stem.0.weight"]) == []


def test_the_norm_of_the_gradient_is_clipped(folder):
    """The rows tell the norm before clipping; with --clip 1 weights differ from those without."""
    assert all(row["gradient_norm"] > 0 for row in _rows(folder, "step"))
    assert json.loads((folder / "config.json").read_text())["clip"] == 1.0


def test_batches_accumulated_give_the_step_of_one_large_batch(tmp_path, rules, layerlr):
    """Also where the last step of an epoch has fewer batches: the mean is over samples, not over batches."""
    rules.write_text("optimizer sgd\n** -> lr 0.1\n")
    folders = [tmp_path / "one", tmp_path / "many"]
    line = [
        "train",
        rules,
        "--data",
        "python:tiny:data",
        "--model",
        "python:tiny:Plain",
        "--epochs",
        1,
        "--out",
    ]
    assert layerlr(*line, folders[0], "--batch-size", 40).status == 0
    assert layerlr(*line, folders[1], "--batch-size", 8, "--accumulate", 5).status == 0
    one, many = (content(folder)["model"] for folder in folders)
    for name, value in one.items():
        assert torch.allclose(value, many[name], atol=1e-6), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_keeps_full_weights_and_resumes(tmp_path, rules, layerlr, precision):
    """autocast leaves the weights in fp32; the scaler's state is in the checkpoint."""
    line = settings(rules, tmp_path / "run", "--precision", precision)
    ran = layerlr(*line)
    assert ran.status == 0, ran.err
    state = content(tmp_path / "run")
    assert state["model"]["head.weight"].dtype == torch.float32
    assert bool(state["scaler"]) is (precision == "fp16")
    assert layerlr(*again(tmp_path / "run", "--epochs", 4)).status == 0


def test_without_a_folder_nothing_is_written(rules, tmp_path, layerlr, monkeypatch):
    """A quick try leaves no trace."""
    before = sorted(tmp_path.rglob("*"))
    ran = layerlr(*settings(rules, None))
    assert ran.status == 0
    assert "validation accuracy" in ran.out
    assert sorted(tmp_path.rglob("*")) == before


def test_plain_output_fits_80_columns_and_tells_the_story(rules, layerlr):
    """Epochs in a table, thaws between them, the accuracy at the end; no control characters."""
    lines = layerlr(*settings(rules, None)).out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert any("thawed" in line and "body" in line for line in lines)
    assert sum(line.strip()[:1].isdigit() and "%" in line and "/s" in line for line in lines) == 3
    assert "\x1b" not in "".join(lines)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, rules, layerlr):
    """Exit 1, the step is named, and nothing broken is saved."""
    ran = layerlr(*settings(rules, tmp_path / "run", "--save-every", 1, data="poisoned"))
    assert ran.status == 1
    assert (
        "the loss is not a finite number; sample 17 of python:tiny:poisoned holds numbers that are not"
        in ran.err
    )
    assert "--on-nan skip" in ran.err
    saved = tmp_path / "run" / "last.pt"
    if saved.exists():
        assert all(torch.isfinite(v).all() for v in content(tmp_path / "run")["model"].values())


def test_a_loss_that_training_drove_off_is_not_laid_to_the_data(tmp_path, rules, layerlr):
    """All samples are finite, so lower rates may help."""
    rules.write_text("optimizer sgd\n** -> lr 1e30\n")
    ran = layerlr(*settings(rules, None))
    assert ran.status == 1
    assert "sample" not in ran.err
    assert "help: lower that group's rate" in ran.err


def test_such_steps_can_be_left_out(tmp_path, rules, layerlr):
    """Told once, counted, and the weights stay finite."""
    rules.write_text("optimizer adamw\n** -> lr 1e-2\n** where module is norm -> lr 1e-3\n")
    line = ["train", rules, "--data", "python:tiny:poisoned", "--model", "python:tiny:Plain", "--epochs", 2]
    ran = layerlr(*line, "--batch-size", 10, "--on-nan", "skip", "--out", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert ran.out.count("the step is left out") == 2
    assert content(tmp_path / "run")["progress"]["skipped"] == 2
    assert all(torch.isfinite(v).all() for v in content(tmp_path / "run")["model"].values())
    assert [row["applied"] for row in _rows(tmp_path / "run", "step")].count(False) == 2


def test_fp16_that_never_finds_a_scale_ends_the_run(tmp_path, rules, layerlr):
    """The scaler leaves a step out without a word; left out for ever, the run would train nothing."""
    rules.write_text("** -> lr 1e-3\n")
    line = settings(rules, tmp_path / "run", "--precision", "fp16", "--epochs", 20)
    line[line.index("python:tiny:Net")] = "python:tiny:Exploding"
    ran = layerlr(*line)
    assert ran.status == 1
    assert "50 steps in a row had to be left out" in ran.err
    assert "group" in ran.err
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["applied"] for row in rows if row["kind"] == "step"][2:4] == [False, False]


def test_the_group_with_the_largest_gradient_is_named(tmp_path, rules, layerlr):
    """The body sends back NaN, the head does not: the body is named."""
    rules.write_text("optimizer adamw\nbody -> lr 1e-2\nhead -> lr 1e-3\n")
    ran = layerlr(
        "train",
        rules,
        "--data",
        "python:tiny:data",
        "--model",
        "python:tiny:Exploding",
        "--epochs",
        1,
        "--batch-size",
        10,
    )
    assert ran.status == 1
    assert "a gradient is not a finite number; the gradient of group body is lost" in " ".join(
        ran.err.split()
    )


def test_a_metric_condition_thaws_and_one_that_nobody_reports_is_told(tmp_path, rules, layerlr):
    """val_loss is reported each epoch; "val/f1" never is."""
    rules.write_text(
        "optimizer sgd\n** -> lr 1e-9\n"
        "freeze stem until val_loss stops falling for 2 epochs by 1\n"
        'freeze body until "val/f1" stops rising for 1 epoch\n'
    )
    ran = layerlr(*settings(rules, tmp_path / "run", "--epochs", 5))
    assert ran.status == 0, ran.err
    assert "thawed stem" in ran.out
    frozen = [set(row["frozen"]) for row in _rows(tmp_path / "run", "epoch")]
    assert frozen == [{"stem", "body"}] * 3 + [{"body"}] * 2
    assert "for want of its metric" in ran.out
    assert "val/f1" in ran.out


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        (["--data", "digits"], 2, "give the rule FILE"),
        (["RULES"], 2, "give the data to train on"),
        (["RULES", "--data", "digits"], 2, "names no model"),
        (["RULES", "--data", "digits", "--model", "python:tiny:Net"], 2, "length of the run is not known"),
        (["nowhere.lr", "--data", "digits"], 2, "no such file"),
        (["RULES", "--data", "digits", "--model", "python:tiny:Nothing", "--epochs", 1], 2, "no `Nothing`"),
        (
            ["RULES", "--data", "digits", "--model", "python:tiny:Net", "--epochs", 1],
            2,
            "10 classes, the model has 3",
        ),
        (["RULES", "--data", "x", "--model", "python:tiny:Net", "--epochs", 1], 2, "unknown data"),
        (["TINY", "--batch-size", 0], 2, "--batch-size"),
        (["TINY", "--clip", -1], 2, "--clip"),
        (["TINY", "--epochs", "nan"], 2, "--epochs"),
        (["TINY", "--device", "toaster"], 2, "no such device"),
        (["TINY", "--device", "cuda"], 2, "torch sees no GPU"),
        (["TINY", "--weights", "nowhere.pt"], 2, "no such file"),
        (["TINY", "--parallel", "ddp"], 2, "needs torchrun"),
        (["TINY", "--out", "/proc/nothing"], 2, "--out /proc/nothing"),
        (["TINY", "--out", "tiny.py"], 2, "--out tiny.py"),
        (["TINY", "--out", ""], 2, "the name of the folder is empty"),
        (["--resume", "--out", ""], 2, "the name of the folder is empty"),
        (["TINY", "--device", ""], 2, "--device"),
        (["TINY", "--data", ""], 2, "unknown data"),
        (["TINY", "--model", ""], 2, "model"),
        (["TINY", "--weights", ""], 2, "--weights"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(rules, layerlr, line, status, message):
    """Exit 2 and never a traceback."""
    if "cuda" in line and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    replaced = []
    for part in line:
        replaced += settings(rules, None) if part == "TINY" else [rules] if part == "RULES" else [part]
    ran = layerlr(*replaced) if replaced[0] == "train" else layerlr("train", *replaced)
    assert ran.status == status, ran
    assert message in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_findings_in_the_rules_end_with_1_and_show_the_place(rules, layerlr):
    """A selector that matches nothing in the very model that would be trained."""
    rules.write_text("stemm -> lr 1\n")
    ran = layerlr(*settings(rules, None))
    assert ran.status == 1
    assert "LR201" in ran.err
    assert "tiny.lr:1:1" in ran.err


def test_warnings_of_the_rules_are_shown_and_do_not_stop_the_run(rules, layerlr):
    """Whoever trains should not have to validate first to hear that a thaw never comes."""
    rules.write_text("** -> lr 1e-3\nfreeze stem until epoch 5\n")
    ran = layerlr(*settings(rules, None))
    assert ran.status == 0
    assert "LR304" in ran.err
    assert "tiny.lr:2:" in ran.err


def test_lists_in_a_message_keep_their_lines(rules, tmp_path, layerlr):
    """What differs between a file of weights and the model stands one below the other."""
    torch.save({"other.weight\x1b[31m": torch.zeros(2)}, tmp_path / "other.pt")
    ran = layerlr(*settings(rules, None, "--weights", tmp_path / "other.pt"))
    assert ran.status == 2
    assert "\n    stem.0.weight\n" in ran.err
    assert "    other.weight\\x1b[31m\n" in ran.err


def test_another_programs_configuration_is_not_overwritten(rules, tmp_path, layerlr):
    """A folder with a pretrained model has a config.json of its own."""
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    ran = layerlr(*settings(rules, tmp_path))
    assert ran.status == 2
    assert "config.json cannot be read as the configuration of a run" in ran.err
    assert (tmp_path / "config.json").read_text() == '{"model_type": "vit"}'


def test_a_folder_that_cannot_be_written_is_refused_before_training(rules, tmp_path, layerlr):
    """A read-only place; root may write anywhere, so a file stands in the way instead."""
    (tmp_path / "file").write_text("")
    ran = layerlr(*settings(rules, tmp_path / "file" / "run"))
    assert ran.status == 2
    assert "Not a directory" in ran.err
    assert "epoch" not in ran.out


def test_a_full_disk_ends_the_run_with_the_last_good_checkpoint_kept(rules, tmp_path):
    """The file system refuses bytes in mid-run: exit 1, a sentence, and --resume goes on when there is room."""
    out = tmp_path / "run"
    program = textwrap.dedent(
        """
        import resource, signal, sys
        from layerlr_dsl.runner import checkpoint
        from layerlr_dsl.cli import run
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        save, saved = checkpoint.save, []
        def limited(*arguments, **named):
            if len(saved) == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            saved.append(1)
            return save(*arguments, **named)
        checkpoint.save = limited
        sys.exit(run(sys.argv[1:]))
        """
    )
    line = [str(a) for a in settings(rules, out)]
    done = subprocess.run(
        [sys.executable, "-c", program, *line], capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "could not be written: File too large" in " ".join(done.stderr.split())
    assert content(out)["progress"]["epoch"] == 2
    assert [path.name for path in out.iterdir() if path.name.endswith(".tmp")] == []
    for line in (out / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_model_that_fails_in_mid_run_is_told_with_its_step(tmp_path, rules, layerlr, monkeypatch):
    """An exception of the user's own code is not called a fault of ours, and what was saved stays."""
    import tiny

    monkeypatch.setenv("TINY_FAIL_AT", "9")
    monkeypatch.setattr(tiny, "_trace", _failing)
    ran = layerlr(*settings(rules, tmp_path / "run"))
    assert ran.status == 1
    assert "step 8 failed: ZeroDivisionError: a fault of the model's own" in " ".join(ran.err.split())
    assert "internal error" not in ran.err
    assert content(tmp_path / "run")["progress"]["total"] == 6


def _failing(training):
    import os

    left = int(os.environ["TINY_FAIL_AT"]) - training
    os.environ["TINY_FAIL_AT"] = str(left)
    if left == 0:
        raise ZeroDivisionError("a fault of the model's own")
