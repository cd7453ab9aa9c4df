"""The published JSON Schemas: `python -m layerlr_dsl.reports.schemas` writes them anew."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from layerlr_dsl.reports.plans import PlanReport
from layerlr_dsl.reports.validation import Validation

FOLDER = Path(__file__).resolve().parent.parent / "schemas"
PUBLISHED: dict[str, type[BaseModel]] = {"validate": Validation, "plan": PlanReport}


def schema_text(name: str) -> str:
    """The schema of a command's JSON, as it is published."""
    schema = PUBLISHED[name].model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def write() -> None:
    """Write every schema to `layerlr_dsl/schemas`."""
    FOLDER.mkdir(exist_ok=True)
    for name in PUBLISHED:
        (FOLDER / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    write()
