from __future__ import annotations

import subprocess
import sys

from tests.bench.conditions import busy_s, own_s


def test_what_children_used_is_our_own_also_when_they_have_ended() -> None:
    """A worker that was stopped before the end of its section is no disturbance."""
    before = own_s()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    assert 0.45 <= own_s() - before < 60


def test_our_own_work_is_part_of_the_machines() -> None:
    """The machine is at least as busy as this process makes it."""
    machine, own = busy_s(), own_s()
    sum(range(10_000_000))
    assert busy_s() - machine >= (own_s() - own) - 0.05  # the kernel counts in steps of 10 ms
