"""What each command does beyond its golden screens."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from harness import layerlr
from rule_texts import CLEAN

from layerlr_dsl.cli.inputs import recipes, single
from layerlr_dsl.cli.resolving import Resolver, plan_of
from layerlr_dsl.plan.plan import Plan
from layerlr_dsl.render.overview import backward
from layerlr_dsl.reports import FOLDER, PUBLISHED, PlanReport, schema_text
from layerlr_dsl.tools.words import in_digits, share, short

RESNET = "torchvision:resnet18"
HEAD = f'model "{RESNET}"\nepochs 10\n** -> lr 1e-3\n'


def _plan(path: object) -> Plan:
    entry = single(str(path))
    return plan_of(Resolver().resolve(entry, entry.read()))


@pytest.fixture
def tied(write: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stored inventory whose `head.weight` is its `emb.weight`."""
    write(
        "tiedhead.py",
        "from torch import nn\n\n\ndef build():\n    emb, body, head = nn.Embedding(10, 4), nn.Linear(4, 4), nn.Linear(4, 10)\n"
        "    head.weight = emb.weight\n    return nn.ModuleDict({'emb': emb, 'body': body, 'head': head})\n",
    )
    monkeypatch.syspath_prepend(".")
    assert layerlr("inspect", "python:tiedhead:build", "-o", "tied.json").status == 0
    return "tied.json"


# ---------------------------------------------------------------- plan


def test_plan_json_holds_to_its_published_schema(write: Any) -> None:
    """Groups, phases with a metric condition, parameters with the places of their rules."""
    text = CLEAN + "freeze fc.bias until val_loss stops falling for 3 epochs\n"
    ran = layerlr("plan", write("a.lr", text), "--steps-per-epoch", "100", "--format", "json")
    assert ran.status == 0
    report = json.loads(ran.out)
    jsonschema.validate(report, json.loads((FOLDER / "plan.json").read_text()))
    read = PlanReport.model_validate(report)
    assert (read.total_steps, read.steps_per_epoch, read.epochs) == (1000, 100, 10)
    assert read.phases[-1].when == "val_loss stops falling for 3 epochs"
    assert read.parameters["fc.weight"].rules["lr"] == [f"{Path('a.lr').resolve()}:5"]
    assert {name for group in read.groups for name in group.parameters} == set(read.parameters)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_schemas_are_those_of_the_models(name: str) -> None:
    """`python -m layerlr_dsl.reports` was run after the last change."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == schema_text(name)
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(name)))


@pytest.mark.parametrize(
    ("freezes", "stops", "skipped", "straggler"),
    [
        ("freeze conv1, bn1, layer{1..3}", "layer4.0.conv1.weight", True, None),
        ("freeze ** except fc", "fc.weight", True, None),
        ("freeze ** except fc, bn1.bias", "bn1.bias", False, "bn1.bias"),
        ("freeze layer4", "conv1.weight", False, None),
    ],
)
def test_backward_work_is_judged_by_what_trains_first(
    write: Any, freezes: str, stops: str, skipped: bool, straggler: str | None
) -> None:
    """A frozen prefix is skipped, one stray bias in front of it spoils that and is named, a middle saves nothing."""
    plan = _plan(write("a.lr", HEAD + freezes + "\n"))
    found = backward(plan, frozenset(plan.phases[0].frozen))
    assert (found.stops_at, found.skipped > 0.1, found.straggler) == (stops, skipped, straggler)


# ---------------------------------------------------------------- explain


def test_explain_takes_a_group_of_the_file(write: Any) -> None:
    """A selector on the command line may use what the file defines."""
    ran = layerlr("explain", write("a.lr", HEAD + "group stem = conv1, bn1\nfreeze @stem\n"), "@stem")
    assert ran.status == 0
    assert (
        ran.out.startswith("3 parameters, treated in 1 way")
        or "conv1.weight, bn1.weight, bn1.bias" in ran.out
    )


def test_explain_supposes_that_a_condition_came_true(write: Any) -> None:
    """--event val_loss=4 thaws from epoch 4 on and not before."""
    path = write("a.lr", HEAD + "freeze fc until val_loss stops falling for 2 epochs\n")
    frozen = layerlr("explain", path, "fc.bias", "--at", "epoch 3", "--event", "val_loss=4")
    thawed = layerlr("explain", path, "fc.bias", "--at", "epoch 4", "--event", "val_loss=4")
    assert "frozen true" in frozen.out
    assert "frozen false" in thawed.out


def test_explain_strikes_through_what_is_overridden_on_a_terminal(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a browser's style inspector does."""
    monkeypatch.setenv("TERM", "xterm")
    ran = layerlr("explain", write("a.lr", HEAD + "fc -> lr 1e-2\n"), "fc.bias", terminal=True)
    assert re.search(r"\x1b\[2;9m.*\*\* -> lr 1e-3", ran.out)
    assert re.search(r"\x1b\[1;32m.*fc -> lr 1e-2", ran.out)


