"""`python -m layerlr_dsl` is the `layerlr` command."""

from __future__ import annotations

from layerlr_dsl.cli import main

if __name__ == "__main__":
    main()
