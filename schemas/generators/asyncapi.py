"""The AsyncAPI 3 document: every topic with its key, its settings, its messages and an example of each."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from schemas import alert, command, dead_letter, decision, delivery, escalation, pane, topics
from schemas.event import EVENT_TYPES
from schemas.generators.documents import example, named_schemas
from schemas.generators.json_schemas import DEAD_LETTER_HEADERS, JsonSchema, short_name
from schemas.topics import Topic

_PREFIX: Final = "#/components/schemas/"
_JSON: Final = "application/json"
_HEAD: Final = "# Made from schemas/ by `python -m schemas.generate`: change it there.\n"
_EVENTS: Final = """\
One typed event a record: JSON in UTF-8. Anyone may write here who follows the key rule: the partition is
(murmur2(key) & 0x7fffffff) % 12, as the clients of Apache Kafka have it. The time of a record is when the broker appended it.
A record that is no event becomes a dead letter and stops nobody."""
_ABOUT: Final = """\
Events come in on events.v1, from the gateway or from any producer that follows the key rule. What they amount to goes out on the other
topics. Delivery is at least once: where a value has an id of its own, readers keep the first record of each id."""


@dataclass(frozen=True, slots=True)
class _Message:
    """One kind of record. `schema` is the title of its value's schema, None for bytes that may be anything."""

    name: str
    schema: str | None
    example: dict[str, Any]
    headers: str | None = None


@dataclass(frozen=True, slots=True)
class _Channel:
    """`action` is what the pipeline does with the topic."""

    topic: Topic
    action: str
    about: str
    messages: list[_Message] = field(default_factory=list)


def asyncapi(schemas: dict[str, JsonSchema]) -> str:
    """The text of `asyncapi.yaml`.

    Args:
        schemas: as `json_schemas()` returns them.

    Raises:
        ValueError: A message has no example.
    """
    channels = _channels(schemas)
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "NutriCoach Telemetry", "version": "1.0.0", "description": _ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": _JSON,
        "channels": {short_name(channel.topic): _channel(channel) for channel in channels},
        "operations": {f"{channel.action}-{short_name(channel.topic)}": _operation(channel) for channel in channels},
        "components": {
            "messages": {message.name: _message(message, channel.topic) for channel in channels for message in channel.messages},
            "schemas": named_schemas({name: one for name, one in schemas.items() if not name.startswith("events/")}, _PREFIX),
        },
    }
    return _HEAD + yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=140)


class _PlainDumper(yaml.SafeDumper):
    """What is said twice is written twice: no anchors for a reader to follow. Text of several lines stays that."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_PlainDumper.add_representer(str, _text)


def _channels(schemas: dict[str, JsonSchema]) -> list[_Channel]:
    events = [_Message(name, schemas[f"events/{name}"]["title"], example(name)) for name in EVENT_TYPES]
    return [
        _Channel(topics.EVENTS, "receive", _EVENTS, events),
        _Channel(topics.DLQ, "send", _about(dead_letter), [_dead_letter(schemas[DEAD_LETTER_HEADERS])]),
        _Channel(topics.PANES, "send", _about(pane), [_Message("flush", "Flush", example("flush"))]),
        _Channel(topics.ALERTS, "send", _about(alert), [_Message("alert", "Alert", example("alert"))]),
        _Channel(topics.ESCALATIONS, "send", _about(escalation), [_Message("escalation", "Escalation", example("escalation"))]),
        _Channel(topics.DELIVERIES, "send", _about(delivery), [_Message("delivery", "Delivery", example("delivery"))]),
        _Channel(topics.DECISIONS, "send", _about(decision), [_Message("decision", "Decision", example("decision"))]),
        _Channel(topics.COMMANDS, "receive", _about(command), _commands(schemas[short_name(topics.COMMANDS)])),
    ]


def _about(module: Any) -> str:
    return str(sys.modules[module.__name__].__doc__).strip()


def _dead_letter(headers: JsonSchema) -> _Message:
    return _Message("dead_letter", None, example("dead_letter"), headers["title"])


def _commands(schema: JsonSchema) -> list[_Message]:
    actions = {name: one["properties"]["action"]["const"] for name, one in schema["$defs"].items()}
    return [_Message(action, name, example("command", ("action", action))) for name, action in actions.items()]


def _channel(channel: _Channel) -> dict[str, Any]:
    topic = channel.topic
    settings: dict[str, Any] = {name: int(value) if value.isdecimal() else value for name, value in topic.settings().items()}
    settings["cleanup.policy"] = [settings["cleanup.policy"]]
    kafka = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": settings, "bindingVersion": "0.5.0"}
    return {
        "address": topic.name,
        "description": channel.about,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in channel.messages},
        "bindings": {"kafka": kafka},
    }


def _operation(channel: _Channel) -> dict[str, Any]:
    name = short_name(channel.topic)
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message.name}"} for message in channel.messages],
    }


def _message(message: _Message, topic: Topic) -> dict[str, Any]:
    key = {"type": "integer" if topic is topics.PANES else "string", "description": topic.key}
    described: dict[str, Any] = {"name": message.name}
    if message.schema is None:
        described["contentType"] = "application/octet-stream"
        described["payload"] = {"description": "The bytes of the refused record, unchanged."}
    else:
        described["contentType"] = _JSON
        described["payload"] = {"$ref": _PREFIX + message.schema}
    if message.headers is not None:
        described["headers"] = {"$ref": _PREFIX + message.headers}
    part = "payload" if message.headers is None else "headers"
    bindings = {"kafka": {"key": key, "bindingVersion": "0.5.0"}}
    return described | {"bindings": bindings, "examples": [{"name": message.name, part: message.example}]}
