"""What a demo is played on, and the rule it is about: facts that the command line knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from pipeline.runtime.errors import Stop
from pipeline.runtime.settings import ClickHouse

_BEGUN_FILE = "demo.json"


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. `write_key` is None when the gateway asks for none."""

    data_dir: Path
    kafka: str
    clickhouse: ClickHouse
    gateway_url: str
    write_key: str | None

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"


@dataclass(frozen=True, slots=True)
class WatchedRule:
    """The rule whose incident is staged."""

    name: str
    condition: str
    window_ms: int
    min_events: int
    keep_firing_for_ms: int


def note_begin(data_dir: Path, began_ms: int) -> None:
    """Remember in the data directory when a demo began there."""
    (data_dir / _BEGUN_FILE).write_text(f'{{"began_ms": {began_ms}}}\n', "utf-8")


def read_begin(data_dir: Path) -> int:
    """When the last demo on `data_dir` began. Raises Stop when there was none."""
    try:
        text = (data_dir / _BEGUN_FILE).read_text("utf-8")
    except FileNotFoundError:
        raise Stop(f"no demo has run on {data_dir}: `telemetry demo --keep --data-dir {data_dir}` leaves one to compare again") from None
    return int(orjson.loads(text)["began_ms"])
