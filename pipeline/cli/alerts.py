"""`telemetry alerts`: what is open, who works on it, and what happened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from pipeline.cli import silences
from pipeline.cli.commanding import check_known, new_command, send_command
from pipeline.cli.instants import Duration, Until, end_of
from pipeline.cli.options import DataDir, Format
from pipeline.cli.why import why

if TYPE_CHECKING:
    from alerting.incidents import Incident

app = App(name="alerts", help="Incidents: what is open, who works on it, what happened.")

Key = Annotated[str, Parameter(help="The incident's key; its beginning will do if no other begins so.")]
By = Annotated[str, Parameter(help="Who you are; people see this name.")]


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
def ack(incident_key: Key, *, by: By, data_dir: DataDir = None) -> int:
    """Acknowledge an incident: its escalation stops. With the first one of a group, all of the group.

    Example: `telemetry alerts ack 3f9a02c1 --by alice`
    """
    from alerting.incidents import find, open_members
    from schemas.command import Ack

    incidents = asyncio.run(_read(data_dir))
    incident = find(incidents, incident_key)
    if all(member.acked_by for member in open_members(incidents, incident)):
        print(f"{incident.alert.rule} is acknowledged already, by {incident.acked_by or 'others'}")
        return 0
    asyncio.run(send_command(data_dir, new_command(Ack, by=by, incident_key=incident.alert.incident_key)))
    print(f"{incident.alert.rule} is acknowledged by {by}; nobody else is paged")
    return 0


@app.command
def unack(incident_key: Key, *, by: By, data_dir: DataDir = None) -> int:
    """Take an acknowledgement back: the escalation goes on with the time that was left.

    Example: `telemetry alerts unack 3f9a02c1 --by alice`
    """
    from alerting.incidents import find, open_members
    from schemas.command import Unack

    incidents = asyncio.run(_read(data_dir))
    incident = find(incidents, incident_key)
    if not any(member.acked_by for member in open_members(incidents, incident)):
        print(f"{incident.alert.rule} is not acknowledged")
        return 0
    asyncio.run(send_command(data_dir, new_command(Unack, by=by, incident_key=incident.alert.incident_key)))
    print(f"{incident.alert.rule} is not acknowledged any more; its escalation goes on")
    return 0


@app.command
def reassign(
    incident_key: Key,
    *,
    to: Annotated[str, Parameter(help="A receiver of routes.yaml, e.g. slack-ops.")],
    by: By,
    data_dir: DataDir = None,
) -> int:
    """Page another receiver, in place of the steps to come.

    Example: `telemetry alerts reassign 3f9a02c1 --to slack-ops --by alice`
    """
    from alerting.config.load import configured
    from alerting.incidents import find
    from pipeline.cli.address import resolve
    from schemas.command import Reassign

    check_known("--to", to, configured(resolve(data_dir).settings).receivers)
    incident = find(asyncio.run(_read(data_dir)), incident_key)
    asyncio.run(send_command(data_dir, new_command(Reassign, by=by, incident_key=incident.alert.incident_key, target=to)))
    print(f"{incident.alert.rule} is reassigned to {to}, who is paged now")
    return 0


@app.command
def snooze(incident_key: Key, *, by: By, for_: Duration = None, until: Until = None, data_dir: DataDir = None) -> int:
    """Page nobody about an incident for a while; then again, if it is still open and nobody has acknowledged it.

    Example: `telemetry alerts snooze 3f9a02c1 --for 1h --by alice`
    """
    from alerting.incidents import find, open_members
    from pipeline.runtime.clock import SystemClock
    from schemas.command import Snooze
    from schemas.timestamps import from_ms, isoformat_ms

    now = from_ms(SystemClock().now_ms())
    end = end_of(now, for_, until, now=now)
    incidents = asyncio.run(_read(data_dir))
    incident = find(incidents, incident_key)
    if all(member.acked_by for member in open_members(incidents, incident)):
        print(f"{incident.alert.rule} is acknowledged, by {incident.acked_by or 'others'}: nobody is paged, and nothing is to be snoozed")
        return 0
    asyncio.run(send_command(data_dir, new_command(Snooze, by=by, incident_key=incident.alert.incident_key, until=end)))
    print(f"{incident.alert.rule} is snoozed until {isoformat_ms(end)}; then it pages again")
    return 0


@app.command
def show(
    incident_key: Key,
    *,
    format: Annotated[
        Literal["text", "json", "markdown"], Parameter(help="text for people, json for programs, markdown for a report.")
    ] = "text",
    data_dir: DataDir = None,
) -> int:
    """Tell the story of an incident, open or over: what it is, what happened when, how long it took, and the rule's MTTA and MTTR.

    Example: `telemetry alerts show 3f9a02c1`, `telemetry alerts show 3f9a02c1 --format markdown > incident.md`
    """
    from alerting.incidents import find, incidents_of, read_history
    from alerting.timeline import timeline_of
    from alerting.timeline_text import as_document, as_markdown, as_text

    history = asyncio.run(read_history(_bootstrap_servers(data_dir)))
    incident = find(incidents_of(history.alerts, history.escalations), incident_key, over_too=True)
    timeline = timeline_of(history, incident.alert.incident_key)
    if format == "json":
        import orjson

        print(orjson.dumps(as_document(timeline)).decode())
    else:
        print(as_markdown(timeline) if format == "markdown" else as_text(timeline))
    return 0


for command in (silences.silence, silences.unsilence, silences.silences, why):
    app.command(command)


def _bootstrap_servers(data_dir: Path | None) -> str:
    from pipeline.cli.address import resolve

    return resolve(data_dir).settings.kafka.bootstrap_servers


async def _read(data_dir: Path | None) -> list[Incident]:
    from alerting.incidents import read_incidents

    return await read_incidents(_bootstrap_servers(data_dir))
