from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

from alerting.notify.any_service import AppriseReceiver, check_address
from tests.contract.notify.incidents import notification
from tests.receivers.server import running

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # which apprise imports


async def test_apprise_reaches_what_it_knows_by_address(caplog: pytest.LogCaptureFixture) -> None:
    """Its own JSON service: title, text and kind arrive; a failure is tried again; the address stays out of the log."""
    caplog.set_level(logging.INFO)
    async with running(lambda _, body: [] if "message" in body else ["no message"], (200, "ok")) as receiver:
        address = receiver.url.replace("http://", "json://") + "/s3cret"
        service = AppriseReceiver(SecretStr(address))
        assert (await service.send(notification())).outcome == "delivered"
        receiver.misbehave({"status": 500})
        assert (await service.send(notification("resolve"))).outcome == "retry"
    body = receiver.accepted()[0]
    assert body["title"].startswith("CRITICAL: Menu Generation Critical fires")
    assert "400 / 5200" in body["message"]
    assert body["type"] == "failure"
    assert "s3cret" not in caplog.text


def test_an_address_it_does_not_know_is_refused_without_being_told() -> None:
    """The line says what is wrong, not what was written."""
    with pytest.raises(ValueError, match="not an address that Apprise knows") as refused:
        check_address("nosuchservice://s3cret")
    assert "s3cret" not in str(refused.value)
