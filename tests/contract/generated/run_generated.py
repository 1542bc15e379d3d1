"""The generated documents in other people's tools: AsyncAPI's own schema, the TypeScript compiler, regular expressions of ECMAScript.

Needs Node, and the packages of `package.json`: `pytest` runs this only when it is named.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

HERE = Path(__file__).parent
GENERATED = Path(__file__).parents[3] / "schemas" / "generated"
TOOLS = HERE / "node_modules"


@cache
def asyncapi_schema() -> Draft7Validator:
    return Draft7Validator(json.loads((TOOLS / "@asyncapi" / "specs" / "schemas" / "3.0.0.json").read_bytes()))


@cache
def document() -> Any:
    return yaml.safe_load((GENERATED / "asyncapi.yaml").read_bytes())


def test_asyncapi_document_is_one() -> None:
    """AsyncAPI's JSON schema of version 3.0.0 has nothing to say against it."""
    assert [f"{error.json_path}: {error.message}" for error in asyncapi_schema().iter_errors(document())] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["channels"]["events.v1"]["bindings"]["kafka"].update(partitions="twelve"),
        lambda d: d["operations"]["send-alerts.v1"].update(action="publish"),
        lambda d: d["components"]["messages"]["alert"].update(payloads={}),
        lambda d: d["info"].pop("version"),
    ],
    ids=["partitions", "action", "payloads", "version"],
)
def test_asyncapi_schema_notices(spoil: Callable[[Any], object]) -> None:
    """It is no rubber stamp: a spoilt document is refused."""
    spoilt = copy.deepcopy(document())
    spoil(spoilt)
    assert not asyncapi_schema().is_valid(spoilt)


def test_types_compile_and_catch_mistakes() -> None:
    """Right uses compile, and on every line that is marked as wrong the compiler finds an error."""
    compiler = [str(TOOLS / ".bin" / "tsc"), "--noEmit", "--strict", "--target", "es2022", "--module", "esnext"]
    ended = subprocess.run([*compiler, "usage.ts"], cwd=HERE, check=False, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_patterns_are_regular_expressions_of_ecmascript() -> None:
    """A consumer in another language can use them as they are."""
    files = sorted(map(str, (GENERATED / "json").rglob("*.json")))
    ended = subprocess.run(["node", "patterns.mjs", *files], cwd=HERE, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > len(files) / 2
