"""What there is to be one of, there is one of; and what makes values wrong in silence is not written at all."""

from __future__ import annotations

import ast
from collections.abc import Callable

from imports import PACKAGE, modules

from layerlr_dsl.catalogue.schedules import SCHEDULES
from layerlr_dsl.plan.schedules.registry import MAKERS
from layerlr_dsl.tools.version import __version__

TAKEN_APART = {"split", "rsplit", "partition", "rpartition", "splitlines", "removeprefix", "removesuffix"}
SEARCHED = {"search", "match", "fullmatch", "findall", "finditer", "sub"}


def _where(holds: Callable[[ast.AST], bool], room: str = "") -> set[str]:
    """The modules of a room in which some node is of that kind."""
    return {
        name
        for name, path in modules().items()
        if name.startswith(room) and any(map(holds, ast.walk(ast.parse(path.read_text("utf-8")))))
    }


def _calls(node: ast.AST, *dotted: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in dotted


def test_nothing_in_the_plan_is_found_by_where_it_lies_in_memory() -> None:
    """Plans are copied, pickled and sent to other processes: selectors and clauses have numbers."""
    assert _where(lambda node: _calls(node, "id"), "plan.") == set()


def test_what_is_frozen_is_set_by_nobody_but_itself() -> None:
    """`object.__setattr__` on something else changes what others rely on."""

    def on_another(node: ast.AST) -> bool:
        return _calls(node, "object.__setattr__") and ast.unparse(node.args[0]) != "self"  # type: ignore[attr-defined]

    assert _where(on_another) == set()


def test_files_are_replaced_by_one_writer() -> None:
    """Another forgets the mode, the flush or the leftovers. A second name for a file is no writing."""
    made = ("os.replace", "os.rename", "tempfile.mkstemp", "mkstemp")
    assert _where(lambda node: _calls(node, *made)) == {"tools.atomic", "runner.files"}


def test_no_finding_is_read_back_out_of_its_own_words() -> None:
    """A fix is made where the fault is known, not parsed out of a sentence for people. (The runner has no findings.)"""

    def prose(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in ("help", "message")

    def taken_apart(node: ast.AST) -> bool:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return False
        if node.func.attr in TAKEN_APART:
            return prose(node.func.value)
        return node.func.attr in SEARCHED and any(map(prose, node.args))

    assert {name for name in _where(taken_apart) if not name.startswith("runner.")} == set()


def test_the_version_is_that_of_what_is_built() -> None:
    """It is said once in the package, and once to whoever builds it."""
    assert f'\nversion = "{__version__}"\n' in (PACKAGE.parent / "pyproject.toml").read_text("utf-8")
    assert _where(lambda node: isinstance(node, ast.Constant) and node.value == __version__) == {
        "tools.version"
    }


def test_the_plan_treats_all_options_alike() -> None:
    """Which option a schedule drives is said by the optimizer's row, and nowhere else."""
    assert _where(lambda node: isinstance(node, ast.Constant) and node.value == "lr", "plan.") == set()


def test_every_schedule_of_the_catalogue_has_a_curve() -> None:
    """And there is no curve besides: files could not name it."""
    assert set(MAKERS) == set(SCHEDULES)


def test_findings_are_gathered_in_one_way() -> None:
    """A bare list as a parameter is added to by whoever is handed it, and counted to see whether anyone did."""

    def handed_on(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.arg)
            and bool(node.annotation)
            and ast.unparse(node.annotation) == "list[Diagnostic]"
        )

    assert _where(handed_on) == set()
