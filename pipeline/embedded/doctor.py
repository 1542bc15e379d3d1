"""Whether this machine can run the embedded stack, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.embedded.java import find_java
from pipeline.embedded.kafka_jars import class_path
from pipeline.embedded.ports import refuse_taken
from pipeline.embedded.stack_state import running_state
from pipeline.embedded.up import UpOptions, choose_ports, refuse_full_disk
from pipeline.runtime.errors import Stop, TelemetryError
from pipeline.runtime.settings import load_settings

MINIMUM_PYTHON = (3, 11)
# Seen after a day of use: broker 350 MiB, engine 400 MiB, six Python processes of about 100 MiB.
MINIMUM_MEMORY_BYTES = 1536 << 20

_IMPORT_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `detail` is what was found, or the problem and what to do about it."""

    name: str
    ok: bool
    detail: str


def examine(data_dir: Path) -> Iterator[Check]:
    """All checks, each as soon as it is done; nothing is changed."""
    questions: dict[str, Callable[[], str]] = {
        "python": _python,
        "settings": _settings,
        "java": _java,
        "kafka": _kafka,
        "clickhouse": _clickhouse,
        "data directory": lambda: _data_dir(data_dir),
        "disk": lambda: _disk(data_dir),
        "memory": _memory,
        "ports": lambda: _ports(data_dir),
    }
    for name, ask in questions.items():
        try:
            yield Check(name, True, ask())
        except TelemetryError as problem:
            yield Check(name, False, str(problem))


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MINIMUM_PYTHON:
        raise Stop(f"this is Python {version}; 3.11 or later is needed: remove .venv and run `make setup PYTHON=python3.11`")
    return f"{version} ({sys.executable})"


def _settings() -> str:
    load_settings()
    return "every TELEMETRY_ name is known and its value fits"


def _java() -> str:
    java = find_java()
    return f"{java.version} from {java.origin} ({java.executable})"


def _kafka() -> str:
    jars = class_path().split(os.pathsep)
    return f"{Path(jars[0]).parent}" + ("" if os.environ.get("KAFKA_HOME") else f", {len(jars)} jars as locked")


def _clickhouse() -> str:
    # In a process of its own: the engine is 500 MB of machine code, and some platforms cannot load it.
    code = "import chdb; print(chdb.engine_version)"
    try:
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=_IMPORT_WITHIN_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise Stop(f"the engine (package chdb-core) cannot be loaded: {said}; run `make setup`, or use a ClickHouse server") from None
    return f"engine {answer.stdout.strip()}"


def _data_dir(data_dir: Path) -> str:
    place = _existing(data_dir)
    if not os.access(place, os.W_OK | os.X_OK):
        raise Stop(f"{place} is not writable for you; name another place with --data-dir")
    return str(data_dir) + ("" if place == data_dir else " (made by `telemetry up`)")


def _disk(data_dir: Path) -> str:
    free_bytes = shutil.disk_usage(_existing(data_dir)).free
    refuse_full_disk(data_dir, free_bytes)
    return f"{free_bytes / (1 << 30):.1f} GiB free"


def _memory() -> str:
    available_bytes = psutil.virtual_memory().available
    if available_bytes < MINIMUM_MEMORY_BYTES:
        needed = f"the stack takes about {MINIMUM_MEMORY_BYTES >> 20}"
        raise Stop(f"{available_bytes >> 20} MiB are available and {needed}; end other programs")
    return f"{available_bytes / (1 << 30):.1f} GiB available"


def _ports(data_dir: Path) -> str:
    if running_state(data_dir) is not None:
        return "held by the stack that runs here"
    refuse_taken(choose_ports(UpOptions(data_dir), load_settings()))
    return "free"


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())
