"""The `layerlr` command, and `python -m layerlr_dsl`: what stands here is there before anything is imported."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command. Ctrl-C while it is still being imported ends with 130, as ever after."""
    try:
        from layerlr_dsl.cli import main as run

        run()
    except KeyboardInterrupt:
        os._exit(130)  # nothing has been begun that would have to be ended


if __name__ == "__main__":
    main()
