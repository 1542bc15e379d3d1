"""Judging canonical texts; that the engine's canonical text is what these tests think is shown by the contract tests."""

from __future__ import annotations

import pytest

from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_vocabulary import Vocabulary, check_settings
from pipeline.embedded.statements import check_calls, judge

VOCABULARY = Vocabulary.of_engine(
    table_functions=["numbers", "url", "file", "somethingNew"],
    outward_functions=["aiGenerate"],
    formats=["JSON", "Native", "Template", "ProtobufSingle"],
)


@pytest.mark.parametrize(
    ("canonical", "verb", "format_name", "body"),
    [
        ("SELECT 1", "SELECT", None, "SELECT 1"),
        ("SELECT 1 FORMAT JSON", "SELECT", "JSON", "SELECT 1"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "SELECT", "JSON", "SELECT 1 SETTINGS max_threads = 1"),
        ("SELECT 1 SETTINGS max_threads = 1 FORMAT Native", "SELECT", "Native", "SELECT 1 SETTINGS max_threads = 1"),
        ("SELECT 'a FORMAT JSON'", "SELECT", None, "SELECT 'a FORMAT JSON'"),
        ("SELECT `FORMAT JSON` FROM t", "SELECT", None, "SELECT `FORMAT JSON` FROM t"),
        ("SELECT FORMAT FROM t", "SELECT", None, "SELECT FORMAT FROM t"),
        ("SELECT 'it\\'s file(1)', `url(` FROM numbers(3)", "SELECT", None, "SELECT 'it\\'s file(1)', `url(` FROM numbers(3)"),
        ("WITH 1 AS x SELECT x", "WITH", None, "WITH 1 AS x SELECT x"),
        ("INSERT INTO t FORMAT JSON", "INSERT", "JSON", "INSERT INTO t"),
        ("SHOW TABLES", "SHOW", None, "SHOW TABLES"),
        ("SYSTEM STOP MERGES t", "SYSTEM", None, "SYSTEM STOP MERGES t"),
        ("CREATE OR REPLACE TABLE t (`a` Int8) ENGINE = Memory", "CREATE", None, "CREATE OR REPLACE TABLE t (`a` Int8) ENGINE = Memory"),
        ("ALTER TABLE t (UPDATE dialect = 1 WHERE 1)", "ALTER", None, "ALTER TABLE t (UPDATE dialect = 1 WHERE 1)"),
        ("ALTER TABLE t (ADD COLUMN `system` Int8)", "ALTER", None, "ALTER TABLE t (ADD COLUMN `system` Int8)"),
        ("INSERT INTO t SELECT * FROM system.parts", "INSERT", None, "INSERT INTO t SELECT * FROM system.parts"),
        ("SELECT default.t.a FROM default.t", "SELECT", None, "SELECT default.t.a FROM default.t"),
    ],
)
def test_allowed(canonical: str, verb: str, format_name: str | None, body: str) -> None:
    """Verb, format and body are read off, and words inside strings and quoted names mean nothing."""
    statement = judge(canonical, VOCABULARY)
    assert (statement.verb, statement.format, statement.body) == (verb, format_name, body)


@pytest.mark.parametrize(
    "canonical",
    [
        "SELECT file('x')",
        "SELECT FILE('x')",
        "SELECT `file`('x')",
        "SELECT * FROM somethingNew('x')",
        "SELECT aiGenerate('x')",
        "SELECT 'it\\\\' , file('x'), '",
        "SELECT 1 INTO OUTFILE 'x'",
        "INSERT INTO t FROM INFILE 'x' FORMAT JSON",
        "CREATE TABLE t (`a` Int8) ENGINE = URL('x')",
        "CREATE TABLE t (`a` Int8) ENGINE = Distributed",
        "CREATE TABLE t (`a` Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 'local')",
        "CREATE TABLE default.t (`a` Int8) ENGINE = Memory",
        "CREATE TABLE a (`a` Int8) ENGINE = Memory PARALLEL WITH CREATE TABLE b (`b` Int8) ENGINE = Memory",
        "CREATE FUNCTION f AS x -> x",
        "CREATE USER u",
        "CREATE DATABASE d ENGINE = Overlay('a')",
        "DROP DATABASE IF EXISTS default",
        "DROP DATABASE system",
        "DROP TABLE information_schema.tables",
        "USE default",
        "SYSTEM SHUTDOWN",
        "SYSTEM RELOAD CONFIG",
        "ATTACH TABLE t",
        "DETACH TABLE t",
        "BACKUP TABLE t TO File('x')",
        "EXECUTE AS u SELECT 1",
        "SET dialect = 'kusto'",
        "SET max_threads = 1, format_schema = 'x'",
        "SELECT 1 SETTINGS format_template_row = 'x'",
        "SELECT * FROM system.stack_trace",
        "SELECT * FROM `system`.`stack_trace`",
        "ALTER TABLE t (FETCH PARTITION 1 FROM '/x')",
        "GRANT SELECT ON t TO u",
    ],
)
def test_refused(canonical: str) -> None:
    """What reaches outwards, or would change the engine itself, is refused, and so is what nobody has thought of."""
    with pytest.raises(EngineError) as raised:
        judge(canonical, VOCABULARY)
    assert raised.value.number == 497
    assert "ACCESS_DENIED" in str(raised.value)


@pytest.mark.parametrize("name", ["Template", "ProtobufSingle", "NoSuchFormat", "dataframe"])
def test_formats(name: str) -> None:
    """Formats that read schema files, unknown ones and chDB's pseudo-formats are unknown to everybody."""
    with pytest.raises(EngineError) as raised:
        judge(f"SELECT 1 FORMAT {name}", VOCABULARY)
    assert raised.value.number == 73
    VOCABULARY.check_format("native")


@pytest.mark.parametrize(
    ("canonical", "reads"), [("SELECT 1", True), ("EXPLAIN SELECT 1", True), ("INSERT INTO t", False), ("SET a = 1", False)]
)
def test_reads(canonical: str, reads: bool) -> None:
    """Only verbs that leave everything as it is are open to readers."""
    assert judge(canonical, VOCABULARY).reads is reads


def test_temporary_tables() -> None:
    """They are what a session must keep a connection for."""
    assert judge("CREATE TEMPORARY TABLE t (`a` Int8)", VOCABULARY).makes_temporary
    assert judge("CREATE OR REPLACE TEMPORARY TABLE t (`a` Int8)", VOCABULARY).makes_temporary
    assert not judge("CREATE TABLE t (`TEMPORARY` Int8) ENGINE = Memory", VOCABULARY).makes_temporary


def test_values_are_judged_for_calls() -> None:
    """A list of values may call what a statement may."""
    check_calls("SELECT (1, now()), (2, 'file(1)')", VOCABULARY)
    with pytest.raises(EngineError):
        check_calls("SELECT (1, file('x'))", VOCABULARY)


@pytest.mark.parametrize(("name", "number"), [("format_schema", 497), ("dialect", 497), ("max threads", 36), ("a'b", 36)])
def test_settings(name: str, number: int) -> None:
    """Settings of the query string are held to the same lists."""
    check_settings(["max_threads", "async_insert", "input_format_allow_errors_num"])
    with pytest.raises(EngineError) as raised:
        check_settings(["max_threads", name])
    assert raised.value.number == number
