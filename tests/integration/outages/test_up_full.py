"""`telemetry up` where there is no room: one line, exit 1, nothing left running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.long

#: The limit must hold from the first byte on: no file may have any.
WITHOUT_ROOM = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_up_without_room_is_one_line(tmp_path: Path, detach: list[str]) -> None:
    """The directory that cannot be written, why, and what to do; the same for a stack in the background."""
    data_dir = tmp_path / "data"
    up = [sys.executable, "-m", "pipeline.cli.main", "up", "--ports", "auto", "--data-dir", str(data_dir), *detach]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", WITHOUT_ROOM, *up], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 1
    (line,) = (done.stderr or done.stdout).splitlines()
    assert line == f"telemetry: {data_dir} cannot be written: File too large; free some space, or name another place with --data-dir"
    assert not [p for p in psutil.process_iter(["cmdline"]) if any(str(data_dir) in word for word in p.info["cmdline"] or [])]
