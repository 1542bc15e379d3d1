from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from pipeline.embedded.writer import FILE_NAME, Writer, keep_writer, stored_writer
from pipeline.runtime.errors import ConfigurationError


def test_random_writer_is_kept(tmp_path: Path) -> None:
    """Without settings a password is made up once, and found again by the next start and by other commands."""
    first = keep_writer(tmp_path, None, "")
    assert keep_writer(tmp_path, None, "") == first == stored_writer(tmp_path)
    assert len(first.password) >= 32


def test_two_directories_have_different_passwords(tmp_path: Path) -> None:
    """A password that is made up is not the same twice."""
    (tmp_path / "other").mkdir()
    assert keep_writer(tmp_path, None, "").password != keep_writer(tmp_path / "other", None, "").password


def test_settings_win_and_are_kept(tmp_path: Path) -> None:
    """The writer that the settings name takes the place of the one there was."""
    keep_writer(tmp_path, None, "")
    assert keep_writer(tmp_path, "ann", "secret") == Writer("ann", "secret") == stored_writer(tmp_path)
    assert keep_writer(tmp_path, None, "") == Writer("ann", "secret")


def test_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600, also when a readable file stood in its place."""
    (tmp_path / FILE_NAME).write_text(json.dumps({"user": "a", "password": "b"}))
    (tmp_path / FILE_NAME).chmod(0o644)
    keep_writer(tmp_path, "ann", "secret")
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(("user", "password"), [("ann", ""), (None, "secret")])
def test_half_a_writer_is_refused(tmp_path: Path, user: str | None, password: str) -> None:
    """A user without a password, or the reverse, is a mistake in the configuration that is named."""
    with pytest.raises(ConfigurationError, match="TELEMETRY_CLICKHOUSE__USER and TELEMETRY_CLICKHOUSE__PASSWORD"):
        keep_writer(tmp_path, user, password)


def test_password_is_not_in_its_representation() -> None:
    """A log line with a writer in it does not give the password away."""
    assert "secret" not in repr(Writer("ann", "secret"))
