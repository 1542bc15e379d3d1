from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas.topics import PREFIX, TOPICS, Topic
from tests.unit.schemas.published import GENERATED, examples

TEXT = (GENERATED / "asyncapi.yaml").read_text("utf-8")
DOCUMENT: Any = yaml.safe_load(TEXT)
MESSAGES = DOCUMENT["components"]["messages"]


def find(reference: str) -> Any:
    """What `#/a/b` refers to."""
    place = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_a_channel_with_its_settings(topic: Topic) -> None:
    """Address, partitions and every setting that the topic is created with."""
    channel = DOCUMENT["channels"][topic.name.removeprefix(PREFIX)]
    binding = channel["bindings"]["kafka"]
    assert (channel["address"], binding["topic"], binding["partitions"]) == (topic.name, topic.name, topic.partitions)
    written = {name: value[0] if isinstance(value, list) else str(value) for name, value in binding["topicConfiguration"].items()}
    assert written == topic.settings()
    keys = {find(message["$ref"])["bindings"]["kafka"]["key"]["description"] for message in channel["messages"].values()}
    assert keys == {topic.key}


def test_others_write_events_and_commands_and_read_the_rest() -> None:
    """The pipeline receives on two topics and sends on all others; each operation names its channel's messages."""
    actions = {operation["channel"]["$ref"].rpartition("/")[2]: operation["action"] for operation in DOCUMENT["operations"].values()}
    assert {name for name, action in actions.items() if action == "receive"} == {"events.v1", "commands.v1"}
    assert {name for name, action in actions.items() if action == "send"} == set(DOCUMENT["channels"]) - {"events.v1", "commands.v1"}
    for operation in DOCUMENT["operations"].values():
        assert len(operation["messages"]) == len(find(operation["channel"]["$ref"])["messages"])


def test_every_reference_leads_somewhere() -> None:
    """Nothing is referred to that is not in the document."""
    references = re.findall(r"\$ref: '?(#/[^'\s]*)", TEXT)
    assert references
    for reference in references:
        find(reference)
    assert TEXT.count("$ref:") == len(references)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_example_of_a_message_is_one(name: str) -> None:
    """It has the schema of the message, and is one of the examples that the models are tested with."""
    (example,) = MESSAGES[name]["examples"]
    part = "headers" if "headers" in example else "payload"
    Draft202012Validator({**DOCUMENT, "$ref": MESSAGES[name][part]["$ref"]}).validate(example[part])
    assert example[part] in [json.loads(path.read_bytes()) for path in examples("valid")]


def test_every_message_is_on_a_topic() -> None:
    """And on one only."""
    used = [find(message["$ref"])["name"] for channel in DOCUMENT["channels"].values() for message in channel["messages"].values()]
    assert sorted(used) == sorted(MESSAGES)
