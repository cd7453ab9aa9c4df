"""The generator of rule files with times is that of the tests of the plan."""

from __future__ import annotations

import sys
from pathlib import Path

PLAN = str(Path(__file__).parents[1] / "plan")
if PLAN not in sys.path:
    sys.path.append(PLAN)
