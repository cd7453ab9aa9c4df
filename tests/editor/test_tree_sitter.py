"""The tree-sitter grammar, compiled as an editor compiles it: it reads what the language reads, and colours each word."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from valid_texts import valid_texts

from layerlr_dsl.catalogue import optimizers
from layerlr_dsl.catalogue.schedules import CALLED
from layerlr_dsl.catalogue.schedules import names as schedule_names
from layerlr_dsl.editor import colours, zed
from layerlr_dsl.editor.treesitter import grammar_folder
from layerlr_dsl.language.machine import machine
from layerlr_dsl.language.names import CAPTURE_FUNCTIONS, FUNCTIONS, LATER_FUNCTIONS
from layerlr_dsl.language.parser import parse
from layerlr_dsl.language.source import Source
from layerlr_dsl.language.syntax import RuleStatement
from layerlr_dsl.language.vocabulary import ATTRIBUTES, FAMILIES

tree_sitter = pytest.importorskip("tree_sitter", reason="the binding of tree-sitter is not installed")

FOLDER = grammar_folder()
ROOT = Path(__file__).parents[2]
COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

# Every word of the language at a place where it is one.
WORDS = """version 1
model "m.json"
epochs 10; steps 10; steps_per_epoch 10
include "x.lr"
let x = not true or false and name matches /a/ or i mod 2 == 0
group g = a except b where module is norm
optimizer adamw
schedule linear for 3 epochs then cosine
a -> lr 1 from epoch 1 until epoch 2
freeze a updating statistics warmup 1 epoch
freeze statistics of a
unfreeze a at epoch 3
unfreeze a.<i> by i descending then b.<i> by i ascending every 1 epoch starting at epoch 2
stage s until loss stops falling for 2 epochs, fresh optimizer
freeze a until loss stops rising for 2 epochs
after stages
expect a frozen; expect a trains; expect groups == 1; expect trainable < 5%
"""
# What the language's grammar refuses and this one, made for colours, does not look at.
LOOSER = {
    "a chained comparison",
    "an exponent out of range",
    "let with a word of expressions",
    "stretches of time in an expression",
    "a stretch of time elsewhere",
    "a unit that touches",
    "an argument behind those with names",
}
ZED_COLOURS = {
    "attribute", "boolean", "comment", "constant", "function", "keyword", "label", "number", "operator",
    "punctuation", "string", "tag", "type", "variable",
}  # fmt: skip
"""What Zed's themes know, of what the query may name."""
WHOLE_FILE = {"LR008", "LR009", "LR010"}
"""Findings on statements that are right by themselves, and on characters."""


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The grammar from its committed C, which is all that editors have."""
    library = tmp_path_factory.mktemp("tree-sitter") / "layerlr.so"
    sources = [str(FOLDER / "src" / name) for name in ("parser.c", "scanner.c")]
    flags = ["-O1", "-std=c11", "-Wall", "-Wextra", "-shared", "-fPIC", f"-I{FOLDER / 'src'}"]
    assert COMPILER is not None
    done = subprocess.run([COMPILER, *flags, *sources, "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scanner.c" not in done.stderr, done.stderr
    return tree_sitter.Language(_capsule(ctypes.CDLL(str(library))))


def _capsule(library: ctypes.CDLL) -> Any:
    library.tree_sitter_layerlr.restype = ctypes.c_void_p
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(library.tree_sitter_layerlr(), b"tree_sitter.Language", None)


@pytest.fixture(scope="module")
def parser(language: Any) -> Any:
    return tree_sitter.Parser(language)


@pytest.fixture(scope="module")
def query(language: Any) -> Any:
    return tree_sitter.Query(language, (FOLDER / "queries" / "highlights.scm").read_text(encoding="utf-8"))


def leaves(node: Any) -> Iterator[Any]:
    """The tokens of a tree, from left to right."""
    if not node.children:
        yield node
    for child in node.children:
        yield from leaves(child)


def faults(parser: Any, text: str) -> list[str]:
    """What could not be read, or had to be supposed."""

    def found(node: Any) -> Iterator[str]:
        if node.is_error or node.is_missing:
            yield f"{node.start_point.row + 1}:{node.start_point.column + 1} {node.type} {node.text.decode()!r}"
        for child in node.children:
            if child.has_error:
                yield from found(child)

    return list(found(parser.parse(text.encode()).root_node))


def coloured(parser: Any, query: Any, text: str) -> list[tuple[str, str]]:
    """Each word that is captured, and as what, from left to right."""
    captures = tree_sitter.QueryCursor(query).captures(parser.parse(text.encode()).root_node)
    every = [
        (node.start_byte, node.text.decode(), name) for name, nodes in captures.items() for node in nodes
    ]
    return [(text, name) for _, text, name in sorted(every)]


# ---------------------------------------------------------------- reading


def test_every_valid_file_is_read_without_an_error(parser: Any) -> None:
    """The recipes and every block of the documentation."""
    assert len(valid_texts()) > 100
    assert {name: faults(parser, text) for name, text in valid_texts().items() if faults(parser, text)} == {}


@settings(
    max_examples=60,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.one_of(strategies.rule_files(), strategies.untidy_files()))
def test_whatever_the_language_reads_is_read(parser: Any, text: str) -> None:
    """Generated files in every layout: joined lines, comments in between, words of the language as names."""
    file, found = parse(Source("x.lr", text))
    rules = [statement for statement in file.statements if isinstance(statement, RuleStatement)]
    bare = any(setting.value is None for rule in rules for setting in rule.settings)
    assume(not found and not bare)  # `-> frozen` is read to be refused later
    assert faults(parser, text) == []


def test_what_the_language_refuses_has_errors(parser: Any) -> None:
    """Each faulty text of the language's own tests, but for those that only look wrong in a whole file."""
    missed = []
    for path in sorted((ROOT / "tests" / "language" / "syntax").glob("*.txt")):
        for case in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            title, _, rest = case.partition("\n")
            text = rest.partition("---\n")[0]
            codes = {d.code for d in parse(Source("x.lr", text))[1]}
            if codes and not codes & WHOLE_FILE and not faults(parser, text):
                missed.append(title)
    assert set(missed) == LOOSER


