"""`python -m schemas.compatibility`: exit 1 when the schemas break readers or writers of the released version, naming each field.

`schemas/released` has the schemas of the last release, committed, so that a clone without history can tell. `--release` puts those of
now there; it is run when a version is released, and a break that is meant is then seen in the diff.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.comparison import compare
from schemas.generate import json_text, write
from schemas.generators.json_schemas import JsonSchema, json_schemas

RELEASED: Final = Path(__file__).parent / "released"
_ROOT: Final = Path(__file__).parents[1]
_IN_GIT: Final = "schemas/generated/json"


class Unreadable(Exception):
    """There is nothing to compare with; the text says why, in one line."""


def topic_schemas() -> dict[str, JsonSchema]:
    """The schemas of the topics as they are now; each has those of its event types in it."""
    return {name: schema for name, schema in json_schemas().items() if "/" not in name}


def read_folder(folder: Path) -> dict[str, JsonSchema]:
    """The topics' schemas in a folder. Raises Unreadable when it has none."""
    found = {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    if not found:
        raise Unreadable(f"{folder} has no schemas")
    return found


def read_commit(revision: str, root: Path = _ROOT) -> dict[str, JsonSchema]:
    """The topics' schemas that are committed at `revision`. Raises Unreadable when it is no commit, or one without schemas."""
    listed = _git(root, "ls-tree", "--name-only", revision, f"{_IN_GIT}/").splitlines()
    paths = [Path(path) for path in listed if path.endswith(".json")]
    if not paths:
        raise Unreadable(f"{revision} has no {_IN_GIT}")
    return {path.stem: json.loads(_git(root, "show", f"{revision}:{path.as_posix()}")) for path in paths}


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Unreadable(f"git {arguments[0]}: {' '.join(said.split())}") from None


def _previous(against: str | None) -> dict[str, JsonSchema]:
    folder = RELEASED if against is None else Path(against)
    return read_commit(against) if against is not None and not folder.is_dir() else read_folder(folder)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 compatible (or released), 1 something breaks, 2 there is nothing to compare with."""
    parser = argparse.ArgumentParser(prog="python -m schemas.compatibility", description="Say what a change of the schemas breaks.")
    parser.add_argument(
        "--against", metavar="REVISION_OR_FOLDER", help="a git revision, or a folder of schemas; schemas/released when absent"
    )
    parser.add_argument("--release", action="store_true", help="make the schemas of now the released ones, and say what that breaks")
    options = parser.parse_args(arguments)
    new = topic_schemas()
    try:
        old = _previous(options.against)
    except Unreadable as error:
        print(f"schemas.compatibility: {error}", file=sys.stderr)  # noqa: T201
        return 2
    breaks = compare(old, new)
    for one in breaks:
        print(one)  # noqa: T201
    if options.release:
        write(RELEASED, {f"{name}.json": json_text(schema) for name, schema in new.items()})
        return 0
    if breaks:
        advice = "add what is optional instead, under a new name, or a new version of the topic beside this one"
        print(f"schemas.compatibility: {len(breaks)} changes break others; {advice}", file=sys.stderr)  # noqa: T201
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
