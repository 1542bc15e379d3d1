"""`telemetry alerts`: what is open, and who works on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from alerting.incidents import Incident

app = App(name="alerts", help="Incidents: what is open, and who works on it.")


@app.command(name="list")
def list_(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="Also those that are over.")] = False,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Show open incidents, newest first.

    Example: `telemetry alerts list`, `telemetry alerts list --all --format json`
    """
    from alerting.incidents import as_document, as_text

    incidents = [incident for incident in asyncio.run(_read(data_dir)) if all_ or incident.is_open]
    if format == "json":
        import orjson

        print(orjson.dumps([as_document(incident) for incident in incidents]).decode())
    elif not incidents:
        print("no incident is known" if all_ else "no incident is open")
    for incident in incidents if format == "text" else []:
        print(as_text(incident))
    return 0


@app.command
def ack(
    incident_key: str,
    *,
    by: Annotated[str, Parameter(help="Who works on it; people see this name.")],
    data_dir: DataDir = None,
) -> int:
    """Acknowledge an incident: its escalation stops. The beginning of a key will do if no other begins with it.

    Example: `telemetry alerts ack 3f9a02c1 --by alice`
    """
    from alerting.incidents import find

    incident = find(asyncio.run(_read(data_dir)), incident_key)
    if incident.acked_by:
        print(f"{incident.alert.rule} is acknowledged already, by {incident.acked_by}")
        return 0
    asyncio.run(_send_ack(data_dir, incident, by))
    print(f"{incident.alert.rule} is acknowledged by {by}; nobody else is paged")
    return 0


async def _read(data_dir: Path | None) -> list[Incident]:
    from alerting.incidents import read_incidents
    from pipeline.cli.address import resolve

    return await read_incidents(resolve(data_dir).settings.kafka.bootstrap_servers)


async def _send_ack(data_dir: Path | None, incident: Incident, by: str) -> None:
    from pydantic import ValidationError

    from pipeline.cli.address import resolve
    from pipeline.runtime.clock import SystemClock, new_id
    from pipeline.runtime.errors import ConfigurationError
    from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
    from schemas.command import Ack, command_key
    from schemas.timestamps import from_ms
    from schemas.topics import COMMANDS

    try:
        command = Ack(command_id=new_id(), at=from_ms(SystemClock().now_ms()), by=by, incident_key=incident.alert.incident_key)
    except ValidationError:
        raise ConfigurationError("--by is one line of 1 to 200 characters") from None
    producer = await start_producer(resolve(data_dir).settings.kafka.bootstrap_servers, "nutricoach-cli")
    try:
        await send_all(producer, [Message(COMMANDS.name, command.model_dump_json().encode(), command_key(command).encode())])
    finally:
        await stop_producer(producer)