@pytest.mark.parametrize(
    "broken",
    ["fc -> lr", "freeze", "fc -> lr 1,", "fc -> lr max(1,", "unfreeze a then", "fc", "-> lr 1", "let x ="],
)
def test_a_statement_that_is_being_typed_costs_itself_only(parser: Any, broken: str) -> None:
    """The lines around it are read as if it were not there."""
    root = parser.parse(f"a -> lr 1\n{broken}\nfreeze b until epoch 3\nlet y = 3\n".encode()).root_node
    whole = [node.type for node in root.children if node.is_named and not node.has_error]
    assert root.has_error
    assert (whole[0], *whole[-2:]) == ("rule", "freeze", "let")


def test_a_comma_goes_on_in_an_indented_line_only(parser: Any) -> None:
    """As the language has it: comments and empty lines in between do not count."""
    assert faults(parser, "a -> lr 1,  # one\n\n# two\n  eps 1\nb -> lr max(\n1,\n2)\n") == []
    assert faults(parser, "a where (name matches\n/->/) -> lr 1\n") == []
    assert faults(parser, "a -> lr 1,\nfreeze b until epoch 3\n") != []


# ---------------------------------------------------------------- colours


def test_every_word_of_the_language_is_coloured_as_one(parser: Any, query: Any) -> None:
    """Each terminal of the language's grammar that is a word stands in the text and is a keyword there."""
    assert faults(parser, WORDS) == []
    found: dict[str, set[str]] = {}
    for text, name in coloured(parser, query, WORDS):
        found.setdefault(text, set()).add(name.split(".")[0])
    wanted = {word.lower() for word in machine().words} | {"groups", "trainable", "statistics"}
    wanted -= {"held", "counted", "name"}
    assert {
        word for word in wanted if "keyword" not in found.get(word, set()) and word not in ("true", "false")
    } == set()
    assert found["true"] == found["false"] == {"boolean"}
    assert found["epochs"] == {"keyword", "type"}


