"""`layerlr validate`: statuses, summary, formats, fixes, watching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from harness import layerlr
from rule_texts import CLEAN, FAULTY, WARNED

from layerlr_dsl.cli.inputs import gather
from layerlr_dsl.cli.report import Request, validate
from layerlr_dsl.cli.validate import watch_files
from layerlr_dsl.reports import FOLDER

SARIF = Path(__file__).parent / "data" / "sarif-2.1.0.schema.json"


def _schema(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_clean_file_says_so_and_exits_0(write: Any) -> None:
    """One summary line on standard output, nothing on standard error."""
    ran = layerlr("validate", write("a.lr", CLEAN))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("1 file: no errors, no warnings")


def test_findings_go_to_stderr_and_the_summary_to_stdout(write: Any) -> None:
    """`layerlr validate x > /dev/null` still shows what is wrong."""
    write("a.lr", FAULTY)
    ran = layerlr("validate", "a.lr")
    assert ran.status == 1
    assert ran.out == "1 file: 3 errors\n"
    assert [line for line in ran.err.splitlines() if line.startswith("error[")] == [
        "error[LR201]: `layer5.*` matches no parameter",
        "error[LR103]: adamw has no option `wd`",
        "error[LR004]: unknown statement `freez`",
    ]


def test_warnings_fail_only_when_strict(write: Any) -> None:
    """--strict turns status 0 into 1, and shows the same findings."""
    write("a.lr", WARNED)
    lax, strict = layerlr("validate", "a.lr"), layerlr("validate", "a.lr", "--strict")
    assert (lax.status, strict.status) == (0, 1)
    assert lax.out == strict.out == "1 file: 1 warning\n"


def test_notes_are_counted_and_shown_on_request(write: Any) -> None:
    """A rule that is partly overridden is no reason to print anything, until asked."""
    write("a.lr", 'model "torchvision:resnet18"\n** -> lr 1e-3\nfc -> lr 1e-2\n')
    assert layerlr("validate", "a.lr").out.endswith("(1 note with --info)\n")
    asked = layerlr("validate", "a.lr", "--info")
    assert "info[LR203]" in asked.err
    assert asked.out == "1 file: 1 note\n"


def test_advice_is_given_only_when_asked_for(write: Any) -> None:
    """LR4xx are opinions; --info alone does not bring them."""
    write("a.lr", 'model "torchvision:resnet18"\noptimizer adamw(weight_decay=0.05)\n** -> lr 1e-3\n')
    assert "LR402" not in layerlr("validate", "--info", "a.lr").together
    assert "info[LR402]" in layerlr("validate", "--advice", "a.lr").err


def test_a_folder_is_walked_and_an_unreadable_file_beats_findings(write: Any) -> None:
    """Status 2 where one file cannot be read, and the others are still checked."""
    write("rules/a.lr", FAULTY)
    write("rules/deep/b.lr", CLEAN)
    write("rules/.hidden/c.lr", FAULTY)
    assert layerlr("validate", "rules").out == "2 files: 3 errors\n"
    write("rules/z.lr", b"\xff\xfe\x00")
    ran = layerlr("validate", "rules")
    assert ran.status == 2
    assert "not UTF-8" in ran.err
    assert ran.out == "3 files: 1 file unreadable, 3 errors\n"


def test_a_folder_without_rules_does_not_keep_other_files_from_being_judged(write: Any) -> None:
    """It cannot be read (2), and what is wrong elsewhere is said all the same."""
    write("wrong.lr", "** -> lr")
    Path("bare").mkdir()
    ran = layerlr("validate", "bare", "wrong.lr")
    assert ran.status == 2
    assert "bare: no rule files (*.lr) in this folder" in ran.err
    assert "wrong.lr:1" in ran.err
    assert ran.out == "2 files: 1 file unreadable, 1 error (1 of them checked without a model)\n"


def test_findings_of_a_shared_include_are_told_once(write: Any) -> None:
    """Two files that include a faulty one do not repeat its fault."""
    write("shared/bad.lr", "fc -> lr 1e-4x\n")
    write("a.lr", 'include "shared/bad.lr"\n** -> lr 1\n')
    write("b.lr", 'include "shared/bad.lr"\n** -> lr 1\n')
    ran = layerlr("validate", "a.lr", "b.lr")
    assert ran.err.count("LR003") == 1
    assert ran.out.startswith("2 files: 1 error")


def test_a_folder_is_the_root_of_the_includes_of_its_files(write: Any) -> None:
    """A file in a subfolder may include from the folder that was given, but not alone."""
    write("rules/common.lr", "** -> lr 1e-3\n")
    write("rules/vision/a.lr", 'include "../common.lr"\n')
    assert layerlr("validate", "rules").status == 0
    alone = layerlr("validate", "rules/vision/a.lr")
    assert "LR114" in alone.err
    assert layerlr("validate", "rules/vision/a.lr", "--root", "rules").status == 0


def test_a_folder_is_the_root_of_its_files_whatever_root_says(write: Any) -> None:
    """`--root` is for files that are given by themselves."""
    write("common.lr", "** -> lr 1e-3\n")
    write("rules/a.lr", 'include "../common.lr"\n')
    assert "LR114" in layerlr("validate", "rules", "--root", ".").err
    assert layerlr("validate", "rules/a.lr", "--root", ".").status == 0


def test_a_model_is_looked_up_as_an_include_is(write: Any) -> None:
    """Beside the file, then in the root, and never outside of it."""
    assert layerlr("inspect", "torchvision:alexnet", "-o", "near.json").status == 0
    for folder in ("rules", "rules/deep"):
        Path(folder).mkdir(parents=True)
    Path("rules/deep/near.json").write_bytes(Path("near.json").read_bytes())
    Path("rules/top.json").write_bytes(Path("near.json").read_bytes())
    for name, model in {
        "a": "near.json",
        "b": "top.json",
        "c": "../top.json",
        "d": "../../near.json",
    }.items():
        write(f"rules/deep/{name}.lr", f'model "{model}"\n** -> lr 1e-3\n')
    told = layerlr("validate", "rules")
    assert told.err.count("error[") == 1
    assert "`../../near.json` lies outside" in told.err
    assert layerlr("plan", "rules/deep/a.lr").status == 0
    assert "LR210" in layerlr("validate", "rules/deep/b.lr").err


def test_standard_input_is_a_file_called_dash() -> None:
    """`-` reads standard input, once however often it is named."""
    ran = layerlr("validate", "-", "-", stdin="** -> lr 1e-4x\n")
    assert ran.status == 1
    assert "--> <stdin>:1:10" in ran.err
    assert ran.out.startswith("1 file: 1 error")


def test_the_model_of_the_command_line_wins(write: Any) -> None:
    """The file's own model is not even built."""
    write("a.lr", 'model "torchvision:resnet19"\n** -> lr 1e-3\nfeatures.0 -> lr 1e-4\n')
    assert "LR210" in layerlr("validate", "a.lr").err
    assert layerlr("validate", "a.lr", "--model", "torchvision:vgg11").status == 0


