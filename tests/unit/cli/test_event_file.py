from __future__ import annotations

import uuid
from pathlib import Path

import orjson
import pytest

from pipeline.cli.event_file import lines_of, survey
from pipeline.runtime.errors import ConfigurationError
from schemas.partitioning import partition_of


def file_of(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_a_missing_id_is_derived_from_file_and_line(tmp_path: Path) -> None:
    """The same file gives the same ids again; equal lines of it give different ones, and so does another file."""
    line = b'{"event_type":"recipe_view","user_id":"u-1"}'
    first = [one.event_id for one in lines_of(survey(file_of(tmp_path, line, line), with_span=False))]
    again = [one.event_id for one in lines_of(survey(file_of(tmp_path, line, line), with_span=False))]
    other = [one.event_id for one in lines_of(survey(file_of(tmp_path, line, line, b"{}"), with_span=False))]
    assert first == again
    assert len({*first, *other}) == 5
    assert all(str(uuid.UUID(event_id)) == event_id for event_id in first)


def test_the_id_is_part_of_what_is_sent(tmp_path: Path) -> None:
    """An id is put into the event without touching the rest; one that is there stays."""
    path = file_of(tmp_path, b'{"a": 1}', b"{ }", b'{"event_id":null,"a":2}', b'{"event_id":"E"}')
    lines = list(lines_of(survey(path, with_span=False)))
    for line in lines:
        assert orjson.loads(line.value)["event_id"] == line.event_id
    assert [orjson.loads(line.value).get("a") for line in lines] == [1, None, 2, None]
    assert lines[3].event_id == "E"


def test_lines_are_grouped_by_the_partition_of_their_key(tmp_path: Path) -> None:
    """User, else session, else event id decides, in the seed's spelling too."""
    path = file_of(tmp_path, b'{"user_id":"u-7","session_id":"s"}', b'{"session_id":"s"}', b'{"event_id":"AB"}', b'{"userId":"u-7"}')
    partitions = [line.partition for line in lines_of(survey(path, with_span=False))]
    assert partitions == [partition_of("u-7"), partition_of("s"), partition_of("ab"), partition_of("u-7")]


def test_times_are_shifted_and_numbers_kept(tmp_path: Path) -> None:
    """A shift moves occurred_at by so many ms; blank lines are no events but count as lines."""
    path = file_of(tmp_path, b'{"occurred_at":"2011-12-01T08:26:00Z"}', b"", b'{"occurred_at":"2011-12-01T08:27:00+01:00"}')
    file = survey(path, with_span=True)
    assert file.span_ms == (1_322_724_420_000, 1_322_727_960_000)
    lines = list(lines_of(file, shift_ms=1_500))
    assert [line.number for line in lines] == [1, 3]
    assert [orjson.loads(line.value)["occurred_at"] for line in lines] == ["2011-12-01T08:26:01.500Z", "2011-12-01T07:27:01.500Z"]


def test_a_file_is_sent_now_whatever_it_says_of_its_first_sending(tmp_path: Path) -> None:
    """`sent_at` of an archive would move its events to now: it is left out, with and without a shift, and nothing else is."""
    path = file_of(tmp_path, b'{"occurred_at":"2011-12-01T08:26:00Z","sent_at":"2011-12-01T08:26:01Z","a":1}', b'{"sent_at":null,"b":2}')
    for shift_ms, occurred_at in ((0, "2011-12-01T08:26:00Z"), (1_500, "2011-12-01T08:26:01.500Z")):
        first, second = [orjson.loads(line.value) for line in lines_of(survey(path, with_span=True), shift_ms)]
        assert {name: first[name] for name in first if name != "event_id"} == {"occurred_at": occurred_at, "a": 1}
        assert second.get("sent_at") is None


def test_what_is_no_object_is_passed_on_to_be_refused(tmp_path: Path) -> None:
    """A broken line is not lost: it goes without an id, and whoever receives it says why."""
    lines = list(lines_of(survey(file_of(tmp_path, b"[1]", b"{", b'{"a":1}'), with_span=False)))
    assert [bool(line.event_id) for line in lines] == [False, False, True]


def test_an_unreadable_file_is_a_usage_error(tmp_path: Path) -> None:
    """A path that cannot be read is told in one line."""
    with pytest.raises(ConfigurationError, match=r"cannot read .*missing"):
        survey(tmp_path / "missing", with_span=False)
