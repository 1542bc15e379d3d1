"""Opens chDB on a data directory: one process at a time, in UTC, with a configuration of its own."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from pipeline.runtime.errors import Stop

MIN_FREE_BYTES = 64 << 20
_CONFIGURATION = """<clickhouse>
    <mark_cache_size>134217728</mark_cache_size>
    <primary_index_cache_size>134217728</primary_index_cache_size>
    <index_mark_cache_size>67108864</index_mark_cache_size>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
</clickhouse>
"""


def open_directory(path: Path) -> tuple[str, Any]:
    """The address of further connections, and the first one, which keeps the engine open. `path` is absolute.

    Raises Stop with one line: the directory is in use (by which process), cannot be written, is full, or there is no chDB.
    """
    # chDB drops the zone of DateTime('UTC') in Native output; only a process in UTC gives the right instants. After the import is too late.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_second_process(path)
        if shutil.disk_usage(path).free < MIN_FREE_BYTES:
            raise Stop(f"less than {MIN_FREE_BYTES >> 20} MiB are free for {path}: free some space, or choose another --path")
        (path / "engine.xml").write_text(_CONFIGURATION)
        for name in ("default.sql", "default.sql.tmp"):  # the empty database of the last start, which is made anew
            (path / "metadata" / name).unlink(missing_ok=True)
        os.chdir(path)  # the import of chDB loads a config.xml that lies where the process stands
    except OSError as error:
        raise Stop(f"cannot write to {path}: {os.strerror(error.errno or 0)}; free some space or choose another --path") from None
    try:
        import chdb  # noqa: PLC0415  forks and slow starts come from importing it where it is not used

        address = f"{path}?config-file={path / 'engine.xml'}"
        return address, chdb.connect(address)
    except ImportError:
        raise Stop("the embedded ClickHouse needs chdb-core (not for Windows or musl): install `.[embedded]`, or use a server") from None
    except Exception as error:
        raise Stop(_cannot_open(path, str(error))) from None


def _refuse_second_process(path: Path) -> None:
    """The engine's own lock is found before its library, half a gigabyte, is loaded."""
    status = path / "status"
    if not status.exists():
        return
    with status.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(_cannot_open(path, "Cannot lock file")) from None


def _cannot_open(path: Path, text: str) -> str:
    if "Cannot lock file" in text or "already running" in text:
        return f"{path} is in use by another engine{_holder(path)}: stop that one, or choose another --path"
    return f"cannot open the engine at {path}: {text.splitlines()[0] if text else 'unknown error'}"


def _holder(path: Path) -> str:
    try:
        found = re.search(r"PID: (\d+)", (path / "status").read_text())
    except OSError:
        return ""
    return f" (process {found.group(1)})" if found else ""
