"""The generated schemas as somebody reads them who has nothing else: from their files, with a validator of JSON Schema."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

SCHEMAS = Path(__file__).parents[3] / "schemas"
GENERATED = SCHEMAS / "generated"
EXAMPLES = SCHEMAS / "examples"

_FORMATS = FormatChecker(formats=())
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(text: object) -> bool:
    return not isinstance(text, str) or (_RFC_3339.fullmatch(text) is not None and datetime.fromisoformat(text) is not None)


@cache
def published(name: str) -> Any:
    """The schema of a file of `schemas/generated/json`."""
    return json.loads((GENERATED / "json" / f"{name}.json").read_bytes())


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(published(name), format_checker=_FORMATS)


def names() -> list[str]:
    return sorted(path.relative_to(GENERATED / "json").with_suffix("").as_posix() for path in (GENERATED / "json").rglob("*.json"))


def examples(verdict: str) -> list[Path]:
    """`valid` or `invalid` examples of everything."""
    return sorted(EXAMPLES.glob(f"*/{verdict}/*.json"))


#: Folder of examples → the schema that is theirs; an event type has its own.
KINDS = {
    "flush": "panes.v1",
    "alert": "alerts.v1",
    "escalation": "escalations.v1",
    "delivery": "deliveries.v1",
    "decision": "decisions.v1",
    "command": "commands.v1",
    "dead_letter": "dlq.v1.headers",
}


def schema_of(path: Path) -> str:
    kind = path.parts[-3]
    return KINDS.get(kind, f"events/{kind}")
