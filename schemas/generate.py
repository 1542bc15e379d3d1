"""`python -m schemas.generate`: writes `schemas/generated/` from the models and the examples; `--check` says what is not fresh.

JSON Schemas into `json/`, TypeScript types into `events.d.ts`, the AsyncAPI document into `asyncapi.yaml`: for whoever publishes or
consumes without this package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from schemas.generators.asyncapi import asyncapi
from schemas.generators.json_schemas import JsonSchema, json_schemas
from schemas.generators.typescript import typescript

GENERATED: Final = Path(__file__).parent / "generated"


def documents() -> dict[str, str]:
    """Path below `schemas/generated` → text of every file that belongs there."""
    schemas = json_schemas()
    files = {f"json/{name}.json": json_text(schema) for name, schema in schemas.items()}
    return files | {"events.d.ts": typescript(schemas), "asyncapi.yaml": asyncapi(schemas)}


def json_text(schema: JsonSchema) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def stale(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The paths below `folder` that are missing, differ from `wanted`, or are there and should not be."""
    there = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}
    return sorted(path for path in there.keys() | wanted.keys() if there.get(path) != wanted.get(path))


def write(folder: Path, wanted: dict[str, str]) -> list[str]:
    """Make `folder` have the files of `wanted` and no others; returns the paths that changed."""
    changed = stale(folder, wanted)
    for path in changed:
        if path in wanted:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(wanted[path], "utf-8")
        else:
            (folder / path).unlink()
    return changed


def run(module: str, make: Callable[[], dict[str, str]], folder: Path, arguments: Sequence[str]) -> int:
    """The command line of a module that generates files: writes what `make` returns, or with `--check` compares; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not what the models say")
    if parser.parse_args(arguments).check:
        outdated = stale(folder, make())
        if outdated:
            print(f"not fresh: {', '.join(outdated)}; run `make generate` and commit it", file=sys.stderr)  # noqa: T201
        return 1 if outdated else 0
    for path in write(folder, make()):
        print(folder / path)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(run("schemas.generate", documents, GENERATED, sys.argv[1:]))