def test_every_name_of_the_tables_is_coloured_by_what_it_names(parser: Any, query: Any) -> None:
    """Options, optimizers, schedules, functions, attributes and families."""
    known = [info for name in optimizers.names() if (info := optimizers.find_unimported(name))]
    options = {option for info in known for option in info.options}
    for text, word, wanted in [
        *((f"a -> {name} 1", name, "attribute") for name in options),
        *((f"optimizer {info.name}(lr=1)", info.name, "type") for info in known),
        *((f"schedule {name}", name, "type") for name in schedule_names()),
        *((f"a where {name} == 1 -> lr 1", name, "variable.builtin") for name in ATTRIBUTES),
        *((f"a where module is {name} -> lr 1", name, "type") for name in FAMILIES),
        *(
            (f"let x = {name}(1)", name, "function")
            for name in (*FUNCTIONS, *LATER_FUNCTIONS, *CAPTURE_FUNCTIONS, *CALLED)
        ),
        *((f"freeze a until {unit} 1", unit, "type.builtin") for unit in ("epoch", "step")),
        *((f"stage a for 1 {unit}", unit, "type.builtin") for unit in ("epoch", "epochs", "step", "steps")),
    ]:
        assert (word, wanted) in coloured(parser, query, text), text


def test_a_layer_called_like_a_word_is_a_layer(parser: Any, query: Any) -> None:
    """What a word is depends on where it stands."""
    for text in (
        "freeze -> lr 1",
        "freeze.0 -> lr 1",
        "freeze statistics",
        "expect groups lr == 1",
        "0, lr -> lr 1",
    ):
        assert faults(parser, text) == []
        layers = [word for word, name in coloured(parser, query, text) if name == "tag"]
        assert layers == re.findall(r"freeze(?= ->)|freeze\.0|statistics|groups|0(?=,)|lr(?= ->)", text)


def test_every_token_is_coloured_once(parser: Any, query: Any) -> None:
    """Then no editor's way of choosing between two patterns matters, and nothing is left grey."""
    for name, text in valid_texts().items():
        root = parser.parse(text.encode()).root_node
        captures = tree_sitter.QueryCursor(query).captures(root)
        times = Counter((n.start_byte, n.end_byte) for nodes in captures.values() for n in nodes)
        tokens = {(n.start_byte, n.end_byte) for n in leaves(root) if n.text.strip()}
        assert [text.encode()[a:b] for a, b in sorted(tokens) if times[a, b] != 1] == [], name


def test_the_words_in_the_queries_are_those_of_today(language: Any) -> None:
    """`python -m layerlr_dsl.editor.colours` writes them; other editors' queries are the same under their own names."""
    for path, text in colours.queries().items():
        assert path.read_text(encoding="utf-8") == text
        # Emacs puts the expression before the name.
        tree_sitter.Query(language, re.sub(r' \(#match "[^"]*" @[\w-]+\)', "", text))
    tree_sitter.Query(language, (FOLDER / "queries" / "folds.scm").read_text(encoding="utf-8"))


def test_zed_gets_an_extension_with_a_grammar_it_can_fetch(tmp_path: Path, language: Any) -> None:
    """As Zed takes it: the revision by itself out of the repository, and a query of names that it colours."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    folder = zed.write(tmp_path / "zed")
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 is the first to read TOML")
    about = tomllib.loads((folder / "extension.toml").read_text(encoding="utf-8"))
    grammar = about["grammars"]["layerlr"]
    for command in (
        ["init", "-q"],
        ["fetch", "-q", "--depth", "1", grammar["repository"], grammar["rev"]],
        ["checkout", "-q", grammar["rev"]],
    ):
        subprocess.run(["git", *command], cwd=_new(tmp_path / "built"), check=True)
    assert (tmp_path / "built" / "src" / "parser.c").read_bytes() == (
        FOLDER / "src" / "parser.c"
    ).read_bytes()
    config = tomllib.loads((folder / "languages/layerlr/config.toml").read_text(encoding="utf-8"))
    assert (config["grammar"], config["path_suffixes"]) == ("layerlr", ["lr"])
    query = (folder / "languages/layerlr/highlights.scm").read_text(encoding="utf-8")
    tree_sitter.Query(language, query)
    assert {name.split(".")[0] for name in re.findall(r"@([\w.]+)", query)} <= ZED_COLOURS
    assert {"@string.regex", "@variable.special"} <= set(query.split())


def test_the_scanner_calls_what_web_assembly_grammars_may_call(tmp_path: Path) -> None:
    """Zed and browsers give a grammar these functions of C; one that names another does not load."""
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    assert COMPILER is not None
    made = tmp_path / "scanner.o"
    plain = ["-O0", "-fPIC", "-fno-builtin", "-fno-stack-protector", "-U_FORTIFY_SOURCE"]
    source = FOLDER / "src" / "scanner.c"
    subprocess.run(
        [COMPILER, *plain, "-I", str(FOLDER / "src"), "-c", str(source), "-o", str(made)], check=True
    )
    named = subprocess.run(["nm", "-u", str(made)], capture_output=True, text=True, check=True).stdout
    called = {word.lstrip("_") for word in named.split() if len(word) > 1} - {"GLOBAL_OFFSET_TABLE_"}
    assert called
    assert called <= {"calloc", "free", "memchr", "memcmp", "memcpy", "memmove", "memset", "strcmp", "strlen"}


def _new(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_zed_writes_over_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with files in it is refused in a sentence."""
    (tmp_path / "mine").write_text("x")
    assert zed.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: is not empty\n"


