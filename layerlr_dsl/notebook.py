"""`%load_ext layerlr_dsl`: rules written in a cell of a notebook, checked as the cell is run.

    %%layerlr rules --on model --epochs 20
    ** -> lr 1e-3
    freeze layer1 until epoch 5

Nothing here imports IPython where no shell has.
"""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, NoReturn

from layerlr_dsl.api import PrintedFindings, Rules, parse
from layerlr_dsl.language.diagnostics import RuleError, has_errors
from layerlr_dsl.tools.numbers import plural

USAGE = "%%layerlr NAME [--on MODEL] [--epochs N] [--steps-per-epoch M] [--show]"


def load(shell: Any) -> None:
    """Give a shell of IPython the cell magic `%%layerlr`."""
    magic = CellMagic(shell)
    shell.register_magic_function(magic.run, magic_kind="cell", magic_name="layerlr")


class CellMagic:
    """`%%layerlr NAME`: the rules of a cell, checked and bound to a name."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def run(self, line: str, cell: str) -> None:
        """Check the rules of this cell and bind them to a name.

        Usage: %%layerlr NAME [--on MODEL] [--epochs N] [--steps-per-epoch M] [--show]

        --on: a model (or inventory) of this notebook that they are checked against. --show: show them in colours.
        Rules with an error are not bound, and the cell fails.
        """
        asked = _parsed(line)
        rules = parse(cell, filename=f"<{asked.name}>")
        found = self._checked(rules, asked)
        if has_errors(found):
            raise RuleError(found)
        self.shell.user_ns[asked.name] = rules
        self._tell(asked.name, rules, PrintedFindings(one for one in found if one.severity != "info"))
        if asked.show:
            from IPython.display import display

            display(rules)  # type: ignore[no-untyped-call,unused-ignore]

    def _checked(self, rules: Rules, asked: Any) -> PrintedFindings:
        if asked.on is None:
            return PrintedFindings(rules.diagnostics)
        known: Mapping[str, Any] = self.shell.user_ns
        if asked.on not in known:
            _refuse(f"--on: there is no {asked.on!r} in this notebook")
        return rules.check(known[asked.on], asked.epochs, asked.steps_per_epoch)

    def _tell(self, name: str, rules: Rules, found: PrintedFindings) -> None:
        from IPython.display import display

        statements = plural(len(rules.checked.clauses), "statement")
        said = plural(len(found), "warning") if found else "no findings"
        print(f"{name}: {statements}, {said}")  # noqa: T201  what a cell says
        if found:
            display(found)  # type: ignore[no-untyped-call,unused-ignore]


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _refuse(message)


def _parsed(line: str) -> Any:
    parser = _Parser(prog="%%layerlr", add_help=False)
    parser.add_argument("name")
    parser.add_argument("--on")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--steps-per-epoch", type=int)
    parser.add_argument("--show", action="store_true")
    try:
        asked = parser.parse_args(shlex.split(line))
    except ValueError as fault:
        _refuse(str(fault))
    if not asked.name.isidentifier():
        _refuse(f"{asked.name!r} is no name for a variable")
    return asked


def _refuse(message: str) -> NoReturn:
    """Raise what IPython shows as one line."""
    from IPython.core.error import UsageError

    raise UsageError(f"{message}\nusage: {USAGE}")
