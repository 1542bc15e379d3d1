from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.logs import RateLimit, configure_logs, secrets_of
from pipeline.runtime.settings import ClickHouse, Gateway, Receiver, Settings


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the lines go; afterwards logging is as it was."""
    root = logging.root
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("worker", ["hunter2"], stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_one_json_object_with_role_level_and_time(stream: io.StringIO) -> None:
    """Of structlog and of libraries alike, also when the text has line ends."""
    structlog.get_logger("pipeline.x").info("flushed", rows=3)
    logging.getLogger("faust.agents").warning("two\nlines %s", "here", extra={"agent": "fold"})
    ours, theirs = lines(stream)
    assert (ours["event"], ours["rows"], ours["role"], ours["level"], ours["logger"]) == ("flushed", 3, "worker", "info", "pipeline.x")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["agent"], theirs["role"], theirs["level"]) == ("two\nlines here", "fold", "worker", "warning")


def test_a_field_may_be_named_as_it_likes(stream: io.StringIO) -> None:
    """The standard library's own names are kept apart from ours."""
    structlog.get_logger("pipeline.x").info("created", name="events.v1", process=3, args="a")
    (line,) = lines(stream)
    assert (line["event"], line["name_"], line["process_"], line["args_"]) == ("created", "events.v1", 3, "a")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    """INFO unless something else is asked for."""
    structlog.get_logger("pipeline.x").debug("detail")
    logging.getLogger("aiokafka.consumer").debug("detail")
    assert lines(stream) == []


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"password": "abc"}, {"password": "***"}),
        ({"routing_key": "abc", "rows": 1}, {"routing_key": "***", "rows": 1}),
        ({"url": "http://writer:abc@host:8123/x?y=1"}, {"url": "http://***@host:8123/x?y=1"}),
        ({"path": "/v1/events?key=wk_1&dry_run=1"}, {"path": "/v1/events?key=***&dry_run=1"}),
        ({"error": ValueError("no login with hunter2")}, {"error": "no login with ***"}),
        ({"receiver": SecretStr("abc")}, {"receiver": "**********"}),
        (
            {"nested": {"token": "abc", "list": ["hunter2", 5, None, 1.5, True]}},
            {"nested": {"token": "***", "list": ["***", 5, None, 1.5, True]}},
        ),
    ],
)
def test_secrets_are_hidden_wherever_they_stand(stream: io.StringIO, fields: dict[str, Any], shown: dict[str, Any]) -> None:
    """By the name of the field, in addresses, by value, and deep inside."""
    structlog.get_logger("pipeline.x").info("sent", **fields)
    (line,) = lines(stream)
    assert {name: line[name] for name in fields} == shown


def test_a_secret_in_a_library_s_line_is_hidden_too(stream: io.StringIO) -> None:
    """Its arguments are inside the text by then."""
    logging.getLogger("urllib3").warning("connecting with %s", "hunter2")
    assert lines(stream)[0]["event"] == "connecting with ***"


@pytest.mark.parametrize("expected", [Stop("set the address"), RetryAfter("ClickHouse is busy")])
def test_an_expected_error_has_no_stack(stream: io.StringIO, expected: Exception) -> None:
    """Its line says what to do, and that is all there is to know."""
    try:
        raise expected
    except type(expected):
        logging.getLogger("mode").exception("crashed")
        structlog.get_logger("pipeline.x").error("failed", exc_info=expected)
    assert [(line.get("exception"), line["error"]) for line in lines(stream)] == [(None, str(expected))] * 2


def test_a_bug_has_its_stack_in_the_same_line(stream: io.StringIO) -> None:
    """Without secrets of its own."""
    try:
        raise ZeroDivisionError("hunter2")
    except ZeroDivisionError:
        structlog.get_logger("pipeline.x").exception("failed")
    (line,) = lines(stream)
    assert "ZeroDivisionError: ***" in line["exception"]
    assert "test_logs.py" in line["exception"]


def test_a_logger_that_repeats_itself_is_cut_short_and_says_so() -> None:
    """Five lines of a template in ten seconds, from that library only; then how many there were not."""
    now = 100.0
    limit = RateLimit("aiokafka", burst=5, window_s=10.0, monotonic=lambda: now)

    def passes(template: str, name: str = "aiokafka.producer.sender") -> bool:
        record = logging.LogRecord(name, logging.WARNING, "x.py", 1, template, (now,), None)
        records.append(record)
        return bool(limit.filter(record))

    records: list[logging.LogRecord] = []
    assert [passes("no broker %s") for _ in range(1_000)] == [True] * 5 + [False] * 995
    assert passes("another template %s")
    assert passes("no broker %s", "aiokafka.consumer.fetcher")
    assert all(passes("ours %s", "pipeline.x") for _ in range(20))
    now = 110.0
    assert passes("no broker %s")
    assert records[-1].__dict__["dropped_lines"] == 995


def test_every_secret_of_the_settings_is_known() -> None:
    """In groups, lists and maps of groups."""
    settings = Settings(
        clickhouse=ClickHouse(password=SecretStr("p1")),
        gateway=Gateway(write_keys=[SecretStr("p2"), SecretStr("p3")], pepper=SecretStr("p4")),
        receivers={"slack": Receiver(url=SecretStr("p5"), routing_key=SecretStr("p6"))},
    )
    assert {"p1", "p2", "p3", "p4", "p5", "p6"} <= set(secrets_of(settings))
