"""What is judged of a file before any model is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl import api
from layerlr_dsl.language.checker import check
from layerlr_dsl.language.diagnostics import Diagnostic
from layerlr_dsl.language.source import Source


def findings(text: str) -> list[Diagnostic]:
    return list(api.Rules(check(Source("<string>", text))).diagnostics)


CASES = [
    # text, code, the text of the span, a part of the help
    ("** -> wd 0", "LR103", "wd", "weight_decay"),
    ("** -> momentum 0.9", "LR103", "momentum", None),
    ("** -> lrr 1", "LR103", "lrr", "lr"),
    ("** -> lr -1", "LR107", "-1", None),
    ("** -> lr true", "LR107", "true", None),
    ("** -> betas (0.9, 1.0)", "LR107", "(0.9, 1.0)", None),
    ("** -> betas *= 0.5", "LR107", "betas *= 0.5", "set it"),
    ("** -> lr *= -1", "LR107", "-1", None),
    ("** -> lr 1 / 0", "LR108", "1 / 0", None),
    ("** -> lr 1 mod 0", "LR108", "1 mod 0", None),
    ("** -> lr 2 ^ 5000.5", "LR108", "2 ^ 5000.5", None),
    ("** -> lr 1e999", "LR108", "1e999", None),
    ("** -> lr sqrt(-1)", "LR108", "sqrt(-1)", None),
    ("** -> lr bse\nlet base = 1", "LR101", "bse", "base"),
    ("** -> lr sqr(2)", "LR109", "sqr", "sqrt"),
    ("** -> lr sqrt(2, 3)", "LR109", "sqrt(2, 3)", None),
    ("** -> lr last(i)", "LR101", "i", "bind one"),
    ("layer<i>, fc -> lr 0.5 ^ i", "LR119", "i", "fc"),
    ("let ndim = 1", "LR102", "ndim", "another name"),
    ("let a = 1\nlet a = 2", "LR102", "a", "rename"),
    ("let a = b\nlet b = a", "LR102", "a", "value of its own"),
    ("let a = ndim", "LR101", "ndim", "constant"),
    ("layer<lr>.<i> -> lr 1\nlet lr = 1", "LR102", "layer<lr>.<i>", "rename"),
    ("layer<ndim> -> lr 1", "LR102", "layer<ndim>", "rename"),
    ("layer<last> -> lr last(last)", "LR102", "layer<last>", "rename"),
    ("layer<min> -> lr 1", "LR102", "layer<min>", "rename"),
    ("layer<count> -> lr 1", "LR102", "layer<count>", "rename"),
    ("layer<sqrt> -> lr 1", "LR102", "layer<sqrt>", "rename"),
    ("layer<true> -> lr true", "LR102", "layer<true>", "rename"),
    ("group g = layer<false>", "LR102", "layer<false>", "rename"),
    ("layer<mod> -> lr 1", "LR102", "layer<mod>", "rename"),
    ("layer<float32> -> lr 1", "LR102", "layer<float32>", "rename"),
    ("@stem -> lr 1", "LR110", "@stem", "define it"),
    ("group stem = conv1\n@stme -> lr 1", "LR110", "@stme", "@stem"),
    ("group a = @a", "LR111", "@a", "circle"),
    ("group a = @b\ngroup b = @c\ngroup c = @a", "LR111", "@a", "circle"),
    ("/a(?=b)/ -> lr 1", "LR112", "/a(?=b)/", None),
    ("** where name matches /(/ -> lr 1", "LR112", "/(/", None),
    ("optimizer adam2", "LR104", "adam2", "adam"),
    ("optimizer sgd(momentun=0.9)", "LR120", "momentun", "momentum"),
    ("optimizer adamw(lr=-1)", "LR107", "-1", None),
    ("optimizer sgd(nesterov=true)", "LR120", "nesterov=true", None),
    ("** -> optimizer mun", "LR104", "mun", "muon"),
    ("schedule cosin", "LR105", "cosin", "cosine"),
    ("schedule cosine(warmpu=5%)", "LR120", "warmpu=5%", "warmup"),
    ("schedule step(gamma=0.1)", "LR120", "step(gamma=0.1)", None),
    ("** -> schedule cosine until epoch 5", "LR117", "until epoch 5", None),
    ("** -> amsgrad true until epoch 5", "LR117", "until epoch 5", None),
    ("** -> lr 1, lr 2", "LR124", "lr", "one of them"),
    ("fc -> frozen", "LR118", "frozen", "freeze fc"),
    ("** where depth is Conv2d -> lr 1", "LR125", "depth is Conv2d", "=="),
    ("** where dtype is flaot16 -> lr 1", "LR125", "flaot16", "float16"),
    ("freeze fc until epoch -1", "LR312", "-1", None),
    ("freeze fc until step 1.5", "LR312", "1.5", None),
    ("unfreeze a then b every 0 epochs", "LR312", "0", None),
    ("epochs 0", "LR312", "0", None),
    ('model "python:os:getcwd"', "LR123", '"python:os:getcwd"', "--model"),
    ("a..b -> lr 1", "LR011", ".", "extra dot"),
    ('"a{b" -> lr 1', "LR011", "{b", "close"),
]


@pytest.mark.parametrize(("text", "code", "span", "help"), CASES, ids=[c[0] for c in CASES])
def test_each_fault_has_one_error_at_its_place(text: str, code: str, span: str, help: str | None) -> None:
    """The code, the very words at fault, and the way out."""
    errors = [d for d in findings(text) if d.severity == "error"]
    assert [d.code for d in errors][:1] == [code]
    assert len(errors) == 1 or code == "LR102"
    first = errors[0]
    assert first.span is not None
    assert first.span.text == span
    if help is not None:
        assert first.help is not None
        assert help in first.help


@pytest.mark.parametrize("name", ["i", "b", "norm", "linear", "lr", "epoch", "lasts"])
def test_a_capture_may_have_any_name_that_means_nothing_in_a_value(name: str) -> None:
    """A family or an option is a word in its own place only."""
    assert findings(f"layer<{name}> -> lr 0.5 ^ last({name}) * {name}") == []


def test_a_faulty_statement_breeds_no_other_finding() -> None:
    """What was left out as faulty is not missed by the rest."""
    rules = api.Rules(check(Source("<string>", "freeze fc unti epoch 5\nunfreeze fc at epoch 3\nfc -> lr 1")))
    model = layerlr.Inventory.of(
        __import__("torch").nn.ModuleDict({"fc": __import__("torch").nn.Linear(1, 1)})
    )
    assert len([d for d in rules.check(model) if d.severity == "error"]) == 1


LOST = [
    ("let base = 2 * * 3\n** -> lr base\nfc -> lr base * 2", "LR001"),
    (
        "let fall = ramp((0 steps, 1), (2 * 3 steps, 0))\nschedule fall\n** -> lr 1\nfc -> schedule fall",
        "LR001",
    ),
    ("let first = 1e-3\nlet half = first / 2\n** -> lr first, weight_decay half", "LR102"),
    ("group top = a b\nfreeze @top\ngroup all = @top, c\n@all -> lr 1", "LR001"),
    ("group top = a b\nlet n = count(@top)\n** -> lr n", "LR001"),
    ("group top = a b\nlayer<top> -> lr top", "LR001"),
]


@pytest.mark.parametrize(("text", "code"), LOST)
def test_who_uses_a_name_that_a_faulty_statement_would_have_given_is_not_at_fault(
    text: str, code: str
) -> None:
    """The one finding is that of the statement."""
    assert [found.code for found in findings(text) if found.severity == "error"] == [code]


def test_a_name_that_an_included_file_failed_to_give_is_not_unknown(tmp_path: Path) -> None:
    """The finding is in that file."""
    (tmp_path / "base.lr").write_text("let base = 1 +\n")
    (tmp_path / "main.lr").write_text('include "base.lr"\n** -> lr base\n')
    assert codes(tmp_path / "main.lr") == ["LR005"]


def test_lets_and_groups_may_be_used_before_they_are_defined() -> None:
    """They are names for the whole file."""
    assert findings("@stem -> lr base\nlet base = twice / 2\nlet twice = 1e-3\ngroup stem = conv1") == []


def test_a_long_flat_chain_is_worked_out_without_recursion() -> None:
    """Ten thousand operators are no nesting."""
    chain = " + ".join(["1e-9"] * 10_000)
    assert findings(f"** -> lr {chain}") == []


# ---------------------------------------------------------------- includes


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".lr").write_text(text)
    return folder / "main.lr"


def codes(path: Path, root: Path | None = None) -> list[str]:
    return [d.code for d in api.read(path, root).diagnostics]


def test_an_include_lays_its_rules_in_place_once(tmp_path: Path) -> None:
    """Lets, groups and rules come in at that line; what counts in the main file only does not."""
    main = write(
        tmp_path,
        main='** -> lr 1\ninclude "parts/common.lr"\ninclude "parts/common.lr"\nfc -> lr base',
        parts__common='let base = 2\nepochs 7\noptimizer sgd\nfc -> lr 3\ngroup g = fc\nmodel "nothing"',
    )
    rules = layerlr.load(main)
    assert [c.statement.span.text for c in rules.checked.clauses] == [
        "** -> lr 1",
        "fc -> lr 3",
        "fc -> lr base",
    ]
    assert (rules.epochs, rules.model, rules.checked.optimizer.info.name) == (None, None, "adamw")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('include "../outside.lr"', "LR114"),
        ('include "/etc/passwd"', "LR114"),
        ('include "link.lr"', "LR114"),
        ('include "absent.lr"', "LR113"),
        ('include "folder"', "LR113"),
        ('include "main.lr"', "LR115"),
        ('include "round.lr"', "LR115"),
        ('include "latin.lr"', "LR113"),
    ],
)
def test_an_include_stays_in_the_root_and_ends(tmp_path: Path, line: str, code: str) -> None:
    """By `..`, by an absolute path, by a link; missing, in a circle, not UTF-8."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.lr").write_text("** -> lr 1")
    main = write(root, main=line, round='include "main.lr"')
    (root / "link.lr").symlink_to(tmp_path / "outside.lr")
    (root / "folder").mkdir()
    (root / "latin.lr").write_bytes("# caf\xe9".encode("latin-1"))
    assert codes(main) == [code]