def _emacs() -> str | None:
    """An Emacs with tree-sitter, which is 29 or later and built with it."""
    emacs = shutil.which("emacs")
    asked = "(kill-emacs (if (and (fboundp 'treesit-available-p) (treesit-available-p)) 0 1))"
    if emacs is None or subprocess.run([emacs, "-Q", "--batch", "--eval", asked]).returncode:
        return None
    return emacs


def test_emacs_colours_by_the_grammar(tmp_path: Path, language: Any) -> None:
    """The mode in a real Emacs: each word of a line has the face of what it is."""
    emacs = _emacs()
    if emacs is None:
        pytest.skip("needs an Emacs with tree-sitter")
    library = tmp_path / "libtree-sitter-layerlr.so"
    sources = [str(FOLDER / "src" / name) for name in ("parser.c", "scanner.c")]
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-O1", "-shared", "-fPIC", f"-I{FOLDER / 'src'}", *sources, "-o", str(library)], check=True
    )
    (tmp_path / "a.lr").write_text("a.<i> where ndim == 1 -> lr max(1, i)  # one\n")
    program = f"""
(setq treesit-extra-load-path '("{tmp_path}"))
(load "{FOLDER / "emacs" / "layerlr-ts-mode.el"}" nil t)
(find-file "{tmp_path / "a.lr"}")
(font-lock-ensure)
(dolist (word '("a.<" "where" "ndim" "lr" "max" "1," "i)" "one"))
  (goto-char (point-min))
  (search-forward word)
  (princ (format "%s " (get-text-property (match-beginning 0) 'face))))
"""
    done = subprocess.run(
        [emacs, "-Q", "--batch", "--eval", f"(progn {program})"], capture_output=True, text=True
    )
    faces = [face.removeprefix("font-lock-").removesuffix("-face") for face in done.stdout.split()]
    wanted = "function-name keyword builtin property-name function-call number variable-use comment"
    assert faces == wanted.split(), done.stderr


# ---------------------------------------------------------------- packaging


def test_what_is_generated_comes_from_the_grammar_at_hand(tmp_path: Path) -> None:
    """Generated anew, nothing changes."""
    if shutil.which("tree-sitter") is None:
        pytest.skip("needs the tree-sitter command")
    copy = tmp_path / "grammar"
    shutil.copytree(FOLDER, copy)
    subprocess.run(["tree-sitter", "generate", "--abi", "14", "--no-bindings"], cwd=copy, check=True)
    for name in ("grammar.json", "node-types.json", "parser.c"):
        assert (copy / "src" / name).read_bytes() == (FOLDER / "src" / name).read_bytes(), name


def test_pip_builds_a_binding_that_reads_and_colours(tmp_path: Path) -> None:
    """The package as users of Python install it."""
    pytest.importorskip("setuptools")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        pytest.skip("needs the headers of Python")
    copy = tmp_path / "grammar"
    shutil.copytree(FOLDER, copy)
    target = tmp_path / "site"
    build = "from setuptools import setup; exec(open('setup.py').read())"
    done = subprocess.run(
        [sys.executable, "-c", build, "build", "--build-lib", str(target)],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    use = (
        "import tree_sitter, tree_sitter_layerlr as ours; language = tree_sitter.Language(ours.language()); "
        "tree_sitter.Query(language, ours.HIGHLIGHTS); "
        "print(tree_sitter.Parser(language).parse(b'fc -> lr 1').root_node.children[0].type)"
    )
    said = subprocess.run([sys.executable, "-c", use], cwd=target, capture_output=True, text=True)
    assert said.stdout == "rule\n", said.stderr


def test_a_wheel_of_layerlr_carries_the_grammar() -> None:
    """At the place where it is looked for when there is no checkout around it."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"editors/tree-sitter-layerlr" = "layerlr_dsl/editor/tree-sitter-layerlr"' in settings
