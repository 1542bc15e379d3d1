"""Which stack a command talks to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.embedded.stack_state import StackState, running_state
from pipeline.embedded.writer import Writer, stored_writer
from pipeline.runtime.errors import Stop
from pipeline.runtime.settings import DEFAULT_DATA_DIR, ClickHouse, Kafka, Settings, load_settings


@dataclass(frozen=True, slots=True)
class Target:
    """`settings` with the addresses of Kafka and ClickHouse to use; `gateway_url` without a path."""

    settings: Settings
    gateway_url: str


def resolve(data_dir: Path | None = None, *, writer: bool = False) -> Target:
    """The stack running on `data_dir`; without one given, what the settings name, and the default directory's for the rest.

    Args:
        data_dir: what `--data-dir` said, None when it was not given.
        writer: connect to an embedded ClickHouse as the one who may write, not as the reader.

    Raises Stop when nothing runs on `data_dir`, ConfigurationError when the settings are wrong.
    """
    settings = load_settings()
    stack = running_state(data_dir or DEFAULT_DATA_DIR)
    if stack is not None:
        return merge(settings, stack, stored_writer(data_dir or DEFAULT_DATA_DIR) if writer else None, settings_win=data_dir is None)
    if data_dir is not None:
        raise Stop(f"no stack runs on {data_dir}; start one with `telemetry up --data-dir {data_dir}`")
    return Target(settings, f"http://{settings.gateway.host}:{settings.gateway.port}")


def merge(settings: Settings, stack: StackState, writer: Writer | None, *, settings_win: bool) -> Target:
    """The addresses of `stack`, but for those that `settings` name themselves when `settings_win`."""
    kafka, clickhouse, gateway = settings.kafka, settings.clickhouse, settings.gateway
    gateway_url = stack.gateway
    if settings_win and gateway.model_fields_set & {"host", "port"}:
        gateway_url = f"http://{gateway.host}:{gateway.port}"
    if not (settings_win and "bootstrap_servers" in kafka.model_fields_set):
        kafka = Kafka(bootstrap_servers=stack.kafka)
    if not (settings_win and "url" in clickhouse.model_fields_set):
        credentials = {"user": writer.user, "password": SecretStr(writer.password)} if writer else {}
        clickhouse = ClickHouse(url=stack.clickhouse, **credentials)
    return Target(settings.model_copy(update={"kafka": kafka, "clickhouse": clickhouse}), gateway_url)
