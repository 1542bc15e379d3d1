from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.clickhouse import typed_view_files
from schemas.generate import run, stale, write
from tests.unit.schemas.published import SCHEMAS

ROOT = SCHEMAS.parent


@pytest.mark.parametrize("module", ["schemas.generate", "pipeline.clickhouse.typed_view_files"])
def test_committed_files_are_fresh_whatever_order_sets_have(module: str) -> None:
    """`--check` in a process with hashes of its own finds every committed file to be, byte for byte, what the models say."""
    env = {**os.environ, "PYTHONHASHSEED": "271828"}
    checked = subprocess.run([sys.executable, "-m", module, "--check"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_view_is_a_statement_of_its_own_file() -> None:
    """One file a view, named after it."""
    files = typed_view_files.documents()
    assert {"events.sql", "metrics.sql", "menu_generated.sql", "payment.sql"} <= set(files)
    assert all(text.startswith(f"CREATE OR REPLACE VIEW telemetry.{name.removesuffix('.sql')}\n") for name, text in files.items())
    assert all(text.count(";\n") == 1 and text.endswith(";\n") for text in files.values())


def test_missing_changed_and_left_over_files_are_stale(tmp_path: Path) -> None:
    """What is not there, what differs, and what nobody makes any more are named; fresh files are not."""
    write(tmp_path, {"fresh.txt": "a", "sub/changed.txt": "b", "left.txt": "c"})
    wanted = {"fresh.txt": "a", "sub/changed.txt": "B", "sub/missing.txt": "d"}
    assert stale(tmp_path, wanted) == ["left.txt", "sub/changed.txt", "sub/missing.txt"]
    assert write(tmp_path, wanted) == ["left.txt", "sub/changed.txt", "sub/missing.txt"]
    assert stale(tmp_path, wanted) == []
    assert not (tmp_path / "left.txt").exists()


def test_check_writes_nothing_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 with the file's name and the command; a run without --check makes it fresh."""
    assert run("m", lambda: {"a.txt": "a"}, tmp_path, ["--check"]) == 1
    assert capsys.readouterr().err == "not fresh: a.txt; run `make generate` and commit it\n"
    assert list(tmp_path.iterdir()) == []
    assert run("m", lambda: {"a.txt": "a"}, tmp_path, []) == 0
    assert run("m", lambda: {"a.txt": "a"}, tmp_path, ["--check"]) == 0


def test_wheel_carries_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that is installed has every generated file and the views."""
    from hatchling.builders.wheel import WheelBuilder

    monkeypatch.chdir(ROOT)
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    generated = {path.relative_to(ROOT).as_posix() for path in (SCHEMAS / "generated").rglob("*") if path.is_file()}
    assert generated
    assert generated <= packed
    assert "schemas/released/alerts.v1.json" in packed
