"""The version of layerlr, as `pyproject.toml` has it too; to ask what is installed takes longer than most commands."""

from __future__ import annotations

__version__ = "0.1.0"
