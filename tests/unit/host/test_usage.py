from __future__ import annotations

import os
import time
from pathlib import Path

from pipeline.host.usage import Usage, UsageMeter, usage_event
from schemas.event import BadEvent, decode_one


def processor_ticks() -> tuple[int, int]:
    """(busy, all) of all processors since the machine's start, as proc(5) has them: idle and iowait are the 4th and 5th, guest time is
    in user's already."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def memory_ratio() -> float:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    return 1 - kib["MemAvailable"] / kib["MemTotal"]


def disk_ratio(place: Path) -> float:
    """As df shows it."""
    disk = os.statvfs(place)
    used = disk.f_blocks - disk.f_bfree
    return used / (used + disk.f_bavail)


def test_what_is_read_is_what_the_kernel_says(tmp_path: Path) -> None:
    """Processors over the time since the last reading, memory and disk now, each beside our own reading of /proc and statvfs."""
    before = processor_ticks()
    meter = UsageMeter(tmp_path)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:  # something to be measured
        pass
    usage, after = meter.read(), processor_ticks()
    busy, total = after[0] - before[0], after[1] - before[1]
    assert abs(usage.cpu_ratio - busy / total) < 0.1
    assert usage.cpu_ratio >= 0.5 / (os.cpu_count() or 1) - 0.1
    assert abs(usage.memory_ratio - memory_ratio()) < 0.02
    assert abs(usage.disk_ratio - disk_ratio(tmp_path)) < 0.01


def test_each_reading_is_of_the_time_since_the_last_one(tmp_path: Path) -> None:
    """Not of all time since the machine's start."""
    meter = UsageMeter(tmp_path)
    meter.read()
    before = processor_ticks()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass
    usage, after = meter.read(), processor_ticks()
    assert abs(usage.cpu_ratio - (after[0] - before[0]) / (after[1] - before[1])) < 0.15


def test_the_disk_is_that_of_the_directory_though_it_is_not_there_yet(tmp_path: Path) -> None:
    """A data directory that is made later will be where its parent is."""
    assert abs(UsageMeter(tmp_path / "not" / "yet").read().disk_ratio - disk_ratio(tmp_path)) < 0.01


def test_the_event_is_one_of_the_contract() -> None:
    """resource_usage with host and three ratios."""
    event_id = "0198c0de-7a1b-7c3d-8e4f-00112233aabb"
    decoded = decode_one(usage_event(Usage(0.25, 0.5, 1.0), "web-1", event_id, 1_800_000_000_123))
    assert not isinstance(decoded, BadEvent), decoded
    event = decoded[0]
    assert (event["event_id"], event["event_type"]) == (event_id, "resource_usage")
    assert event["occurred_at"].isoformat(timespec="milliseconds") == "2027-01-15T08:00:00.123+00:00"
    assert event["properties"] == {"host": "web-1", "cpu_ratio": 0.25, "memory_ratio": 0.5, "disk_ratio": 1.0}
