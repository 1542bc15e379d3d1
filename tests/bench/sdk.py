"""What publishing costs a service: CPU of a call, CPU of an event with its sending, and how many a gateway on a core of its own takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from tests.bench.bench import Bench, Row
from tests.bench.gateway_load import start
from tests.bench.pinning import pinned_to
from tests.bench.rig import ROOT

_EVENTS: Final = 100_000
_WITHIN_S: Final = 300.0


def section(bench: Bench) -> dict[str, list[Row]]:
    """`sdk`: a row per round; the publisher shares the cores that broker and engine have."""
    bench.rig.reset()
    gateway = start(bench.rig)
    try:
        return {"sdk": [_row(bench, gateway.url, number) for number in range(1, bench.rounds + 1)]}
    finally:
        gateway.stop()


def _row(bench: Bench, url: str, number: int) -> Row:
    bench.say(f"sdk: {_EVENTS:,} events, round {number}")
    command = [sys.executable, "-m", "tests.bench.sdk_load", url, str(_EVENTS)]
    with pinned_to(bench.rig.cores.rest):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=True, cwd=ROOT)
    figures: Row = json.loads(answer.stdout)
    if wrong := figures.pop("wrong"):
        raise ValueError(wrong)
    return {"round": number, "events": _EVENTS} | figures
