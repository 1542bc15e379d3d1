"""`make recorded-hour`: an hour of a live stack with an outage every ten minutes, then a backtest over it, row for row beside the ledger.

The rows are those of kind verdict and minute on `decisions.v1`; of rules that the time of day judges, what depends on when it was looked
at is left out. Needs an hour and three minutes; the result goes to build/recorded-hour.json.

    RECORDED_MINUTES=60 RECORDED_EVENTS_PER_S=40 python -m tests.bench.recorded_hour
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from alerting.backtest import backtest
from alerting.config.load import load_config
from schemas.decision import Decision
from schemas.timestamps import isoformat_of
from tests.bench.whole import whole_stack
from tests.integration.alerting.ledger import LEDGER, essence
from tests.integration.alerting.roles import read_topic

SCREEN: Final = Console(stderr=True)
#: Every partition has flushed and every rule has been judged once.
_SETTLED_S: Final = 60
_OUTAGE_EVERY_S: Final = 600
_OUTAGE_S: Final = 60
#: What is said of windows at the edges of the period may have been said before or after it.
_EDGE_MS: Final = 60_000


def live(gateway: str, per_s: int, seconds: int) -> tuple[int, int]:
    """Traffic with outages; from when to when the ledger is to be compared, ms."""
    command = [sys.executable, "-m", "tests.bench.outage_generator", gateway, str(per_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as generator:
        assert generator.stdin is not None
        time.sleep(_SETTLED_S)
        began_ms = time.time_ns() // 1_000_000
        for second in range(seconds):
            order = {_OUTAGE_EVERY_S // 2: "fail", _OUTAGE_EVERY_S // 2 + _OUTAGE_S: "heal"}.get(second % _OUTAGE_EVERY_S)
            if order is not None:
                SCREEN.print(f"minute {second // 60}: {order}")
                generator.stdin.write(order + "\n")
                generator.stdin.flush()
            time.sleep(max(0.0, began_ms / 1000 + second + 1 - time.time()))
        ended_ms = time.time_ns() // 1_000_000
        generator.stdin.write("stop\n")
        generator.stdin.flush()
    return began_ms, ended_ms


async def compare(broker: str, began_ms: int, ended_ms: int) -> dict[str, Any]:
    """Rows of the ledger beside rows of a backtest: how many, how many are only in one, and up to ten of these."""
    found = await backtest(broker, [("shipped", load_config())], began_ms, ended_ms, lambda _: None)
    said = [output.model_dump(mode="json") for _, output in found.replays[0].said if isinstance(output, Decision)]
    period = (isoformat_of(began_ms + _EDGE_MS), isoformat_of(ended_ms - _EDGE_MS))
    replayed, recorded = (_rows(rows, period) for rows in (said, await read_topic(broker, "decisions.v1")))
    only_live, only_replayed = recorded - replayed, replayed - recorded
    return {
        "flushes": found.flushes,
        "readings": found.readings,
        "rows": recorded.total(),
        "rules": len({row[0] for row in recorded}),
        "only_live": only_live.total(),
        "only_replayed": only_replayed.total(),
        "examples": [list(row) for row in [*only_live, *only_replayed][:10]],
    }


def _rows(rows: Iterable[dict[str, Any]], period: tuple[str, str]) -> Counter[tuple[Any, ...]]:
    return Counter(essence(row) for row in rows if row["kind"] in LEDGER and period[0] <= row["window_to"] < period[1])


def main() -> int:
    """Exit 0 when the two have the same rows."""
    seconds, per_s = int(os.environ.get("RECORDED_MINUTES", "60")) * 60, int(os.environ.get("RECORDED_EVENTS_PER_S", "40"))
    with tempfile.TemporaryDirectory() as folder, whole_stack(Path(folder)) as status:
        began_ms, ended_ms = live(status["gateway"], per_s, seconds)
        result = asyncio.run(compare(status["kafka"], began_ms, ended_ms))
    Path("build").mkdir(exist_ok=True)
    Path("build/recorded-hour.json").write_text(json.dumps(result, indent=1))
    SCREEN.print_json(json.dumps(result))
    return 0 if result["only_live"] == result["only_replayed"] == 0 and result["rows"] else 1


if __name__ == "__main__":
    sys.exit(main())
