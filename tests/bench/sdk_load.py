"""A service that publishes through the SDK as fast as its gateway takes it, in a process of its own.

    python -m tests.bench.sdk_load http://127.0.0.1:8100 200000

Prints one line of JSON when every event is settled.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

from pipeline.sdk import Telemetry

#: Below what the queue takes: nothing is dropped, and the thread that sends never runs out.
_QUEUED_AT_MOST: Final = 8_000
_AT_ONCE: Final = 500
_WARM_UP: Final = 5_000
_SETTLED_WITHIN_S: Final = 60.0


def main(url: str, events: int) -> dict[str, Any]:
    """Publish `events` after a warm-up; the CPU of the calls is that of this thread, that of an event the whole process's."""
    with Telemetry(url, service="menu-api", environment="bench", version="1.4.2") as telemetry:
        publish(telemetry, _WARM_UP)
        telemetry.flush(_SETTLED_WITHIN_S)
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        calls_cpu_s = publish(telemetry, events)
        is_settled = telemetry.flush(_SETTLED_WITHIN_S)
        wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
        stats = telemetry.stats()
    sent = stats.sent - _WARM_UP
    wrong = "" if is_settled and sent == events else f"{sent} of {events} events sent: {stats}"
    return {
        "events_per_s": round(events / wall_s),
        "call_cpu_us": round(calls_cpu_s / events * 1e6, 2),
        "process_cpu_us_per_event": round(cpu_s / events * 1e6, 2),
        "wrong": wrong,
    }


def publish(telemetry: Telemetry, events: int) -> float:
    """CPU seconds of the calls, without the waiting for room."""
    cpu_s = 0.0
    for begin in range(0, events, _AT_ONCE):
        while telemetry.stats().queued > _QUEUED_AT_MOST:
            time.sleep(0.001)
        began_s = time.thread_time()
        for number in range(begin, begin + _AT_ONCE):
            telemetry.menu_generated(
                recipe_count=5,
                restrictions=["vegan", "gluten-free"],
                generation_time_ms=1240.5,
                outcome="full",
                provider="ollama",
                user_id=f"u-{number % 1_000}",
            )
        cpu_s += time.thread_time() - began_s
    return cpu_s


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))  # noqa: T201
