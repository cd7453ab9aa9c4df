"""What mkdocs calls while it builds: pages made from the code, and curves drawn where a page asks for one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import rooms
from api import api_page
from commands import commands_page
from curves import curve
from findings import finding_pages
from mkdocs.structure.files import File, Files
from network import network
from recipes import recipes_page
from reference import (
    attribute_table,
    changelog_page,
    common_table,
    grammar_page,
    schedule_table,
    schedules_table,
    study_files,
)

_CURVE = re.compile(r"^<!-- curve: (.+?) -->$", re.M)
_NETWORK = re.compile(r"^<!-- network: (\S+) -->$", re.M)
_ATTRIBUTES = re.compile(r"^<!-- attributes -->$", re.M)
_TABLE = re.compile(r"^<!-- arguments: (\w+) -->$", re.M)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the code."""
    pages = {
        "recipes.md": recipes_page(),
        "commands.md": commands_page(),
        "api.md": api_page(),
        "grammar.md": grammar_page(),
        "changelog.md": changelog_page(),
        **study_files(),
        **finding_pages(),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put a curve, a network or a table where a page asks for one."""
    markdown = markdown.replace("<!-- schedules -->", schedules_table())
    markdown = markdown.replace("<!-- arguments of all -->", common_table())
    if "<!-- rooms -->" in markdown:
        markdown = markdown.replace("<!-- rooms -->", rooms.picture(markdown))
    markdown = _CURVE.sub(lambda found: curve(found[1]), markdown)
    page = markdown
    markdown = _NETWORK.sub(lambda found: network(page, found[1]), markdown)
    markdown = _ATTRIBUTES.sub(lambda _: attribute_table(), markdown)
    return _TABLE.sub(lambda found: schedule_table(found[1]), markdown)
