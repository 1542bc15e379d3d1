"""Records of `panes.v1` for tests of what reads them."""

from __future__ import annotations

from typing import Any

from schemas.pane import Flush

START = "2026-11-23T10:00:00.000Z"
START_MS = 1_795_428_000_000
LABELS = {"provider": "templates", "outcome": "degraded"}


def pane(count: int, version: int, *, start: str = START, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A pane of menus that took 1 ms each (bucket -1 holds values in (2^(-1/32), 1])."""
    menus = {"metric": "menu_generation", "labels": labels or LABELS, "start": start, "count": count, "sum": count * 1_000_000}
    return {**menus, "buckets": {"-1": count}, "last_offset": version // 2, "version": version, **fields}


def flush(partition: int, *panes: dict[str, Any], last_offset: int = 0, complete: bool = True) -> Flush:
    """`complete`: the last part of a flush, which says how far its partition is."""
    return Flush.model_validate(
        {
            "source_partition": partition,
            "last_offset": last_offset,
            "watermark": START if complete else None,
            "caught_up_at": None,
            "panes": panes,
        }
    )
