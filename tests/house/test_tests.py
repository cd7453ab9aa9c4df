"""How the tests are built: what they share lies in modules of its own, and each of them asserts always."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_test_module_imports_another() -> None:
    """What two of them need stands in a module that is no test."""
    named = {path.stem for path in FILES}
    assert [(p.name, name) for p in FILES for name in _imported(p) if name in named] == []


def test_every_test_says_in_a_line_what_it_holds_true() -> None:
    """The docstring is the behaviour; the name is only its title."""
    assert [(p.name, f.name) for p in FILES for f in _functions(p) if not ast.get_docstring(f)] == []


def _asserts(node: ast.AST) -> int:
    return sum(isinstance(inner, ast.Assert) for inner in ast.walk(node))


def _only_under_an_if(test: ast.FunctionDef) -> bool:
    """Whether every assertion stands in a branch, which may never be taken."""
    branches = [node for node in ast.walk(test) if isinstance(node, ast.If) and not node.orelse]
    inside = {inner for branch in branches for inner in ast.walk(branch) if isinstance(inner, ast.Assert)}
    return 0 < _asserts(test) == len(inside)


def test_no_test_asserts_only_where_a_condition_holds() -> None:
    """A test that may assert nothing may test nothing; what does not belong into it is assumed away."""
    assert [(p.name, f.name) for p in FILES for f in _functions(p) if _only_under_an_if(f)] == []
