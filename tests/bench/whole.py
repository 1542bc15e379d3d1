"""The whole stack as `telemetry up` starts it, for what is measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_TELEMETRY: Final = str(Path(sys.executable).parent / "telemetry")


@contextmanager
def whole_stack(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """On free ports, with `options` of `up` and `env` beside the environment, until the block ends; yields its status."""
    data_dir = ["--data-dir", str(folder / "data")]
    up = [_TELEMETRY, "up", "--ports", "auto", "--detach", *options, *data_dir]
    subprocess.run(up, env={**os.environ, **(env or {})}, check=True, stdout=sys.stderr)
    try:
        yield json.loads(subprocess.run([_TELEMETRY, "status", "--format", "json", *data_dir], capture_output=True, check=True).stdout)
    finally:
        subprocess.run([_TELEMETRY, "down", *data_dir], check=True, stdout=sys.stderr)
