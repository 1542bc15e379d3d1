"""What the generated documents share: a bundle of named schemas, and the examples that go with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from schemas.generators.json_schemas import JsonSchema

EXAMPLES: Final = Path(__file__).parents[1] / "examples"


def named_schemas(schemas: dict[str, JsonSchema], prefix: str) -> dict[str, JsonSchema]:
    """Every titled schema by its title, referring to each other as `prefix` + title.

    Raises:
        ValueError: Two different schemas have one title.
    """
    found: dict[str, JsonSchema] = {}
    for schema in schemas.values():
        root = {key: value for key, value in schema.items() if not key.startswith("$")}
        for one in (*schema.get("$defs", {}).values(), *((root,) if "title" in root else ())):
            moved = _moved(one, prefix)
            if found.setdefault(moved["title"], moved) != moved:
                raise ValueError(f"two schemas are called {moved['title']}")
    return found


def _moved(schema: Any, prefix: str) -> Any:
    if isinstance(schema, list):
        return [_moved(one, prefix) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: value.replace("#/$defs/", prefix) if key == "$ref" else _moved(value, prefix) for key, value in schema.items()}


def example(kind: str, tag: tuple[str, str] | None = None) -> dict[str, Any]:
    """The first valid example of `kind`, `whole.json` before others; with `tag`, a field and its value, the first that has it.

    Raises:
        ValueError: There is none.
    """
    paths = sorted((EXAMPLES / kind / "valid").glob("*.json"), key=lambda path: (path.stem != "whole", path.name))
    for path in paths:
        document: dict[str, Any] = json.loads(path.read_bytes())
        if tag is None or document.get(tag[0]) == tag[1]:
            return document
    raise ValueError(f"schemas/examples/{kind}/valid has no example{f' with {tag[0]} {tag[1]}' if tag else ''}")
