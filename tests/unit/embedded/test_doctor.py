from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.embedded.doctor import Check, examine
from pipeline.embedded.ports import free_port


def checks(data_dir: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(data_dir)}


@pytest.fixture(autouse=True)
def _ports_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that a stack of somebody else's on this machine does not matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")


def test_one_line_for_each_thing_a_stack_needs(tmp_path: Path) -> None:
    """Everything that can keep a stack from starting is looked at, each told in one line."""
    found = checks(tmp_path)
    assert list(found) == ["python", "settings", "java", "kafka", "clickhouse", "data directory", "disk", "memory", "ports"]
    assert all(check.detail and "\n" not in check.detail for check in found.values())
    assert all(found[name].ok for name in ("python", "settings", "java", "kafka", "clickhouse", "data directory"))


def test_problem_is_a_line_and_the_other_checks_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken port and missing jars are told as `up` would tell them; nothing hides the rest."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", f"127.0.0.1:{taken}")
        found = checks(tmp_path)
    assert not found["kafka"].ok
    assert "make setup" in found["kafka"].detail
    assert not found["ports"].ok
    assert f"port {taken} (embedded-kafka)" in found["ports"].detail
    assert found["java"].ok


def test_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nothing reads is a problem of the settings."""
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SEVERS", "127.0.0.1:1")
    settings = next(check for check in examine(tmp_path) if check.name == "settings")
    assert not settings.ok
    assert "TELEMETRY_KAFKA__BOOTSTRAP_SEVERS" in settings.detail


def test_data_directory_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    """`up` makes it, and what counts is the folder above; the check itself makes nothing."""
    found = checks(tmp_path / "a" / "b")
    assert found["data directory"].ok
    assert found["disk"].ok
    assert not (tmp_path / "a").exists()
