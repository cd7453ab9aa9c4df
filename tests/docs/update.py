"""Write what commands print now into pages that show it: `python tests/docs/update.py PAGE...`.

Output that is shown with `...` in it is left alone. Look at the changes before you keep them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import blocks as page_blocks

ROOT = Path(__file__).parents[2]


class Updater(page_blocks.Reader):
    """A reader that notes what should be shown instead."""

    changes: list[tuple[str, str]]

    def _compare(self, block: page_blocks.Block, wanted: str, found: str) -> None:
        if page_blocks._matches(wanted, found):
            return
        if "..." in wanted:
            super()._compare(block, wanted, found)
        else:
            shown = "\n".join(line.rstrip() for line in found.strip("\n").splitlines()) + "\n"
            self.changes.append((wanted, shown))


def update(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("rules").symlink_to(ROOT / "rules")
        reader = Updater(Path(folder))
        reader.changes = []
        faults = reader.follow(page_blocks.blocks(text))
        os.chdir(ROOT)
    for wanted, found in reader.changes:
        text = re.sub(re.escape(wanted), lambda _, found=found: found, text, count=1)
    path.write_text(text, encoding="utf-8")
    print(path, f"{len(reader.changes)} changed", *faults, sep="\n  ")


if __name__ == "__main__":
    os.environ.update(COLUMNS="80", NO_COLOR="1")
    for argument in sys.argv[1:]:
        update(Path(argument).resolve())
