"""`make bench-alert`: full outages at 1,000 events/s, from the first failed menu to the page at the Slack receiver.

Everything is measured outside of our processes: t0 by the generator just before it sends the first failed menu, t1 by the receiver
when the request reaches it. Each incident must be one page and one resolution. Results go to build/bench-alert.json.

    BENCH_INCIDENTS=20 BENCH_EVENTS_PER_S=1000 python -m tests.bench.alert_latency
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.whole import whole_stack
from tests.waiting import wait_until

#: A resolution comes when the failed menus have left the window for 30 s; then nothing of the incident is left, and a moment is enough.
QUIET_S = 5.0


@contextmanager
def receiver(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A receiver process; yields its address and the file it records to."""
    record = folder / f"{name}.jsonl"
    command = [sys.executable, "-m", f"tests.receivers.{name}", "--record", str(record)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1], record
        finally:
            process.terminate()


def receivers_at(slack_url: str, pagerduty_url: str) -> dict[str, str]:
    """Settings: who is told of a critical incident, there."""
    return {
        "TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL": f"{slack_url}/critical",
        "TELEMETRY_RECEIVERS__DEV_TEAM__URL": f"{slack_url}/dev-team",
        "TELEMETRY_RECEIVERS__PAGERDUTY__URL": f"{pagerduty_url}/v2/enqueue",
        "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY": "0123456789abcdef0123456789abcdef",
    }


def pages(record: Path, word: str) -> list[dict[str, Any]]:
    """Requests at the critical channel whose text says that the rule `word` (fires, is resolved)."""
    if not record.exists():
        return []
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    begins = f"CRITICAL: Menu Generation Critical {word}"
    return [line for line in lines if line["path"] == "/critical" and line["body"]["text"].startswith(begins)]


def nth_page(record: Path, word: str, number: int, within_s: float) -> dict[str, Any]:
    """The page of that number (from 0), waited for."""
    page: dict[str, Any] = wait_until(lambda: pages(record, word)[number:], within_s, f"{word!r} number {number + 1}")[0]
    return page


def incidents(count: int, per_s: int, gateway: str, record: Path) -> list[float]:
    """Seconds from first failure to page, one per incident; ends the program when an incident is paged or resolved twice or never."""
    latencies = []
    chance = random.Random(3)
    command = [sys.executable, "-m", "tests.bench.outage_generator", gateway, str(per_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None

        def order(text: str) -> dict[str, Any]:
            print(text, file=generator.stdin, flush=True)
            answer: dict[str, Any] = json.loads(generator.stdout.readline())  # type: ignore[union-attr]
            return answer

        time.sleep(20)
        for number in range(count):
            time.sleep(chance.uniform(0, 10))  # anywhere in a pane, and between two flushes
            failing_since_ms = order("fail")["failing_since_ms"]
            page = nth_page(record, "fires", number, 60)
            order("heal")
            latencies.append((page["received_at_ms"] - failing_since_ms) / 1000)
            say(f"incident {number + 1:>2}: {latencies[-1]:.2f} s")
            nth_page(record, "is resolved", number, 180)
            time.sleep(QUIET_S)
            fired, resolved = len(pages(record, "fires")), len(pages(record, "is resolved"))
            if (fired, resolved) != (number + 1, number + 1):
                raise SystemExit(f"{fired} pages and {resolved} resolutions for {number + 1} incidents")
        print("stop", file=generator.stdin, flush=True)
    return latencies


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def main() -> None:
    count, per_s = int(os.environ.get("BENCH_INCIDENTS", "20")), int(os.environ.get("BENCH_EVENTS_PER_S", "1000"))
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        slack_url, record = opened.enter_context(receiver("slack", folder))
        pagerduty_url, _ = opened.enter_context(receiver("pagerduty", folder))
        status = opened.enter_context(whole_stack(folder, "--workers", "2", env=receivers_at(slack_url, pagerduty_url)))
        latencies = sorted(incidents(count, per_s, status["gateway"], record))
    p99 = latencies[-(-99 * len(latencies) // 100) - 1]
    result = {"incidents": len(latencies), "events_per_s": per_s, "p50_s": latencies[len(latencies) // 2], "p99_s": p99, "all_s": latencies}
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench-alert.json").write_text(json.dumps(result, indent=1) + "\n")
    say(f"first failed menu to Slack: p50 {result['p50_s']:.2f} s, p99 {p99:.2f} s")
    say(f"{len(latencies)} incidents, one page and one resolution each")


if __name__ == "__main__":
    main()