def test_explain_json_says_what_the_text_says(write: Any) -> None:
    """Every step with its status and its expression filled in."""
    ran = layerlr("explain", write("a.lr", CLEAN), "layer2.0.conv1.weight", "--format", "json")
    [told] = json.loads(ran.out)
    steps = told["options"]["lr"]["steps"]
    assert [(step["line"], step["status"]) for step in steps] == [(5, "applies"), (6, "wins")]
    assert steps[1]["filled"] == "0.5 ^ (4 - 2 + 1) = 0.125"
    assert told["options"]["lr"]["value"] == pytest.approx(1.25e-4)


@pytest.mark.parametrize(
    ("selector", "names", "ties", "numel"),
    [
        ("**", ["emb.weight", "body.weight", "body.bias", "head.bias"], ["head.weight"], 70),
        ("head where tied", ["head.weight"], ["emb.weight"], 40),
        ("head, emb", ["emb.weight", "head.bias"], ["head.weight"], 50),
        ("head.*", ["head.weight", "head.bias"], ["emb.weight"], 50),
        ("** except emb", ["head.weight", "body.weight", "body.bias", "head.bias"], ["emb.weight"], 70),
    ],
)
def test_explain_knows_a_tied_parameter_by_any_of_its_names(
    write: Any, tied: str, selector: str, names: list[str], ties: list[str], numel: int
) -> None:
    """It is told once, by the name that the selector covers, and counted once."""
    path = write("a.lr", f'model "{tied}"\n** -> lr 1e-3\n')
    ran = layerlr("explain", path, selector, "--format", "json")
    assert (ran.status, ran.err) == (0, "")
    [told] = json.loads(ran.out)
    assert (told["parameters"], told["aliases"], told["numel"]) == (names, ties, numel)
    assert told["options"]["lr"]["value"] == 1e-3


def test_explain_says_which_of_several_parameters_is_tied(write: Any, tied: str) -> None:
    """It may be any of them, not the first alone."""
    ran = layerlr(
        "explain", write("a.lr", f'model "{tied}"\n** -> lr 1e-3\n'), "body, head where ndim > 1 or tied"
    )
    assert ran.out.splitlines()[:2] == [
        "head.weight, body.weight",
        "tied: head.weight is also called emb.weight",
    ]
    alone = layerlr("explain", "a.lr", "head where tied")
    assert alone.out.splitlines()[:2] == ["head.weight", "tied: also called emb.weight"]


# ---------------------------------------------------------------- inspect


def test_inspect_writes_an_inventory_that_stands_for_the_model(write: Any) -> None:
    """The stored inventory plans as the model does, without building it."""
    assert layerlr("inspect", RESNET, "-o", "resnet.json").status == 0
    path = write("a.lr", "** -> lr 1e-3\nfc -> lr 1e-2\n")
    stored = layerlr("plan", path, "--model", "resnet.json", "--format", "json").out
    built = layerlr("plan", path, "--model", RESNET, "--format", "json").out
    assert json.loads(stored)["groups"] == json.loads(built)["groups"]


