"""How busy and how full this machine is, as its kernel says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from schemas.timestamps import isoformat_of

_SOURCE: Final = {"service": "host", "environment": "production"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares, 0 to 1. `cpu_ratio`: of the processors' time since the last reading; `memory_ratio`: what no process could be given without
    swapping; `disk_ratio`: of what ordinary users may fill."""

    cpu_ratio: float
    memory_ratio: float
    disk_ratio: float


class UsageMeter:
    """Reads the machine, and the file system that `directory` is on, or will be on once it has been made."""

    def __init__(self, directory: Path) -> None:
        absolute = directory.expanduser().absolute()
        self._directory = next(place for place in (absolute, *absolute.parents) if place.is_dir())
        psutil.cpu_percent()  # from here on the first reading counts

    def read(self) -> Usage:
        """The processors' share is that since the last call, or since the meter was made."""
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(self._directory))
        used = (memory.total - memory.available) / memory.total
        return Usage(_ratio(psutil.cpu_percent() / 100), _ratio(used), _ratio(disk.used / (disk.used + disk.free)))


def usage_event(usage: Usage, host: str, event_id: str, at_ms: int) -> bytes:
    """The `resource_usage` event."""
    event: dict[str, Any] = {"event_id": event_id, "event_type": "resource_usage", "schema_version": 1}
    event |= {"occurred_at": isoformat_of(at_ms), "source": _SOURCE}
    ratios = {"cpu_ratio": usage.cpu_ratio, "memory_ratio": usage.memory_ratio, "disk_ratio": usage.disk_ratio}
    return orjson.dumps({**event, "properties": {"host": host, **ratios}})


def _ratio(value: float) -> float:
    """The kernel's counters are read one after the other, and may disagree by a little."""
    return min(max(value, 0.0), 1.0)
