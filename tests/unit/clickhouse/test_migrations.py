from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.clickhouse import sql_files
from pipeline.clickhouse.migrations import in_order
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from pipeline.runtime.errors import Stop


def test_views_come_after_the_views_they_read() -> None:
    """A view can only be made when those it reads are there; tables and its own name do not matter."""
    views = {
        "a": "CREATE VIEW telemetry.a AS SELECT * FROM telemetry.c JOIN telemetry.b",
        "b": "CREATE VIEW telemetry.b AS SELECT * FROM telemetry.c",
        "c": "CREATE VIEW telemetry.c AS SELECT * FROM telemetry.some_table",
    }
    assert in_order(views) == ["c", "b", "a"]


def test_a_file_is_a_statement_without_its_end(tmp_path: Path) -> None:
    """Files are read in the order of their names, other files are not looked at."""
    (tmp_path / "0002_b.sql").write_text("SELECT ';' AS é\n;\n", "utf-8")
    (tmp_path / "0001_a.sql").write_text("\nSELECT 1", "utf-8")
    (tmp_path / "README.md").write_text("x")
    assert list(read_folder(tmp_path).items()) == [("0001_a", "SELECT 1"), ("0002_b", "SELECT ';' AS é\n")]


def test_sql_is_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel carries the folders inside the package, where they are preferred."""
    installed = tmp_path / "site-packages" / "pipeline"
    (installed / "_assets" / "sql" / "views").mkdir(parents=True)
    monkeypatch.setattr(sql_files, "_PACKAGE", installed)
    assert sql_folder("views") == installed / "_assets" / "sql" / "views"
    with pytest.raises(Stop, match="sql/migrations is missing"):
        sql_folder("migrations")


def test_migrations_are_numbered_without_gaps() -> None:
    """Names begin with four digits that count up, then say in words what the file does."""
    names = list(read_folder(sql_folder("migrations")))
    assert [name[:5] for name in names] == [f"{i:04d}_" for i in range(1, len(names) + 1)]
    assert all(re.fullmatch(r"\d{4}(_[a-z]+)+", name) for name in names)
