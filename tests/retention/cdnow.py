"""CDNOW: all 69,659 purchases, to mid-1998, of the 23,570 people who first bought there in the first quarter of 1997 (public, academic).

The file is part of the wheel of lifetimes 0.11.3 (MIT).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.demo.wheel_file import WheelFile

FILE: Final = WheelFile(
    title="CDNOW",
    requirement="lifetimes==0.11.3 --hash=sha256:261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8",
    member="lifetimes/datasets/CDNOW_master.txt",
    sha256="eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef",
)
_SOURCE: Final = {"service": "cdnow", "environment": "replay"}


def events(file: Path) -> Iterator[dict[str, Any]]:
    """A purchase is a menu of so many recipes, at midnight UTC; in the order of the file, which is that of the customers."""
    for line in file.read_text().splitlines()[1:]:
        customer, day, cds, _ = line.split()
        year, month, of_month = re.findall(r"(\d{4})(\d\d)(\d\d)", day)[0]
        yield {
            "event_type": "menu_generated",
            "schema_version": 1,
            "occurred_at": f"{year}-{month}-{of_month}T00:00:00.000Z",
            "source": _SOURCE,
            "user_id": f"cdnow-{customer}",
            "properties": {"recipe_count": int(cds), "restrictions": [], "generation_time_ms": 100 * int(cds), "outcome": "full"},
        }
