"""A process whose CPU time and memory are read from outside, and which can be held still."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.embedded.readiness import is_ready
from tests.waiting import wait_until

READY_WITHIN_S = 60.0
_MIB = 1 << 20
_STOP_WITHIN_S = 20.0


class Died(Exception):
    """A process that is measured ended by itself; says how, with the end of its log."""


@dataclass(slots=True)
class Measured:
    """`url` is where a role of ours serves health and metrics, '' for others."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of all threads since the process began; in steps of 10 ms."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory now, in MiB."""
        return float(psutil.Process(self.process.pid).memory_info().rss / _MIB)

    def peak_rss_mb(self) -> float:
        """The most resident memory it ever had, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (peak_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(peak_kib) * 1024 / _MIB

    def pause(self) -> None:
        """Hold the process still where it is; connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises Died when it is not running any more."""
        if self.process.poll() is not None:
            raise Died(f"{self.log.stem} exited {self.process.returncode}:\n{self.log.read_text('utf-8', 'replace')[-2000:]}")

    def wait_until_ready(self) -> None:
        """Until its `/readyz` says so. Raises Died when it ends instead, AssertionError after READY_WITHIN_S."""

        def is_ready_now() -> bool:
            self.check()
            return is_ready(f"{self.url}/readyz")

        wait_until(is_ready_now, READY_WITHIN_S, f"{self.log.stem} is ready; its log is {self.log}")

    def stop(self) -> None:
        """Ask it to end, wait, and kill what does not."""
        if self.process.poll() is not None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
