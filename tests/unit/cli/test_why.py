from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.why import Facts, Judged
from pipeline.cli.why import moment, why
from pipeline.runtime.errors import ConfigurationError

NOW = datetime(2026, 11, 24, 3, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "day", "begins", "ends"),
    [
        ("02:05", None, "2026-11-24T02:05:00", "2026-11-24T02:05:59.999"),
        ("14:05", None, "2026-11-23T14:05:00", "2026-11-23T14:05:59.999"),
        ("02:05:30", None, "2026-11-24T02:05:30", "2026-11-24T02:05:30.999"),
        ("02:05:00", None, "2026-11-24T02:05:00", "2026-11-24T02:05:00.999"),
        ("14:05", "2026-11-20", "2026-11-20T14:05:00", "2026-11-20T14:05:59.999"),
        ("2026-11-20T14:05", None, "2026-11-20T14:05:00", "2026-11-20T14:05:59.999"),
        ("2026-11-20T14:05Z", None, "2026-11-20T14:05:00", "2026-11-20T14:05:59.999"),
        ("2026-11-20T14:05+01:00", None, "2026-11-20T13:05:00", "2026-11-20T13:05:59.999"),
        ("03:00", None, "2026-11-24T03:00:00", "2026-11-24T03:00:10"),
    ],
)
def test_a_time_is_a_minute_or_a_second_that_is_past(at: str, day: str | None, begins: str, ends: str) -> None:
    """A minute without seconds, UTC without a zone, yesterday when it were to come today, no further than now."""
    assert moment(at, day, NOW) == (datetime.fromisoformat(f"{begins}+00:00"), datetime.fromisoformat(f"{ends}+00:00"))


@pytest.mark.parametrize(
    ("at", "day", "says"),
    [
        ("noon", None, "write 14:05, or 2026-11-23T14:05Z"),
        ("14:05", "tomorrow", "write 14:05, or 2026-11-23T14:05Z"),
        ("14:05", "2026-11-24", "still to come"),
        ("2026-12-01T00:00Z", None, "still to come"),
        ("2026-11-20T14:05", "2026-11-20", "--date is for an --at without a day"),
    ],
)
def test_what_is_no_time_or_to_come_is_wrong_usage(at: str, day: str | None, says: str) -> None:
    """One line says what to write."""
    with pytest.raises(ConfigurationError, match=says):
        moment(at, day, NOW)


def test_what_senders_send_does_not_command_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A label with an escape sequence, or a line end, in it is shown, and nothing is made of it."""

    async def read(*_: object) -> Facts:
        judged = Judged(NOW, "false", "no\x1b[2J", "", "", {"page": "/\nNobody"}, "inactive", {})
        return Facts("Poor Web Vitals", NOW, minute=judged)

    monkeypatch.setattr("pipeline.cli.why._read", read)
    assert why(at="02:05", rule="Poor Web Vitals") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\n") == 2
