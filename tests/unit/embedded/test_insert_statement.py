from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded.insert_statement import is_insert, split_insert


@pytest.mark.parametrize(
    ("text", "statement", "format_name", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV \t\r\n1", "INSERT INTO t ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t ", "CSV", b"\n1"),
        (b"INSERT INTO t FORMAT CSV 1,2\n3", "INSERT INTO t ", "CSV", b"1,2\n3"),
        (b"insert into t (a, format) format JSONEachRow {}", "insert into t (a, format) ", "JSONEachRow", b"{}"),
        (b"INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", b" (1)"),
        (b"INSERT INTO d.format(a) VALUES(1)", "INSERT INTO d.format(a) ", "Values", b"(1)"),
        (b"INSERT INTO `a FORMAT b` VALUES (1)", "INSERT INTO `a FORMAT b` ", "Values", b" (1)"),
        (b'INSERT INTO "VALUES" FORMAT TSV\n', 'INSERT INTO "VALUES" ', "TSV", b""),
        (b"INSERT INTO t /* FORMAT X */ VALUES ('x FORMAT CSV y')", "INSERT INTO t /* FORMAT X */ ", "Values", b" ('x FORMAT CSV y')"),
        (b"-- a note\nINSERT INTO t -- VALUES\nVALUES (1)", "-- a note\nINSERT INTO t -- VALUES\n", "Values", b" (1)"),
        (b"INSERT INTO t SETTINGS a='FORMAT b' FORMAT TSV\n1", "INSERT INTO t SETTINGS a='FORMAT b' ", "TSV", b"1"),
        (b"INSERT INTO FUNCTION null('a Int8') VALUES (1)", "INSERT INTO FUNCTION null('a Int8') ", "Values", b" (1)"),
        (b"INSERT INTO TABLE t FORMAT Native\n\x00\xff", "INSERT INTO TABLE t ", "Native", b"\x00\xff"),
    ],
)
def test_head_and_data(text: bytes, statement: str, format_name: str, data: bytes) -> None:
    """The statement ends before FORMAT or VALUES, and data begins where ClickHouse says it does."""
    head = split_insert(text)
    assert head is not None
    assert (head.statement, head.format, text[head.data_start :]) == (statement, format_name, data)


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (a) WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t",
        b"INSERT INTO t FORMAT",
        b"INSERT INTO t (a, b",
    ],
)
def test_no_data(text: bytes) -> None:
    """An INSERT that selects, reads a file or is cut off brings no data."""
    assert is_insert(text)
    assert split_insert(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b" \n/* x */ -- y\n#! z\ninsert into", True),
        (b"INSERTS", False),
        (b"SELECT 'INSERT INTO'", False),
        (b"EXPLAIN INSERT INTO t", False),
        (b"", False),
    ],
)
def test_is_insert(text: bytes, expected: bool) -> None:
    """Comments may come before INSERT, other words may not."""
    assert is_insert(text) is expected


@given(data=st.binary(max_size=200), gap=st.sampled_from([b"\n", b" \n", b"\r\n"]))
def test_data_is_never_read(data: bytes, gap: bytes) -> None:
    """Whatever the data is, it is what comes after the first newline."""
    text = b"INSERT INTO t FORMAT Native" + gap + data
    head = split_insert(text)
    assert head is not None
    assert text[head.data_start :] == data