def test_a_circle_of_includes_shows_both_places(tmp_path: Path) -> None:
    """The include that closes it, and the one that opened it."""
    main = write(tmp_path, main='include "a.lr"', a='include "b.lr"', b='include "a.lr"')
    (found,) = api.read(main).diagnostics
    assert found.span is not None
    assert Path(found.span.source.name).name == "b.lr"
    assert [Path(r.span.source.name).name for r in found.related] == ["main.lr", "a.lr"]


def test_a_wider_root_admits_its_neighbours(tmp_path: Path) -> None:
    """`--root` names the folder that includes stay in."""
    write(tmp_path, shared__no_decay="** -> weight_decay 0")
    main = write(tmp_path / "mine", main='include "../shared/no_decay.lr"')
    assert codes(main) == ["LR114"]
    assert codes(main, tmp_path) == []


def test_what_is_missing_within_an_include_shows_both_places(tmp_path: Path) -> None:
    """The include that fails, and the include that led there."""
    main = write(tmp_path, main='include "part.lr"', part='\ninclude "nowhere.lr"')
    (found,) = api.read(main).diagnostics
    assert found.code == "LR113"
    assert found.span is not None
    assert (Path(found.span.source.name).name, found.span.first.line) == ("part.lr", 2)
    assert [(Path(r.span.source.name).name, r.span.first.line) for r in found.related] == [("main.lr", 1)]


