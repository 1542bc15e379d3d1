from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.notify.http import classify, retry_after_s
from alerting.notify.receiver import LogReceiver
from tests.contract.notify.incidents import notification

NOW = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [((200, 202), "delivered"), ((301, 400, 403, 404, 410), "rejected"), ((408, 429, 500, 502, 503, 504), "retry")],
)
def test_the_status_says_whether_to_try_again(statuses: tuple[int, ...], outcome: str) -> None:
    """RFC 9110 and both vendors: 408, 429 and 5xx may pass, other refusals will not."""
    assert {classify(status, {}, "").outcome for status in statuses} == {outcome}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 0), ("30", 30), ("0", 0), ("Mon, 23 Nov 2026 10:02:00 GMT", 120), ("Mon, 23 Nov 2026 09:00:00 GMT", 0), ("soon", 0), ("-5", 0)],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    """What cannot be read, or is over, asks for nothing."""
    assert retry_after_s(value, NOW) == seconds


def test_a_refusal_is_told_in_one_clean_line() -> None:
    """The receiver's text is cut and freed of control characters."""
    attempt = classify(400, {}, "invalid\r\n\x1bpayload " + "x" * 1000)
    assert attempt.reason.startswith("the receiver refuses: invalid payload x")
    assert len(attempt.reason) < 250
    assert attempt.reason.isprintable()


async def test_a_receiver_without_address_writes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It counts as delivered, and says where it went."""
    attempt = await LogReceiver().send(notification())
    assert (attempt.outcome, attempt.http_status) == ("delivered", None)
    assert "no address" in attempt.reason
