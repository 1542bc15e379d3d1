"""`make bench`: everything, or the sections named; results in build/bench.json and on the screen.

BENCH_EVENTS=500000 BENCH_ROUNDS=3 python -m tests.bench [section …]
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.bench.bench import Bench, Section
from tests.bench.conditions import Conditions
from tests.bench.machine import describe
from tests.bench.rig import ROOT, running_rig
from tests.bench.sections import SECTIONS
from tests.bench.table import table

RESULTS: Final = ROOT / "build" / "bench.json"


def main(names: list[str]) -> None:
    """Run the sections; what one has measured is on disk before the next begins."""
    if unknown := [name for name in names if name not in SECTIONS]:
        raise SystemExit(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    event_count, rounds = _number("BENCH_EVENTS", 500_000), _number("BENCH_ROUNDS", 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))  # so that every process is ended too
    results: dict[str, Any] = _earlier() if names else {}
    results["machine"] = describe()
    _show("machine", [results["machine"]])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_rig(Path(folder)) as rig:
        bench = Bench(rig, event_count, rounds)
        for name in names or SECTIONS:
            bench.say(name)
            conditions = Conditions()
            for key, rows in _section(name)(bench).items():
                results[key] = rows
                _show(key, rows)
            results["conditions"] = results.get("conditions", {}) | {name: conditions.row()}
            _write(results)
        _show("conditions", [{"section": name} | row for name, row in results["conditions"].items()])
    print(f"\nwritten to {RESULTS.relative_to(ROOT)}")  # noqa: T201


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not (text.isdecimal() and int(text)):
        raise SystemExit(f"{name} is a whole number from 1 on, not {text!r}")
    return int(text or default)


def _section(name: str) -> Section:
    module, function = SECTIONS[name]
    section: Section = getattr(importlib.import_module(module), function)
    return section


def _earlier() -> dict[str, Any]:
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def _write(results: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}\n{table(rows)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