def test_a_model_that_cannot_be_had_is_wrong_usage(write: Any) -> None:
    """An unknown --model is the caller's mistake: 2, with the nearest name."""
    write("a.lr", CLEAN)
    ran = layerlr("validate", "a.lr", "--model", "torchvision:resnet19")
    assert ran.status == 2
    assert "torchvision:resnet18" in ran.err


def test_json_holds_to_its_published_schema(write: Any) -> None:
    """Every field that the schema names, for findings with and without places, fixes and relations."""
    write("a.lr", FAULTY)
    write("b.lr", "let a = 1\nlet a = 2\n** -> lr a\n")
    write("c.lr", b"\xff")
    ran = layerlr("validate", "a.lr", "b.lr", "c.lr", "--format", "json")
    assert ran.status == 2
    report = json.loads(ran.out)
    jsonschema.validate(report, _schema(FOLDER / "validate.json"))
    assert [file["status"] for file in report["files"]] == ["findings", "findings", "unreadable"]
    assert (report["valid"], report["errors"], report["warnings"]) == (False, 4, 0)
    first = report["diagnostics"][0]
    assert first["range"]["start"] == {"line": 3, "column": 1, "offset": 43}
    assert any(finding["fix"] and finding["fix"]["safe"] for finding in report["diagnostics"])
    assert any(finding["related"] for finding in report["diagnostics"])