def test_inspect_json_marks_what_is_selected() -> None:
    """As many parameters as the text says."""
    ran = layerlr("inspect", RESNET, "--select", "**.bias", "--format", "json")
    parameters = json.loads(ran.out)["parameters"]
    assert sum(one["selected"] for one in parameters) == 21
    assert all(one["selected"] == one["name"].endswith(".bias") for one in parameters)


def test_inspect_shows_ties_at_each_of_their_places(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both names of a tied tensor are in the tree, and it is counted once."""
    write(
        "tiedmodel.py",
        "from torch import nn\n\n\ndef build():\n    embed, head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)\n"
        "    head.weight = embed.weight\n    return nn.ModuleDict({'embed': embed, 'head': head})\n",
    )
    monkeypatch.syspath_prepend(".")
    ran = layerlr("inspect", "python:tiedmodel:build")
    assert "40 parameters in 1 tensor" in ran.out
    assert "weight 10×4 (tied)" in ran.out
    assert "weight 10×4 = embed.weight" in ran.out


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("head", ["emb.weight", "head.bias"]),
        ("** except head", ["emb.weight", "body.weight", "body.bias"]),
        ("** where tied", ["emb.weight"]),
        ("**", ["emb.weight", "body.weight", "body.bias", "head.bias"]),
    ],
)
def test_a_selector_may_cover_some_names_of_a_tied_parameter(
    tied: str, selector: str, names: list[str]
) -> None:
    """No rule asks for them all here: the parameter is covered if any of its names is."""
    ran = layerlr("inspect", tied, "--select", selector, "--format", "json")
    assert (ran.status, ran.err) == (0, "")
    assert [one["name"] for one in json.loads(ran.out)["parameters"] if one["selected"]] == names
    assert f"covers {len(names)} of 4 tensors" in layerlr("inspect", tied, "--select", selector).out


# ---------------------------------------------------------------- fmt

LOOSE = 'model   "torchvision:resnet18"\n**->lr 1e-3 # all\nlayer4.*   -> lr 1e-4\n'


def test_fmt_check_changes_nothing_and_says_what_would(write: Any) -> None:
    """Status 1, the name of the file, the bytes as before."""
    path = write("a.lr", LOOSE)
    ran = layerlr("fmt", "--check", path)
    assert (ran.status, path.read_text()) == (1, LOOSE)
    assert ran.out == f"would change: {path}\n1 file: 1 would change\n"


def test_fmt_rewrites_once_and_then_leaves_alone(write: Any) -> None:
    """What it wrote passes --check; the mode of the file and a link to it stay."""
    path = write("a.lr", LOOSE)
    path.chmod(0o640)
    Path("link.lr").symlink_to(path)
    assert layerlr("fmt", "link.lr").out == "1 file: 1 formatted\n"
    assert Path("link.lr").is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert layerlr("fmt", "--check", path).status == 0
    assert "# all" in path.read_text()


def test_fmt_diff_shows_the_change_and_writes_nothing(write: Any) -> None:
    """A unified diff on standard output."""
    path = write("a.lr", LOOSE)
    ran = layerlr("fmt", "--diff", path)
    assert "-**->lr 1e-3 # all" in ran.out
    assert path.read_text() == LOOSE
    assert layerlr("fmt", "--diff", "--check", path).status == 1


def test_fmt_of_standard_input_prints_the_result_alone() -> None:
    """`layerlr fmt -` is a filter."""
    ran = layerlr("fmt", "-", stdin="**->lr 1e-3\n")
    assert (ran.status, ran.out, ran.err) == (0, "** -> lr 1e-3\n", "")


def test_fmt_leaves_a_faulty_file_and_formats_the_others(write: Any) -> None:
    """Status 1, the finding, and the rest done."""
    faulty, loose = write("a.lr", "freez x\n"), write("b.lr", "**->lr 1\n")
    ran = layerlr("fmt", ".")
    assert ran.status == 1
    assert "LR004" in ran.err
    assert (faulty.read_text(), loose.read_text()) == ("freez x\n", "** -> lr 1\n")


def test_fmt_does_not_touch_packaged_recipes() -> None:
    """They belong to the installation."""
    [first, *_] = recipes()
    ran = layerlr("fmt", f"recipe:{first}")
    assert ran.status == 2
    assert "not rewritten" in ran.err


# ---------------------------------------------------------------- test


def test_all_failed_expectations_are_told_in_one_run(write: Any) -> None:
    """Two failures, one success, across two files; status 1; JUnit has all three."""
    write("a.lr", HEAD + "expect fc lr == 1\nexpect fc lr == 1e-3\nexpect fc frozen\n")
    write("b.lr", HEAD)
    ran = layerlr("test", ".", "--junit", "out.xml")
    assert ran.status == 1
    assert ran.err.count("error[LR220]") == 2
    assert ran.out.endswith("2 files: 1 passed, 2 failed\n")
    suites = ElementTree.parse("out.xml").getroot()
    assert [suite.get("tests") for suite in suites] == ["3", "0"]
    assert [case.get("line") for case in suites[0] if case.find("failure") is not None] == ["4", "6"]


def test_passing_expectations_exit_0(write: Any) -> None:
    """Nothing on standard error."""
    ran = layerlr("test", write("a.lr", HEAD + "expect fc lr == 1e-3\n"))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("1 file: 1 passed\n")


def test_expectations_without_a_model_cannot_be_run(write: Any) -> None:
    """That is the caller's to put right: status 2."""
    ran = layerlr("test", write("a.lr", "** -> lr 1\nexpect ** lr == 1\n"))
    assert ran.status == 2
    assert "--model" in ran.err


def test_results_in_json_are_as_those_of_validate(write: Any) -> None:
    """Failures and errors are findings; files that pass, fail, cannot be judged or read are told apart."""
    write("a.lr", HEAD + "expect fc lr == 1\nexpect fc frozen\nexpect fc lr == 1e-3\n")
    write("b.lr", HEAD + "fc -> lr -1\n")
    write("c.lr", HEAD + "expect fc lr == 1e-3\nlayer1 -> lr 1\n** -> lr 1e-3\n")
    failing = layerlr("test", "a.lr", "b.lr", "c.lr", "--format", "json", "--junit", "out.xml")
    told = json.loads(failing.out)
    jsonschema.validate(told, json.loads((FOLDER / "validate.json").read_text()))
    assert (failing.status, failing.err, told["valid"], told["errors"]) == (1, "", False, 3)
    assert [finding["code"] for finding in told["diagnostics"]] == ["LR220", "LR220", "LR107"]
    assert told["diagnostics"][0]["range"]["start"]["line"] == 4
    assert [(f["status"], f["errors"], f["model"]) for f in told["files"]] == [
        ("findings", 2, RESNET),
        ("findings", 1, RESNET),
        ("clean", 0, RESNET),
    ]
    assert ElementTree.parse("out.xml").getroot().tag == "testsuites"
    write("d.lr", "** -> lr 1\nexpect ** lr == 1\n")
    write("e.lr", b"\xff")
    unusable = layerlr("test", "c.lr", "d.lr", "e.lr", "--format", "json")
    told = json.loads(unusable.out)
    assert (unusable.status, told["valid"]) == (2, False)
    assert [file["status"] for file in told["files"]] == ["clean", "unreadable", "unreadable"]
    assert "--model" in told["files"][1]["problem"]
    assert "--model" in unusable.err


def test_failures_are_annotations_where_a_code_host_asks_for_them(write: Any) -> None:
    """A workflow command each, and the summary below; or a SARIF log alone."""
    write("a.lr", HEAD + "expect fc lr == 1\nexpect fc lr == 1e-3\n")
    github = layerlr("test", "a.lr", "--format", "github")
    first, last = github.out.splitlines()
    assert (github.status, github.err) == (1, "")
    assert first.startswith("::error file=a.lr,line=4,endLine=4,col=1,")
    assert last == "1 file: 1 passed, 1 failed"
    sarif = layerlr("test", "a.lr", "--format", "sarif")
    [run] = json.loads(sarif.out)["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["LR220"]
    passing = layerlr("test", write("b.lr", HEAD + "expect fc lr == 1e-3\n"), "--format", "github")
    assert (passing.status, passing.out) == (0, "1 file: 1 passed\n")


# ---------------------------------------------------------------- diff


def test_a_file_does_not_differ_from_itself(write: Any) -> None:
    """Nor from another spelling of the same rules; status 0."""
    write("a.lr", HEAD + "layer1, layer2 -> lr 1e-4\n")
    write("b.lr", HEAD + "layer{1..2} -> lr 1e-4\n")
    ran = layerlr("diff", "a.lr", "b.lr")
    assert (ran.status, ran.out) == (0, "no difference in 62 parameters\n")


def test_diff_names_parameters_values_and_modules(write: Any) -> None:
    """Differences are no failure; the JSON has every parameter."""
    write("a.lr", HEAD)
    write("b.lr", HEAD + "layer1, fc.bias -> lr 1e-4\n")
    ran = layerlr("diff", "a.lr", "b.lr", "--format", "json")
    assert ran.status == 0
    [change] = json.loads(ran.out)["changes"]
    assert (change["option"], change["old"], change["new"]) == ("lr", "1e-3", "1e-4")
    assert change["modules"] == ["layer1", "fc.bias"]
    assert len(change["parameters"]) == 13


def test_an_option_of_diff_has_a_key_in_json_and_words_in_text(write: Any) -> None:
    """No script should have to look for a phrase."""
    write("a.lr", HEAD + "freeze layer1 until epoch 2\n")
    write("b.lr", HEAD + "freeze layer1 until epoch 2 warmup 1 epoch\n")
    [change] = json.loads(layerlr("diff", "a.lr", "b.lr", "--format", "json").out)["changes"]
    assert change["option"] == "thaw_warmup"
    assert layerlr("diff", "a.lr", "b.lr").out.startswith(
        "warm-up after the thaw\n  none → epoch 2 to epoch 3\n"
    )


def test_diff_uses_the_model_of_whichever_file_names_one(write: Any) -> None:
    """And asks for one where neither does."""
    write("a.lr", HEAD)
    write("b.lr", "epochs 10\n** -> lr 1e-3\n")
    write("c.lr", "** -> lr 1e-3\n")
    assert layerlr("diff", "a.lr", "b.lr").status == 0
    assert layerlr("diff", "b.lr", "a.lr").status == 0
    assert layerlr("diff", "b.lr", "c.lr").status == 2


def test_diff_compares_standard_input(write: Any) -> None:
    """`git show HEAD:my.lr | layerlr diff - my.lr`."""
    ran = layerlr("diff", "-", write("a.lr", HEAD), stdin=HEAD.replace("1e-3", "1e-2"))
    assert "0.01 → 1e-3" in ran.out


# ---------------------------------------------------------------- rule, recipes, completion, help


def test_rule_finds_a_code_in_any_case_and_suggests_the_nearest() -> None:
    """`layerlr rule lr201`; LR291 is near LR201."""
    assert layerlr("rule", "lr201").out == layerlr("rule", "LR201").out
    ran = layerlr("rule", "LR29")
    assert ran.status == 2
    assert "did you mean LR2" in ran.err


def test_rule_json_has_every_page() -> None:
    """For editors and documentation."""
    codes = json.loads(layerlr("rule", "--format", "json").out)
    assert len(codes) > 60
    assert all(code["page"].startswith(f"# {code['code']}: ") for code in codes)


def test_recipes_are_listed_and_can_be_used_as_paths() -> None:
    """Every listed recipe is a rule file that `validate` finds."""
    listed = json.loads(layerlr("recipes", "--format", "json").out)
    for recipe in listed[:2]:
        assert layerlr("validate", f"recipe:{recipe['name']}").status in (0, 1)
    assert layerlr("recipes").status == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str) -> None:
    """The script of each shell asks `layerlr` itself what comes next."""
    ran = layerlr("completion", shell)
    assert ran.status == 0
    assert "_LAYERLR_COMPLETE" in ran.out


def test_bash_takes_the_completion_script(write: Any) -> None:
    """It is a program that bash can read."""
    script = write("completion.sh", layerlr("completion", "bash").out)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize("command", ["validate", "test", "fmt", "plan", "explain", "plot", "diff", "train"])
def test_the_shell_is_told_where_a_file_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """`layerlr plan my<TAB>`: the shell then completes file names itself."""
    from layerlr_dsl.cli import run

    monkeypatch.setenv("_LAYERLR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"layerlr {command} my")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run() == 0
    assert capsys.readouterr().out == "file,my\n"


def test_the_shell_is_told_which_commands_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`layerlr val<TAB>`."""
    from layerlr_dsl.cli import run

    monkeypatch.setenv("_LAYERLR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "layerlr va")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run() == 0
    assert capsys.readouterr().out == "plain,validate\n"


def test_every_command_is_in_the_help_and_teaches_by_example() -> None:
    """`layerlr COMMAND --help` exits 0, and shows how the command is used."""
    from layerlr_dsl.cli.app import COMMANDS

    listing = layerlr("--help").out
    for name in COMMANDS:
        assert f"  {name} " in listing
        if name in ("train", "lsp"):
            continue
        ran = layerlr(name, "--help")
        assert ran.status == 0, ran.err
        assert "layerlr" in ran.out.split("Options:")[0].replace("Usage: layerlr", "")
        assert all(len(line) <= 100 for line in ran.out.splitlines())


def test_version_is_printed() -> None:
    """One line."""
    ran = layerlr("--version")
    assert ran.status == 0
    assert re.fullmatch(r"layerlr \S.*\n", ran.out)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0 k"),
        (11_689_512, "11.7 M"),
        (138_357_544, "138 M"),
        (999_999, "1.0 M"),
        (70e9, "70.0 B"),
    ],
)
def test_counts_in_three_digits(count: float, words: str) -> None:
    """Rounded up across a unit as well."""
    assert short(int(count)) == words


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.0004, "<0.1%"),
        (0.044, "4.4%"),
        (0.72, "72%"),
        (0.9995, "99.9%"),
        (0.99999, "99.9%"),
        (0.0997, "10%"),
    ],
)
def test_shares_never_round_to_all_or_nothing(part: float, words: str) -> None:
    """99.95 % is not shown as everything."""
    assert share(part) == words


@pytest.mark.parametrize(
    ("value", "written"), [(0.01234, "0.0123"), (46.23, "46.2"), (665.4, "665"), (1130.2, "1,130")]
)
def test_what_was_measured_has_three_digits_and_no_exponent(value, written):
    """`1.13e3 ms` would have to be read twice."""
    assert in_digits(value) == written


def test_explain_knows_the_groups_of_files_beside_the_rules_folder(write: Any) -> None:
    """A selector on the command line stands where the file's own would: inside the root that was given."""
    write("common/groups.lr", "group stem = conv1, bn1\n")
    rules = 'model "torchvision:resnet18"\ninclude "../common/groups.lr"\n** -> lr 1\n@stem -> lr 2\n'
    path = write("rules/a.lr", rules)
    ran = layerlr("explain", path, "@stem", "--root", ".")
    assert ran.status == 0, ran.together
    assert "conv1.weight, bn1.weight, bn1.bias" in ran.out


def test_plan_shows_the_schedules_of_stages_as_they_follow_each_other(write: Any) -> None:
    """What drives the rates in the first stage says nothing of the others."""
    stages = (
        "stage a for 1 epoch\nschedule one_cycle\nstage b for 2 epochs\nschedule cosine\nstage c\nfreeze fc\n"
    )
    write("staged.lr", f'model "{RESNET}"\nepochs 4\n** -> lr 1e-3\n{stages}')
    assert "schedule one_cycle → cosine → none" in layerlr("plan", "staged.lr").out


# ---------------------------------------------------------------- what comes next


def test_the_command_that_is_named_next_works(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file may not name the model, or a name needs quotes."""
    write("nets_next.py", "from torch import nn\n\n\ndef tagger():\n    return nn.Linear(2, 2)\n")
    monkeypatch.syspath_prepend(".")
    for spec, output in (("python:nets_next:tagger", "my tagger.lr"), (RESNET, "resnet.lr")):
        ran = layerlr("init", "--model", spec, "-o", output)
        program, *arguments = shlex.split(ran.out.partition("next: ")[2])
        assert program == "layerlr"
        assert layerlr(*arguments).status == 0


def test_a_page_that_somebody_changed_is_kept(write: Any) -> None:
    """What `eject` would write again is no obstacle; --force overwrites whatever is there."""
    path = write("a.lr", HEAD)
    line = ("eject", path, "-o", "page.py")
    assert [layerlr(*line).status for _ in range(2)] == [0, 0]
    written = Path("page.py").read_text()
    Path("page.py").write_text(written + "# mine\n")
    ran = layerlr(*line)
    assert (ran.status, Path("page.py").read_text()) == (2, written + "# mine\n")
    assert "--force overwrites it" in ran.err
    assert layerlr(*line, "--force").status == 0
    assert Path("page.py").read_text() == written


def test_explain_on_a_clock_of_steps_says_why_there_are_no_epochs(tmp_path: Path) -> None:
    """And not that it is steps that it lacks."""
    file = tmp_path / "a.lr"
    file.write_text(f'model "{RESNET}"\nsteps 100\n** -> lr 1e-3\n')
    done = layerlr("explain", str(file), "fc.bias", "--at", "epoch 3")
    assert done.status == 2
    assert "epochs need --steps-per-epoch: this run counts steps" in done.err


def test_plan_says_which_stage_begins_with_a_fresh_optimizer(tmp_path: Path) -> None:
    """What is dropped there is seen before it is missed."""
    file = tmp_path / "a.lr"
    stages = "stage a for 2 epochs\nfreeze layer1\nstage b for 2 epochs, fresh optimizer\nfc -> lr 1e-4\n"
    file.write_text(f'model "{RESNET}"\n** -> lr 1e-3\n{stages}')
    assert "\nb begins with a fresh optimizer" in layerlr("plan", str(file)).out


# ---------------------------------------------------------------- what is nothing, and where it belongs


def test_a_file_that_says_nothing_is_told_of(write: Any) -> None:
    """An empty file has no errors, and a file without expectations passes none."""
    write("empty.lr", "# later\n")
    assert "; it says nothing" in layerlr("validate", "empty.lr").out
    assert layerlr("test", write("a.lr", HEAD)).out == "1 file: no `expect` statements\n"
    assert "1 of them without a statement" in layerlr("validate", ".").out


def test_a_file_ahead_of_the_command_is_told_where_it_belongs() -> None:
    """`layerlr my.lr plan` is a common slip."""
    assert "The command comes first: layerlr plan my.lr" in layerlr("my.lr", "plan").err


def test_recipes_stand_below_their_names_and_end_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns a text beside the longest name would be a narrow column."""
    monkeypatch.setenv("COLUMNS", "80")
    out = layerlr("recipes").out
    assert "\nrecipe:bitfit\n  BitFit: only the biases train, and the classifier, which is new\n" in out
    assert not re.search(r"et al\n|layerlr train", out)
