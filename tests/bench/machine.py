"""The machine the figures were taken on, in words."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psutil

from pipeline.embedded.java import find_java


def describe() -> dict[str, str | int]:
    """CPU model, cores, memory, and the versions that matter."""
    java = find_java()
    said = subprocess.run([java.executable, "-version"], capture_output=True, text=True, check=True).stderr.splitlines()
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "ram_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "java": said[0],
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    details = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("cpu family", "model\t", "stepping"))][:3]
    return f"{names[0] if names else platform.machine()} (family {', model '.join(details[:2])})" if details else platform.machine()
