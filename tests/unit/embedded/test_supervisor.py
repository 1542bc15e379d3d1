from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.embedded.plan import Addresses, Plan, RoleSpec
from pipeline.embedded.role_process import RoleProcess
from pipeline.embedded.stack_state import Phase
from pipeline.embedded.supervisor import Supervisor


@pytest.mark.parametrize(("free_mib", "says"), [(3, "; 3 MiB are free on the disk of {}: free some, and it goes on by itself"), (500, "")])
def test_a_process_that_ends_on_a_full_disk_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, says: str
) -> None:
    """A broker without room ends with a stack of Java's: the line says how much is free, where, and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free_mib << 20))
    told: list[str] = []
    supervisor = Supervisor(tmp_path, Plan(Addresses("k", "c", "g", "o"), (), (), ()), told.append)
    supervisor._phase = Phase.RUNNING
    try:
        role = RoleProcess(RoleSpec("embedded-kafka", ("true",), {}, "kafka://127.0.0.1:1"), tmp_path, supervisor)
        role.exit_code, role.ends_in_a_row = 1, 1
        (tmp_path / "logs").mkdir()
        role.log_file.write_text("ERROR Shutdown broker because all log dirs in /data/log have failed\n")
        supervisor.ended(role)
    finally:
        supervisor._sentinel.close()
    last = "its last line: ERROR Shutdown broker because all log dirs in /data/log have failed"
    assert told == [f"embedded-kafka ended with exit code 1, restarted in 1 s; {last}{says.format(tmp_path)}"]
