"""`telemetry alerts silence`, `unsilence`, `silences`: pages that are held back, by whom and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.commanding import check_known, new_command, send_command
from pipeline.cli.instants import Duration, Until, end_of, instant
from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from schemas.command import Silence

#: The last characters of a silence's id are random, the first the time.
_ID_CHARS = 12


def silence(
    *,
    rule: Annotated[str, Parameter(help="The rule's name, or * for all rules.")],
    by: Annotated[str, Parameter(help="Who you are; people see this name.")],
    reason: Annotated[str, Parameter(help="Why; people see it.")],
    label: Annotated[
        Sequence[str], Parameter(negative="", help="NAME=VALUE: only incidents with this label; several: with all of them.")
    ] = (),
    from_: Annotated[str | None, Parameter(name="--from", help="The beginning of a maintenance window; now when nothing is said.")] = None,
    for_: Duration = None,
    until: Until = None,
    data_dir: DataDir = None,
) -> int:
    """Hold back every page of a rule for a while. What is still open then pages; that something is over is always told.

    Example: `telemetry alerts silence --rule "Infrastructure" --label host=web-1 --for 2h --by alice --reason "new disks"`
    """
    from alerting.config.load import configured
    from pipeline.cli.address import resolve
    from pipeline.runtime.clock import SystemClock, new_id
    from schemas.command import Silence
    from schemas.timestamps import from_ms

    now = from_ms(SystemClock().now_ms())
    begin = None if from_ is None else instant("--from", from_)
    end = end_of(begin or now, for_, until, now=now)
    if rule != "*":
        check_known("--rule", rule, (one.name for one in configured(resolve(data_dir).settings).rules))
    command = new_command(Silence, by=by, silence_id=new_id(), rule=rule, labels=_labels(label), starts_at=begin, until=end, reason=reason)
    asyncio.run(send_command(data_dir, command))
    print(as_text(command))
    return 0


def unsilence(
    silence_id: Annotated[str, Parameter(help="As `telemetry alerts silences` shows it.")],
    *,
    by: Annotated[str, Parameter(help="Who you are; people see this name.")],
    data_dir: DataDir = None,
) -> int:
    """End a silence now: what it held back pages if it is still open.

    Example: `telemetry alerts unsilence 8f3d5c0a11b2 --by alice`
    """
    from pipeline.runtime.errors import Stop
    from schemas.command import Unsilence

    found = [one for one in _read(data_dir) if silence_id and one.silence_id.endswith(silence_id)]
    if len(found) != 1:
        what = "no silence has" if not found else f"{len(found)} silences have"
        raise Stop(f"{what} an id that ends with {silence_id}; `telemetry alerts silences` shows them")
    asyncio.run(send_command(data_dir, new_command(Unsilence, by=by, silence_id=found[0].silence_id)))
    print(f"the silence of {found[0].rule} is ended")
    return 0


def silences(*, data_dir: DataDir = None, format: Format = "text") -> int:
    """Show the silences in force and to come, the next to end first.

    Example: `telemetry alerts silences`
    """
    found = _read(data_dir)
    if format == "json":
        import orjson

        print(orjson.dumps([one.model_dump(mode="json") for one in found]).decode())
    else:
        print("\n".join(map(as_text, found)) or "nothing is silenced")
    return 0


def as_text(one: Silence) -> str:
    """One line: `3f9a02c1ab12  Infrastructure host=web-1  now until …  alice: new disks`."""
    from schemas.timestamps import isoformat_ms

    labels = "".join(f" {name}={value}" for name, value in sorted(one.labels.items()))
    begin = "" if one.starts_at is None else f"from {isoformat_ms(one.starts_at)} "
    return f"{one.silence_id[-_ID_CHARS:]}  {one.rule}{labels}  {begin}until {isoformat_ms(one.until)}  {one.by}: {one.reason}"


def _read(data_dir: DataDir) -> list[Silence]:
    from alerting.incidents import read_silences
    from pipeline.cli.address import resolve
    from pipeline.runtime.clock import SystemClock

    return asyncio.run(read_silences(resolve(data_dir).settings.kafka.bootstrap_servers, SystemClock().now_ms()))


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    from pipeline.runtime.errors import ConfigurationError

    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value) or name in labels:
            raise ConfigurationError(f"--label is NAME=VALUE, each name once; {pair!r} is not")
        labels[name] = value
    return labels