def test_an_included_selector_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    """A common file must fit models that lack some of its names."""
    main = write(tmp_path, main='include "common.lr"\n** -> lr 1', common="nothing -> lr 1")
    model = layerlr.Inventory.of(__import__("torch").nn.Linear(1, 1))
    found = layerlr.load(main).resolve(model).diagnostics
    assert [(d.code, d.severity) for d in found] == [("LR201", "warning")]


def test_a_text_without_a_file_includes_nothing() -> None:
    """Unless it is given a root."""
    assert [d.code for d in findings('include "a.lr"')] == ["LR113"]


def test_an_unreadable_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    """OSError, which tools tell apart from findings."""
    with pytest.raises(OSError, match="no such file"):
        layerlr.load(tmp_path / "absent.lr")
    (tmp_path / "bad.lr").write_bytes(b"\xff\xfe")
    with pytest.raises(OSError, match="UTF-8"):
        layerlr.load(tmp_path / "bad.lr")


@pytest.mark.parametrize("text", ["optimizer adamw(lr=1, lr=2)", "** -> optimizer sgd(lr=1, lr=2)"])
def test_an_argument_of_an_optimizer_is_given_once(text: str) -> None:
    """The last one does not win in silence."""
    assert [d.code for d in findings(text)] == ["LR120"]


@pytest.mark.parametrize(
    "value", ["10^308*10", "1" * 400, "2^1024", "floor(1.7e308) * 2", "1e200 * 1e200", "9" * 309 + "/10"]
)
def test_a_whole_number_that_fits_no_float_is_not_finite(value: str) -> None:
    """Whole numbers have no bound of their own: it is a finding at their span, never an overflow."""
    assert [d.code for d in findings(f"** -> lr {value}")] == ["LR108"]


def test_a_moment_of_endless_digits_is_refused() -> None:
    """Moments are exact, so a long chain of divisions would grow without bound."""
    assert [d.code for d in findings("freeze fc until epoch (1" + "/3" * 5000 + ")")] == ["LR108"]


def test_a_condition_is_quoted_with_its_unit() -> None:
    """The help can be pasted as it stands."""
    model = layerlr.Inventory.of(__import__("torch").nn.Sequential(__import__("torch").nn.Linear(1, 1)))
    rules = layerlr.parse("** -> lr 1; unfreeze 0 at val_loss stops falling for 2 epochs")
    (found,) = [d for d in rules.check(model) if d.code == "LR307"]
    assert found.help == "write `freeze 0 until val_loss stops falling for 2 epochs`, which says both"


def test_an_expectation_of_an_unknown_option_is_found_before_it_is_run() -> None:
    """`validate` runs no expectation, and must still name the near miss."""
    (found,) = findings("** -> lr 1; expect fc wd == 0")
    assert (found.code, found.help) == ("LR103", "did you mean `weight_decay`?")
    assert findings("** -> lr 1; ** -> optimizer sgd(momentum=0.9); expect fc momentum == 0.9") == []


@pytest.mark.parametrize(
    "text",
    [
        "optimizer sdg\n** -> lr 1, momentum 0.9\nexpect fc momentum == 0.9",
        "** -> lr 1\nfc -> optimizer sdg(lr=1), momentum 0.9\nexpect fc momentum == 0.9",
    ],
)
def test_a_misspelled_optimizer_breeds_no_findings_about_its_options(text: str) -> None:
    """One fault, one error: nobody knows what it would have had."""
    assert [d.code for d in findings(text)] == ["LR104"]
