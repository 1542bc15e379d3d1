from __future__ import annotations

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.config.load import load_config
from alerting.notifier import check_settings, make_receivers
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.receiver import LogReceiver
from alerting.notify.slack import SlackReceiver
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.settings import Receiver, Settings

URL = SecretStr("https://hooks.example/s3cret")
KEY = SecretStr("0123456789abcdef0123456789abcdef")


async def test_a_receiver_is_reached_as_routes_say_or_written_to_the_log_without_an_address() -> None:
    """`-` in a name is `_` in its setting."""
    settings = Settings(receivers={"slack_critical": Receiver(url=URL), "pagerduty": Receiver(url=URL, routing_key=KEY)})
    config = load_config()
    check_settings(settings, config)
    async with aiohttp.ClientSession() as session:
        receivers = make_receivers(settings, config, session)
    kinds = {name: type(receiver) for name, receiver in receivers.items()}
    assert (kinds["slack-critical"], kinds["pagerduty"], kinds["ceo"]) == (SlackReceiver, PagerDutyReceiver, LogReceiver)


@pytest.mark.parametrize(
    ("receivers", "says"),
    [
        (
            {"slack_critcal": Receiver(url=URL)},
            "TELEMETRY_RECEIVERS__SLACK_CRITCAL: there is no such receiver; routes.yaml has slack-critical",
        ),
        ({"pagerduty": Receiver(url=URL)}, "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY is not set"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_their_secrets(receivers: dict[str, Receiver], says: str) -> None:
    """The line names the setting, never its value."""
    with pytest.raises(ConfigurationError) as refused:
        check_settings(Settings(receivers=receivers), load_config())
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)
