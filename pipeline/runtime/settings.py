"""Every setting of every role, read once from the environment and `.env` (names: TELEMETRY_<GROUP>__<FIELD>)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.runtime.errors import ConfigurationError

PREFIX = "TELEMETRY_"
DEFAULT_DATA_DIR = Path("~/.local/share/nutricoach-telemetry").expanduser()


def _comma_separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _folder(value: Any) -> Any:
    """One that is set to nothing is not set; a shell would have put the home directory for `~`, `.env` does not."""
    return (Path(value).expanduser() if value else None) if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(_comma_separated)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(_comma_separated)]


class Kafka(BaseModel):
    bootstrap_servers: str = "127.0.0.1:9092"


class ClickHouse(BaseModel):
    """Without `user` the connection is the read-only reader."""

    url: str = "http://127.0.0.1:8123"
    user: str | None = None
    password: SecretStr = SecretStr("")


class Gateway(BaseModel):
    """`write_keys` are off when empty, which is allowed on loopback only; `pepper` pseudonymises user ids."""

    host: str = "127.0.0.1"
    port: int = 8100
    write_keys: Secrets = []
    cors_origins: Names = []
    pepper: SecretStr | None = None


class Health(BaseModel):
    """Where a role without a public port serves /healthz, /readyz and /metrics; 0 takes a free port."""

    host: str = "127.0.0.1"
    port: int = 0


class Console(BaseModel):
    """The page of incidents and the webhooks; a webhook without its secret is off. Several secrets of PagerDuty: while they are changed."""

    host: str = "127.0.0.1"
    port: int = 8150
    slack_signing_secret: SecretStr | None = None
    pagerduty_secrets: Secrets = []


class Alerting(BaseModel):
    """`config_dir`: a folder with rules, escalation steps and routes, in place of the shipped one."""

    config_dir: Annotated[Path | None, BeforeValidator(_folder)] = None


class Host(BaseModel):
    """What the host reporter says: under which name, the machine's own when it is empty, and of the disk that `directory` is on."""

    name: str = ""
    directory: Path = DEFAULT_DATA_DIR


class Worker(BaseModel):
    """Bounds of one worker: records and bytes read and not yet durable, and how a group of chunks is flushed."""

    chunk_records: int = 2_000
    max_records_open: int = 40_000
    max_bytes_open: int = 64 << 20
    flush_records: int = 20_000
    flush_interval_ms: int = 100


class Receiver(BaseModel):
    """One place that is notified; without an address its notifications are written to the log as JSON lines.

    The address is `url`, or for Slack `token` and `channel` (the channel's id; `url` is then that of the Web API, Slack's own if unset).
    `routing_key` is PagerDuty's; `sender` and `recipients` are of email; the `token` of tickets and webhooks goes with each request.
    """

    url: SecretStr | None = None
    routing_key: SecretStr | None = None
    token: SecretStr | None = None
    channel: str | None = None
    sender: str | None = None
    recipients: Names = []


class Settings(BaseSettings):
    """All settings. Build with `load_settings`, which also refuses names nothing reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore")

    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    gateway: Gateway = Gateway()
    console: Console = Console()
    health: Health = Health()
    alerting: Alerting = Alerting()
    host: Host = Host()
    worker: Worker = Worker()
    receivers: dict[str, Receiver] = {}
    sentry_dsn: SecretStr | None = Field(default=None, validation_alias="SENTRY_DSN")

    def receiver(self, name: str) -> Receiver:
        """The receiver as routes name it (`slack-critical`); one without any setting has no address."""
        return self.receivers.get(name.replace("-", "_").lower(), Receiver())


def load_settings(env_file: Path = Path(".env")) -> Settings:
    """Read the environment over `env_file`. Raises ConfigurationError with one line that names the setting."""
    from_file = {key: value for key, value in dotenv_values(env_file).items() if value is not None}
    unknown = sorted(unread_names([*os.environ, *from_file]))
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting; see .env.example for the names there are")
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = PREFIX + "__".join(str(part).upper() for part in first["loc"])
        raise ConfigurationError(f"{name}: {first['msg']}") from None


def unread_names(names: Iterable[str]) -> set[str]:
    """Those of `names` that begin with TELEMETRY_ and set nothing."""
    return {name for name in names if name.upper().startswith(PREFIX) and not _is_read(name.upper()[len(PREFIX) :].lower().split("__"))}


def _is_read(path: list[str]) -> bool:
    fields: Mapping[str, Any] = Settings.model_fields
    if path[0] == "receivers":
        return len(path) == 3 and bool(path[1]) and path[2] in Receiver.model_fields
    group = fields.get(path[0])
    group_type = group.annotation if group is not None else None
    if not (isinstance(group_type, type) and issubclass(group_type, BaseModel)):
        return False
    return len(path) == 2 and path[1] in group_type.model_fields
