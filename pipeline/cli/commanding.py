"""Commands of people at a terminal: checked, then on `commands.v1` before anything is said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from schemas.command import Command

C = TypeVar("C", bound=BaseModel)

_OPTIONS: Final = {"by": "--by", "target": "--to", "rule": "--rule", "labels": "--label", "reason": "--reason"}


def new_command(kind: type[C], **fields: Any) -> C:
    """A command of that kind with an id of its own, now. Raises ConfigurationError naming the option that is no line of text."""
    from pipeline.runtime.clock import SystemClock, new_id
    from schemas.timestamps import from_ms

    try:
        return kind(command_id=new_id(), at=from_ms(SystemClock().now_ms()), **fields)
    except ValidationError as error:
        option = _OPTIONS.get(str(error.errors()[0]["loc"][0]))
        if option is None:
            raise
        raise ConfigurationError(f"{option} is one line of 1 to 200 characters") from None


async def send_command(data_dir: Path | None, command: Command) -> None:
    """Return when Kafka has it. Raises RetryAfter or Stop otherwise."""
    from pipeline.cli.address import resolve
    from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
    from schemas.command import command_key
    from schemas.topics import COMMANDS

    producer = await start_producer(resolve(data_dir).settings.kafka.bootstrap_servers, "nutricoach-cli")
    try:
        await send_all(producer, [Message(COMMANDS.name, command.model_dump_json().encode(), command_key(command).encode())])
    finally:
        await stop_producer(producer)


def check_known(option: str, name: str, known: Iterable[str]) -> None:
    """Raises ConfigurationError, with what may have been meant, unless `name` is one of `known`."""
    from alerting.engine.suggestion import did_you_mean

    names = sorted(known)
    if name not in names:
        raise ConfigurationError(f"{option}: {name!r} is not known{did_you_mean(name, names)}")
