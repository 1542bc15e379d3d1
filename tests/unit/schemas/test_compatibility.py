from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas import compatibility
from schemas.compatibility import Unreadable, main, read_commit, topic_schemas


def in_git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def write_schemas(folder: Path, schemas: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas.items():
        (folder / f"{name}.json").write_text(json.dumps(schema))


def stricter() -> dict[str, Any]:
    """Schemas of a version before which menus could be counted higher."""
    schemas = topic_schemas()
    schemas["events.v1"]["$defs"]["MenuGeneratedProperties"]["properties"]["recipe_count"]["maximum"] = 20_000
    return schemas


def test_the_released_version_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """What the last release wrote is read, and what is written now the last release reads: the gate itself."""
    assert (main([]), capsys.readouterr().out) == (0, "")


def test_a_break_is_named_and_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, one line for each break, and what to do instead."""
    write_schemas(tmp_path, stricter())
    assert main(["--against", str(tmp_path)]) == 1
    said = capsys.readouterr()
    line = "events.v1 menu_generated.properties.recipe_count: maximum 10000: what is above is refused now (breaks writers)"
    assert said.out == f"{line}\n"
    assert said.err.startswith("schemas.compatibility: 1 changes break others; add what is optional")


@pytest.mark.long  # it needs git
def test_any_commit_will_do(tmp_path: Path) -> None:
    """The schemas of a revision are read from git, whatever the files say now."""
    in_git(tmp_path, "init", "-q")
    folder = tmp_path / "schemas" / "generated" / "json"
    write_schemas(folder, {"alerts.v1": {"type": "object"}})
    write_schemas(folder / "events", {"payment": {}})
    in_git(tmp_path, "add", "-A")
    in_git(tmp_path, "commit", "-q", "-m", "m")
    write_schemas(folder, {"alerts.v1": {"type": "string"}})
    assert read_commit("HEAD", tmp_path) == {"alerts.v1": {"type": "object"}}
    with pytest.raises(Unreadable, match="git ls-tree"):
        read_commit("no-such-tag", tmp_path)


def test_nothing_to_compare_with_is_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A revision that is none, and a folder without schemas, are wrong usage in one line."""
    for against in ("no-such-tag", str(tmp_path)):
        assert main(["--against", against]) == 2
        said = capsys.readouterr().err
        assert said.startswith("schemas.compatibility: ")
        assert said.count("\n") == 1


def test_a_release_is_what_is_compared_with_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--release says what it breaks and makes the schemas of now the released ones; a schema nobody makes any more goes."""
    write_schemas(tmp_path, stricter() | {"old.v1": {}})
    monkeypatch.setattr(compatibility, "RELEASED", tmp_path)
    assert main([]) == 1
    assert main(["--release"]) == 0
    assert "old.v1: is gone" in capsys.readouterr().out
    assert not (tmp_path / "old.v1.json").exists()
    assert main([]) == 0
