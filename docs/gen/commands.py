"""The page of commands, from their own help."""

from __future__ import annotations

import click

from layerlr_dsl.cli.app import SECTIONS, app

INTRODUCTION = """# Commands

Exit status, everywhere: 0 fine; 1 findings (with `--strict` warnings too), a failed `expect`,
`fmt --check` that would change something, a failed training run; 2 wrong usage, or an input that
cannot be used; 130 after Ctrl-C. Findings go to standard error in text form, summaries and machine
formats to standard output. `-` stands for standard input, `recipe:NAME` for a file that comes with
layerlr. Commands that need no live model do not import torch.
"""


def commands_page() -> str:
    """Every command with its help, as `layerlr COMMAND --help` prints it."""
    parts = [INTRODUCTION]
    top = click.Context(app, info_name="layerlr", max_content_width=88, terminal_width=88)
    for section, names in SECTIONS.items():
        parts.append(f"## {section}")
        for name, about in names.items():
            command = app.get_command(top, name)
            assert command is not None
            context = click.Context(command, parent=top, info_name=name, terminal_width=88)
            parts.append(f"### layerlr {name}\n\n{about}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"
