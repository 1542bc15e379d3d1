"""What machines, deployments and the pipeline itself report."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NotRequired

from pydantic import Field, Strict, StringConstraints, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Name, Text
from schemas.partitioning import EVENT_PARTITIONS
from schemas.units import Ratio

_Offset = Annotated[int, Strict(), Field(ge=0)]
_MINUTE: Final = r"^(199\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:00(\.000)?Z$"


@with_config(OPEN)
class ResourceUsageProperties(TypedDict):
    """How full a host is: processors, memory, the disk that is fullest."""

    host: Name
    cpu_ratio: Ratio
    memory_ratio: Ratio
    disk_ratio: Ratio


@with_config(OPEN)
class DbSampleProperties(TypedDict):
    """One number that a database says of itself; `metric` is its name, with the unit."""

    metric: Name
    value: Annotated[float, Strict()]


@with_config(OPEN)
class DeploymentProperties(TypedDict):
    """A release is being put into service, is in service, or was taken back for `previous_release`."""

    phase: Literal["started", "finished", "rolled_back"]
    release: Name
    previous_release: NotRequired[Name | None]


@with_config(OPEN)
class SecuritySignalProperties(TypedDict):
    """Something that somebody who looks after security wants to know."""

    kind: Name
    detail: NotRequired[Text | None]


@with_config(OPEN)
class AcceptedCountProperties(TypedDict):
    """How many events `source` accepted in the minute that began at `minute`: what is stored must be as many.

    `positions` are offsets, one for each partition of events.v1: all these events lie below. Only a gateway knows them.
    """

    source: Name
    minute: Annotated[str, Strict(), StringConstraints(pattern=_MINUTE)]
    count: Annotated[int, Strict(), Field(ge=0, le=1_000_000_000)]
    positions: NotRequired[Annotated[list[_Offset], Field(max_length=EVENT_PARTITIONS)] | None]


@with_config(CLOSED)
class ResourceUsage(Envelope):
    event_type: Literal["resource_usage"]
    properties: ResourceUsageProperties


@with_config(CLOSED)
class DbSample(Envelope):
    event_type: Literal["db_sample"]
    properties: DbSampleProperties


@with_config(CLOSED)
class Deployment(Envelope):
    event_type: Literal["deployment"]
    properties: DeploymentProperties


@with_config(CLOSED)
class SecuritySignal(Envelope):
    event_type: Literal["security_signal"]
    properties: SecuritySignalProperties


@with_config(CLOSED)
class AcceptedCount(Envelope):
    event_type: Literal["accepted_count"]
    properties: AcceptedCountProperties
