from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.cli.address import merge, resolve
from pipeline.embedded.stack_state import Phase, Process, StackState
from pipeline.embedded.writer import Writer
from pipeline.runtime import settings as settings_module
from pipeline.runtime.errors import Stop
from pipeline.runtime.settings import ClickHouse, Gateway, Kafka, Settings

STACK = StackState(Process(1, 0.0), Phase.RUNNING, "127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4", {})
NAMED = Settings(
    kafka=Kafka(bootstrap_servers="kafka:9092"),
    clickhouse=ClickHouse(url="http://warehouse:8123", user="ann", password=SecretStr("secret")),
    gateway=Gateway(host="gateway", port=80),
)


def test_addresses_nobody_named_are_the_stacks() -> None:
    """Without settings all three come from the stack, ClickHouse as the reader."""
    target = merge(Settings(), STACK, None, settings_win=True)
    assert target.settings.kafka.bootstrap_servers == "127.0.0.1:1"
    assert target.settings.clickhouse == ClickHouse(url="http://127.0.0.1:2")
    assert target.gateway_url == "http://127.0.0.1:3"


def test_addresses_the_settings_name_win() -> None:
    """Each address by itself: what is named stays, credentials included, the rest is the stack's."""
    target = merge(NAMED, STACK, Writer("w", "p"), settings_win=True)
    assert (target.settings.kafka, target.settings.clickhouse) == (NAMED.kafka, NAMED.clickhouse)
    assert target.gateway_url == "http://gateway:80"
    only_kafka = merge(Settings(kafka=NAMED.kafka), STACK, None, settings_win=True)
    assert only_kafka.settings.kafka == NAMED.kafka
    assert only_kafka.settings.clickhouse.url == "http://127.0.0.1:2"


def test_a_directory_that_was_given_wins_over_the_settings() -> None:
    """`--data-dir` on the command line is the last word, and the reader is meant, not the writer of the settings."""
    target = merge(NAMED, STACK, None, settings_win=False)
    assert target.settings.kafka.bootstrap_servers == "127.0.0.1:1"
    assert target.settings.clickhouse == ClickHouse(url="http://127.0.0.1:2")
    assert target.gateway_url == "http://127.0.0.1:3"


def test_writer_is_the_stacks() -> None:
    """A command that writes gets the credentials kept in the data directory."""
    clickhouse = merge(Settings(), STACK, Writer("w", "p"), settings_win=False).settings.clickhouse
    assert (clickhouse.user, clickhouse.password.get_secret_value()) == ("w", "p")


def test_other_settings_stay() -> None:
    """Only addresses change."""
    target = merge(Settings(gateway=Gateway(write_keys=[SecretStr("key")])), STACK, None, settings_win=True)
    assert [key.get_secret_value() for key in target.settings.gateway.write_keys] == ["key"]


def test_without_any_stack_the_settings_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory given and nothing running on the default one: the settings as they are."""
    monkeypatch.setattr("pipeline.cli.address.DEFAULT_DATA_DIR", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")
    target = resolve()
    assert target.settings.kafka.bootstrap_servers == "kafka:9092"
    assert target.gateway_url == f"http://127.0.0.1:{settings_module.Gateway().port}"


def test_directory_without_a_stack_is_an_error(tmp_path: Path) -> None:
    """A directory that was named must have a stack running on it."""
    with pytest.raises(Stop, match=f"no stack runs on {tmp_path}"):
        resolve(tmp_path)
