from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from tests.chaos.faults import Order, Point

# Reaches one effect after the other, for ever, and says so.
PROCESS = """
from tests.chaos.probe import Probe
probe = Probe.from_environment("worker")
print("ready", flush=True)
while True:
    for effect in ("events_raw", "panes_raw"):
        probe.trace.say("inserting", table=effect)
        probe.reached("after", effect)
"""


def started(folder: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "CHAOS_TRACES": str(folder), "CHAOS_ORDER": str(folder / "order")}
    process = subprocess.Popen([sys.executable, "-c", PROCESS], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def give(folder: Path, order: Order) -> None:
    (folder / "new").write_text(str(order), "utf-8")
    (folder / "new").rename(folder / "order")


def test_a_process_kills_itself_at_its_effect_and_leaves_a_whole_trace(tmp_path: Path) -> None:
    """The last lines tell what it did before the third time from the order on."""
    with started(tmp_path) as process:
        give(tmp_path, Order("kill", Point("after", "panes_raw"), 3))
        assert process.wait(20) == -signal.SIGKILL
    (trace,) = tmp_path.glob(f"worker-{process.pid}.ndjson")
    steps = [json.loads(line) for line in trace.read_text("utf-8").splitlines()]
    assert [step.get("table", step.get("order")) for step in steps[-2:]] == ["panes_raw", "kill after panes_raw 3"]
    assert all(a["t"] <= b["t"] for a, b in pairwise(steps))
    assert not (tmp_path / "order").exists()


def test_a_process_freezes_itself_once_and_goes_on(tmp_path: Path) -> None:
    """A frozen process is stopped, not gone; an order is obeyed once."""
    with started(tmp_path) as process:
        try:
            for _ in range(2):
                give(tmp_path, Order("freeze", Point("after", "events_raw")))
                pid, status = os.waitpid(process.pid, os.WUNTRACED)
                assert (pid, os.WIFSTOPPED(status)) == (process.pid, True)
                process.send_signal(signal.SIGCONT)
        finally:
            process.kill()
