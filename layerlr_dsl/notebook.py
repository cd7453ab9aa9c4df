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
from inspect import getdoc
from keyword import iskeyword
from typing import Any, NoReturn

from layerlr_dsl.api import PrintedFindings, Rules, parse
from layerlr_dsl.language.diagnostics import RuleError, has_errors
from layerlr_dsl.language.lets import literal
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.numbers import plural

USAGE = "%%layerlr NAME [--on MODEL] [--epochs N] [--steps-per-epoch M] [--let NAME[=VALUE]] [--show]"


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

        --on: a model (or inventory) of this notebook that they are checked against. --epochs, --steps-per-epoch: how
        long the run is, a number or a variable. --let: a constant in the place of a `let` of the cell, as in
        `--let base=3e-4`; without a value, the variable of that name. --show: show the rules in colours.
        Rules with an error are not bound, and the cell fails.
        """
        if {"-h", "--help"} & set(line.split()):
            print(f"usage: {USAGE}\n\n{getdoc(self.run)}")  # noqa: T201  what a cell says
        else:
            self._run(_parsed(line), cell)

    def _run(self, asked: Any, cell: str) -> None:
        rules = parse(cell, filename=f"<{asked.name}>", lets=self._lets(asked.let))
        found = self._checked(rules, asked)
        if has_errors(found):
            raise RuleError(found)
        self.shell.user_ns[asked.name] = rules
        self._tell(asked.name, rules, PrintedFindings(one for one in found if one.severity != "info"))
        if asked.show:
            from IPython.display import display

            display(rules)  # type: ignore[no-untyped-call,unused-ignore]

    def _checked(self, rules: Rules, asked: Any) -> PrintedFindings:
        epochs = self._number("--epochs", asked.epochs, float)
        steps = self._number("--steps-per-epoch", asked.steps_per_epoch, int)
        if asked.on is None:
            return PrintedFindings(rules.diagnostics)
        return rules.check(self._variable("--on", asked.on), epochs, steps)

    def _lets(self, words: list[str]) -> dict[str, object]:
        given: dict[str, object] = {}
        for word in words:
            name, sign, written = word.partition("=")
            if name in given:
                _refuse(f"--let gives {name!r} twice")
            given[name] = _literal(word, written) if sign else self._variable("--let", name)
        return given

    def _number(self, option: str, word: str | None, kind: type[float]) -> Any:
        """A number as it stands or that of a variable; None where the option is not given."""
        if word is None:
            return None
        try:
            return kind(word)
        except ValueError:
            if word.isidentifier():
                return self._variable(option, word)
            _refuse(f"{option}: {word!r} is not {'a whole' if kind is int else 'a'} number")

    def _variable(self, option: str, name: str) -> Any:
        known: Mapping[str, Any] = self.shell.user_ns
        if name not in known:
            near = nearest(name, (one for one in known if not one.startswith("_")))
            meant = f": did you mean {near!r}?" if near else ""
            _refuse(f"{option}: there is no {name!r} in this notebook{meant}")
        return known[name]

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
    parser.add_argument("--epochs")
    parser.add_argument("--steps-per-epoch")
    parser.add_argument("--let", action="append", default=[])
    parser.add_argument("--show", action="store_true")
    try:
        asked = parser.parse_args(shlex.split(line))
    except ValueError as fault:
        _refuse(str(fault))
    if not asked.name.isidentifier() or iskeyword(asked.name):
        _refuse(f"{asked.name!r} is no name for a variable")
    return asked


def _literal(word: str, written: str) -> object:
    value = literal(written)
    if value is None:
        _refuse(f"--let: {word!r} is not NAME=VALUE with a constant, such as base=3e-4")
    return value


def _refuse(message: str) -> NoReturn:
    """Raise what IPython shows as one line."""
    from IPython.core.error import UsageError

    raise UsageError(f"{message}\nusage: {USAGE}")
