"""The users of docker-compose.yml's ClickHouse, judged by the engine itself: it reads the same users file as the server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.clickhouse.migrations import all_views, in_order
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from tests.contract.compose.stack import ROOT

# What the image has beside our file: the `default` everything, which is merged with ours as the server does it.
_IMAGE_USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users></clickhouse>"""
_IMAGE_CONFIG = """<clickhouse><logger><log>{directory}/server.log</log><errorlog>{directory}/server.err.log</errorlog></logger>
<user_directories><users_xml><path>{directory}/users.xml</path></users_xml></user_directories></clickhouse>"""

# The answers go to a file: standard output is the engine's log, as clickhouse-server.xml says.
_RUN = """
import json, sys, chdb
statements, connection = json.load(sys.stdin), chdb.connect(sys.argv[1])
def answer(statement):
    try:
        return str(connection.query(statement, "TSV")).strip()
    except Exception as error:
        return f"refused: {error}"
with open(sys.argv[2], "w") as answers:
    json.dump([answer(statement) for statement in statements], answers)
connection.close()
"""


def run_as(user: str, directory: Path, statements: list[str], password: str = "") -> list[str]:
    """The engine's answers to `statements` as `user`, whose password in the environment is `password`.

    Embedded, one is always `default` without a password: the writer is run under that name.
    """
    ours = (ROOT / "grafana/compose/clickhouse-users.xml").read_text("utf-8")
    if user == "telemetry_writer":
        ours = ours.replace("default replace=", "nobody replace=").replace("</default>", "</nobody>")
        ours = ours.replace("<telemetry_writer>", '<default replace="replace">').replace("</telemetry_writer>", "</default>")
    config, answers = directory / "config.xml", directory / "answers.json"
    config.write_text(_IMAGE_CONFIG.format(directory=directory), "utf-8")
    (directory / "users.xml").write_text(_IMAGE_USERS, "utf-8")
    for folder, text in (("users.d", ours), ("config.d", (ROOT / "grafana/compose/clickhouse-server.xml").read_text("utf-8"))):
        (directory / folder).mkdir(exist_ok=True)
        (directory / folder / "telemetry.xml").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, f"{directory}/data?config-file={config}", str(answers)],
        input=json.dumps(statements), capture_output=True, text=True, check=False, cwd=directory,
        env={"TZ": "UTC", "CLICKHOUSE_WRITER_PASSWORD": password},
    )  # fmt: skip
    if done.returncode != 0:
        raise ConnectionRefusedError(done.stderr)  # the log of the engine goes on after the error
    said: list[str] = json.loads(answers.read_text("utf-8"))
    return said


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which the writer has made a table with two rows and a view of it."""
    directory = tmp_path_factory.mktemp("clickhouse")
    made = run_as(
        "telemetry_writer",
        directory,
        [
            "CREATE DATABASE telemetry",
            "CREATE TABLE telemetry.numbers (n Int64) ENGINE = ReplacingMergeTree ORDER BY n",
            "INSERT INTO telemetry.numbers VALUES (1), (2)",
            "CREATE VIEW telemetry.doubles AS SELECT 2 * n AS n FROM telemetry.numbers",
            "ALTER TABLE telemetry.numbers ADD COLUMN note String",
            "ALTER TABLE telemetry.doubles MODIFY COMMENT 'twice'",
            "OPTIMIZE TABLE telemetry.numbers FINAL",
        ],
    )
    assert made == [""] * 7
    return directory


def test_the_reader_reads(database: Path) -> None:
    """Without credentials one sees tables, views and their columns, and may bound a query's time as Grafana's plugin does."""
    answers = run_as(
        "default",
        database,
        [
            "SELECT sum(n) FROM telemetry.doubles",
            "SELECT name FROM system.tables WHERE database = 'telemetry' ORDER BY name",
            "SELECT count() > 100 FROM system.settings",
            "SET max_execution_time = 5",
        ],
    )
    assert answers == ["6", "doubles\nnumbers", "1", ""]


WRITES = (
    "INSERT INTO telemetry.numbers (n) VALUES (3)",
    "DROP TABLE telemetry.numbers",
    "CREATE TABLE telemetry.other (n Int64) ENGINE = Memory",
    "SET readonly = 0",
)
WAYS_OUT = (
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SYSTEM FLUSH LOGS",
    "CREATE USER u",
    "CREATE DATABASE other",
)


def test_the_reader_does_nothing_else(database: Path) -> None:
    """Writing, changing its own rights and leaving the database are refused, and nothing has changed afterwards."""
    *refusals, rows = run_as("default", database, [*WRITES, *WAYS_OUT, "SELECT count() FROM telemetry.numbers"])
    assert [answer for answer in refusals if "ACCESS_DENIED" not in answer and "READONLY" not in answer] == []
    assert rows == "2"


def test_the_writer_stays_in_the_database(database: Path) -> None:
    """Its password opens `telemetry` and no file, network address, other database or user management."""
    answers = run_as("telemetry_writer", database, list(WAYS_OUT))
    assert [answer for answer in answers if "ACCESS_DENIED" not in answer] == []


def test_the_writers_password_is_the_one_of_the_environment(database: Path) -> None:
    """With CLICKHOUSE_WRITER_PASSWORD set, nobody is the writer without it."""
    with pytest.raises(ConnectionRefusedError, match="AUTHENTICATION_FAILED"):
        run_as("telemetry_writer", database, ["SELECT 1"], password="secret")


def test_the_server_logs_to_the_console_only(database: Path) -> None:
    """The log reaches Docker, which rotates it; no file grows inside the container."""
    run_as("default", database, ["SELECT 1"])
    assert list(database.rglob("*.log")) == []


def test_the_writer_may_apply_every_migration_and_the_reader_read_every_view(tmp_path: Path) -> None:
    """`telemetry migrate` needs no more rights than the writer has, and what it makes is readable without credentials."""
    migrations, views = read_folder(sql_folder("migrations")), all_views()
    ddl = [migrations[name] for name in sorted(migrations)] + [views[name] for name in in_order(views)]
    applied = run_as("telemetry_writer", tmp_path, ["CREATE DATABASE telemetry", *ddl, "DROP VIEW telemetry.panes", *ddl])
    assert [answer for answer in applied if answer] == []
    readable = run_as("default", tmp_path, [f"SELECT count() FROM telemetry.{name}" for name in views if _has_no_parameter(views[name])])
    assert len(readable) > 15
    assert {answer for answer in readable if not answer.isdigit()} == set()


def _has_no_parameter(view: str) -> bool:
    return "{" not in view