def test_sarif_holds_to_the_schema_of_its_standard(write: Any) -> None:
    """SARIF 2.1.0, as code hosts take it, with fixes and related places."""
    write("späte regeln.lr", FAULTY)
    write("b.lr", "let a = 1\nlet a = 2\n** -> lr a\n")
    ran = layerlr("validate", "späte regeln.lr", "b.lr", "--format", "sarif")
    assert ran.status == 1
    log = json.loads(ran.out)
    jsonschema.validate(log, _schema(SARIF))
    [run] = log["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["LR201", "LR103", "LR004", "LR102"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "sp%C3%A4te%20regeln.lr"
    assert (place["region"]["startLine"], place["region"]["endColumn"]) == (3, 9)


def test_sarif_of_no_findings_is_valid_too(write: Any) -> None:
    """An empty run is what clears old alerts."""
    ran = layerlr("validate", write("a.lr", CLEAN), "--format", "sarif")
    log = json.loads(ran.out)
    jsonschema.validate(log, _schema(SARIF))
    assert log["runs"][0]["results"] == []


@pytest.mark.parametrize("form", ["github", "sarif", "json", "text"])
def test_no_format_sends_control_characters_to_the_log(write: Any, form: str) -> None:
    """A file of an odd name, and odd characters in the rules: a log that shows them raw would obey them."""
    write("a\x1b[31m\u202e.lr", CLEAN + '"fc\x1b[32m\u202e" -> lr 1\n')
    ran = layerlr("validate", "a\x1b[31m\u202e.lr", "--format", form)
    assert ran.status == 1, ran.together
    assert all(char.isprintable() or char == "\n" for char in ran.together), ascii(ran.together)


def test_github_commands_escape_what_would_end_them(write: Any) -> None:
    """Percent signs, line breaks, commas and colons cannot break out of a workflow command."""
    write("a,b:%.lr", FAULTY)
    lines = layerlr("validate", "a,b:%.lr", "--format", "github").out.splitlines()
    assert lines[0].startswith(
        "::error file=a%2Cb%3A%25.lr,line=3,endLine=3,col=1,endColumn=9,title=layerlr LR201::"
    )
    assert "%0Ahelp: did you mean" in lines[0]
    assert len(lines) == 4


def test_fix_applies_what_is_safe_and_keeps_the_rest(write: Any) -> None:
    """`wd` becomes `weight_decay`, line ends and comments stay, unsafe fixes are left to people."""
    path = write("a.lr", "# keep me\r\n** -> lr 1e-3, wd 0.1 # and me\r\nfreez fc\r\n")
    ran = layerlr("validate", "--fix", path)
    assert path.read_bytes() == b"# keep me\r\n** -> lr 1e-3, weight_decay 0.1 # and me\r\nfreez fc\r\n"
    assert ran.status == 1
    assert ran.out.startswith("1 file: 1 error; 1 fix applied")


def test_fix_leaves_a_clean_file_alone(write: Any) -> None:
    """A file without findings is not written."""
    path = write("a.lr", CLEAN)
    before = path.stat().st_mtime_ns
    ran = layerlr("validate", "--fix", path)
    assert ran.status == 0
    assert "; nothing to fix" in ran.out
    assert path.stat().st_mtime_ns == before


def test_watching_runs_again_when_a_file_changes(write: Any) -> None:
    """Once at the start, once for a change, not when nothing happens; a new file in the folder counts."""
    write("a.lr", FAULTY)
    seen: list[int] = []

    def once() -> Any:
        report = validate(Request((".",)))
        seen.append(report.number("error"))
        if len(seen) == 1:
            write("a.lr", CLEAN)
            write("b.lr", "** -> lr x\n")
        return report

    assert watch_files(once, ["."], rounds=1) == 1
    assert watch_files(once, ["."], rounds=2) == 1
    assert seen == [3, 1]


def test_watching_standard_input_is_refused() -> None:
    """It cannot be read twice."""
    assert layerlr("validate", "-", "--watch").status == 2


def test_overlapping_paths_name_each_file_once(write: Any) -> None:
    """A folder, a file in it and a link to it are one file."""
    path = write("rules/a.lr", CLEAN)
    (path.parent / "same.lr").symlink_to(path)
    assert len(gather(["rules", "rules/a.lr", "./rules"])) == 1


@pytest.mark.parametrize("epochs", ["0", "-1", "nan", "x", "1e999", "1/0"])
def test_an_impossible_length_of_the_run_is_wrong_usage(write: Any, epochs: str) -> None:
    """--epochs takes positive numbers."""
    assert layerlr("validate", write("a.lr", CLEAN), "--epochs", epochs).status == 2


def test_a_fix_that_makes_nothing_better_is_left_to_people(write: Any) -> None:
    """An arrow written for the colon would move the fault along, so the file stays as it is."""
    text = "rules:\n** -> lr 1e-3\n"
    path = write("a.lr", text)
    assert layerlr("validate", "--fix", path).status == 1
    assert path.read_text() == text


def test_only_a_fix_that_would_be_made_is_announced(write: Any) -> None:
    """The same sign can be mended in one statement, and behind it in another stands what no fix knows."""
    for text, made in (("** -> lr * = 0.5\n", True), ("** -> lr * * 0.5\n", False)):
        path = write("a.lr", text)
        assert ("`validate --fix` does it" in layerlr("validate", path).err) is made
        layerlr("validate", "--fix", path)
        assert (path.read_text() != text) is made


def test_fixes_are_carried_through_where_one_bares_the_next(write: Any) -> None:
    """The colon and the equal sign hide each other; a fault that stays on another line hinders neither."""
    path = write("a.lr", "rules:\nfc: lr = 1e-3, wd 0.1\n")
    ran = layerlr("validate", "--fix", path)
    assert path.read_text() == "rules:\nfc -> lr 1e-3, weight_decay 0.1\n"
    assert "1 error; 3 fixes applied" in ran.out


def test_files_without_a_model_are_counted(write: Any) -> None:
    """A folder is not right because nothing could be held against a model."""
    write("rules/a.lr", CLEAN)
    write("rules/b.lr", "** -> lr 1e-3\n")
    out = layerlr("validate", "rules").out
    assert out == "2 files: no errors, no warnings (1 of them checked without a model)\n"
