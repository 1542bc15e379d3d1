from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.cli.main import run
from pipeline.runtime.topics_admin import ensure_topics
from schemas.timestamps import to_ms
from schemas.topics import ALERTS, DELIVERIES, ESCALATIONS
from tests.integration.console.consoles import commands_on
from tests.unit.alerting.story import Story, at, whole_story


@pytest.fixture
def broker(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shared broker, as the settings name it; its topics hold what other tests say too."""
    asyncio.run(ensure_topics(kafka))
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", kafka)
    monkeypatch.chdir(tmp_path)
    return kafka


def say(kafka: str, story: Story) -> Story:
    """On the topics, with garbage in between."""

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        for topic, values in (
            (ALERTS, story.history.alerts),
            (ESCALATIONS, story.history.escalations),
            (DELIVERIES, story.history.deliveries),
        ):
            for value in (b"\xff", *(value.model_dump_json().encode() for value in (*values, *values[:1]))):
                await producer.send_and_wait(topic.name, value, story.key.encode())
        await producer.stop()

    asyncio.run(produce())
    return story


@pytest.fixture
def story(broker: str) -> Story:
    """An incident that is open and has been told of; its name makes its key."""
    story = Story(f"open {time.time_ns()}")
    story.alert("firing", 5)
    story.event("opened", 5)
    story.event("step_due", 5, step=0, target="slack-critical", due_at=at(5))
    return say(broker, story)


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[int, str, str]:
    code = run(["alerts", *tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def commands(kafka: str, key: str) -> list[dict[str, Any]]:
    return asyncio.run(commands_on(kafka, key))


def test_each_command_is_on_kafka_when_it_is_said(story: Story, broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Acknowledge, reassign, snooze: by whom, with an id each, under the incident's key; the line says what follows."""
    key = story.key[:12]
    for tokens, says in (
        (("ack", key), "is acknowledged by alice; nobody else is paged"),
        (("reassign", key, "--to", "slack-ops"), "is reassigned to slack-ops, who is paged now"),
        (("snooze", key, "--for", "1h30m"), "is snoozed until "),
    ):
        code, out, _ = said(capsys, *tokens, "--by", "alice")
        assert (code, out.startswith(f"{story.rule} {says}")) == (0, True), out
    ack, reassign, snooze = commands(broker, story.key)
    assert [one["action"] for one in (ack, reassign, snooze)] == ["ack", "reassign", "snooze"]
    assert {one["by"] for one in (ack, reassign, snooze)} == {"alice"}
    assert len({one["command_id"] for one in (ack, reassign, snooze)}) == 3
    assert reassign["target"] == "slack-ops"
    assert abs(_ms(snooze["until"]) - _ms(snooze["at"]) - 5_400_000) < 5_000


def test_an_acknowledgement_is_taken_back_once_there_is_one(story: Story, broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, both commands say how it stands and send nothing more than was asked."""
    assert said(capsys, "unack", story.key, "--by", "bob")[1] == f"{story.rule} is not acknowledged\n"
    story.event("acked", 60, actor="alice", command_id="c-1")
    say(broker, story)
    assert said(capsys, "ack", story.key, "--by", "bob")[1] == f"{story.rule} is acknowledged already, by alice\n"
    snoozed = said(capsys, "snooze", story.key, "--for", "1h", "--by", "bob")
    assert snoozed[1] == f"{story.rule} is acknowledged, by alice: nobody is paged, and nothing is to be snoozed\n"
    assert commands(broker, story.key) == []
    assert said(capsys, "unack", story.key, "--by", "bob")[0] == 0
    (command,) = commands(broker, story.key)
    assert (command["action"], command["by"]) == ("unack", "bob")


def test_what_is_wrong_is_one_line_and_sends_nothing(story: Story, broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown keys, receivers and rules, with what may have been meant; names of two lines; ends that are no end."""
    silence = ("silence", "--by", "alice", "--reason", "new disks")
    for tokens, code, says in (
        (("ack", "00ff00ff", "--by", "alice"), 1, "no incident's key begins with 00ff00ff"),
        (("ack", story.key, "--by", "alice\n<!channel>"), 2, "--by is one line"),
        (("ack", story.key), 2, "--by"),
        (("reassign", story.key, "--to", "slack-opps", "--by", "alice"), 2, "did you mean slack-ops?"),
        (("snooze", story.key, "--by", "alice"), 2, "--for 1h"),
        (("snooze", story.key, "--by", "alice", "--for", "1h", "--until", "2099-01-01"), 2, "--for 1h"),
        (("snooze", story.key, "--by", "alice", "--until", "2020-01-01"), 2, "must be after"),
        (("snooze", story.key, "--by", "alice", "--until", "tomorrow"), 2, "--until: 'tomorrow' is not a time"),
        (("snooze", story.key, "--by", "alice", "--for", "99999999999d"), 2, "--for"),
        ((*silence, "--rule", "Infrastucture", "--for", "1h"), 2, "did you mean Infrastructure?"),
        ((*silence, "--rule", "*", "--for", "1h", "--label", "host"), 2, "--label is NAME=VALUE"),
        ((*silence, "--rule", "*", "--for", "1h", "--label", "host=a", "--label", "host=b"), 2, "each name once"),
        ((*silence, "--rule", "*", "--from", "2099-01-02", "--until", "2099-01-01"), 2, "must be after"),
        (("unsilence", "no-such-silence", "--by", "alice"), 1, "no silence has an id that ends with"),
        (("show", "00ff00ff"), 1, "no incident's key begins with"),
    ):
        answer = said(capsys, *tokens)
        assert (answer[0], answer[1], len(answer[2].splitlines())) == (code, "", 1), answer
        assert says in answer[2], answer[2]
    assert commands(broker, story.key) == []


def test_a_silence_is_listed_until_it_is_ended(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With rule, labels, beginning, end, author and reason; the end of its id names it."""
    reason = f"new disks {time.time_ns()}"
    options = ("--label", "host=web-1", "--label", "rack=7", "--from", "2099-01-01T10:00+01:00", "--for", "2h")
    code, out, _ = said(capsys, "silence", "--rule", "Infrastructure", *options, "--by", "alice", "--reason", reason)
    line = f"Infrastructure host=web-1 rack=7  from 2099-01-01T09:00:00.000Z until 2099-01-01T11:00:00.000Z  alice: {reason}"
    assert (code, out.partition("  ")[2]) == (0, f"{line}\n")
    assert line in said(capsys, "silences")[1]
    (listed,) = [one for one in json.loads(said(capsys, "silences", "--format", "json")[1]) if one["reason"] == reason]
    assert (listed["rule"], listed["labels"], listed["starts_at"]) == (
        "Infrastructure",
        {"host": "web-1", "rack": "7"},
        "2099-01-01T09:00:00.000Z",
    )
    assert said(capsys, "unsilence", out.partition("  ")[0], "--by", "bob")[0] == 0
    assert reason not in said(capsys, "silences")[1]
    silence, unsilence = commands(broker, listed["silence_id"])
    assert (silence["action"], unsilence["action"], unsilence["by"]) == ("silence", "unsilence", "bob")


def test_the_story_of_an_incident_is_told_in_three_ways(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one that is over, by the beginning of its key; what cannot be read and what is repeated is left out."""
    story = say(broker, whole_story())
    code, text, _ = said(capsys, "show", story.key[:12])
    assert (code, text.count("acknowledged by alice")) == (0, 1)
    assert "to acknowledge  3 min\n" in text
    document = json.loads(said(capsys, "show", story.key, "--format", "json")[1])
    assert (document["acknowledged_after_ms"], document["resolved_after_ms"], len(document["timeline"])) == (180_000, 720_000, 9)
    markdown = said(capsys, "show", story.key, "--format", "markdown")[1]
    assert markdown.startswith("# Menu Generation Critical\n")
    assert "| 2026-11-23 10:03:05.000 | acknowledged by alice |" in markdown
    listed = json.loads(said(capsys, "list", "--all", "--format", "json")[1])
    assert [one["state"] for one in listed if one["incident_key"] == story.key] == ["resolved"]
    assert story.key[:12] not in said(capsys, "list")[1]


def _ms(text: str) -> int:
    from datetime import datetime

    return to_ms(datetime.fromisoformat(text))
