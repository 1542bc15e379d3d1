from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.config.load import AlertingConfig, load_config
from alerting.config.receivers import ReceiverConfig
from alerting.notify.any_service import AppriseReceiver
from alerting.notify.mail import MailReceiver
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.receiver import LogReceiver
from alerting.notify.receivers import check_settings, make_receivers, routes_of
from alerting.notify.slack import SlackReceiver
from alerting.notify.slack_bot import SlackBot
from alerting.notify.ticket import TicketReceiver
from alerting.notify.webhook import WebhookReceiver
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.settings import Receiver, Settings, load_settings

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # which apprise imports

URL = SecretStr("https://hooks.example/s3cret")
KEY = SecretStr("0123456789abcdef0123456789abcdef")
TOKEN = SecretStr("xoxb-s3cret")
MAIL = SecretStr("smtp://user:s3cret@127.0.0.1:2525")


@pytest.fixture(scope="module")
def config() -> AlertingConfig:
    """The shipped one, with one receiver more."""
    shipped = load_config()
    return replace(shipped, receivers={**shipped.receivers, "anything": ReceiverConfig(kind="apprise")})


async def test_a_receiver_is_reached_as_routes_say_or_written_to_the_log_without_an_address(config: AlertingConfig) -> None:
    """`-` in a name is `_` in its setting; Slack is a bot when it has a token and a channel."""
    settings = Settings(
        receivers={
            "slack_critical": Receiver(url=URL),
            "slack_ops": Receiver(token=TOKEN, channel="C0123456789"),
            "pagerduty": Receiver(url=URL, routing_key=KEY),
            "email_team": Receiver(url=MAIL, sender="t@n.example", recipients=["a@n.example"]),
            "linear_tickets": Receiver(url=URL),
            "watchdog": Receiver(url=URL, token=TOKEN),
            "anything": Receiver(url=SecretStr("json://127.0.0.1:1/s3cret")),
        }
    )
    check_settings(settings, config)
    async with aiohttp.ClientSession() as session:
        kinds = {name: type(receiver) for name, receiver in make_receivers(settings, config, session, never).items()}
    assert kinds == dict.fromkeys(config.receivers, LogReceiver) | {
        "slack-critical": SlackReceiver,
        "slack-ops": SlackBot,
        "pagerduty": PagerDutyReceiver,
        "email-team": MailReceiver,
        "linear-tickets": TicketReceiver,
        "watchdog": WebhookReceiver,
        "anything": AppriseReceiver,
    }


async def never() -> None:
    raise AssertionError("nothing is sent")


def test_who_is_only_written_to_the_log_stands_in_for_nobody(config: AlertingConfig) -> None:
    """A page that PagerDuty refuses must not end in a log that nobody reads while Slack could be told."""
    assert config.receivers["pagerduty"].failover == ("slack-critical", "dev-team")
    settings = Settings(receivers={"dev_team": Receiver(token=TOKEN, channel="C0123456789")})
    assert routes_of(settings, config)["pagerduty"] == ("pagerduty", "dev-team")
    assert routes_of(Settings(), config)["pagerduty"] == ("pagerduty",)


@pytest.mark.parametrize(
    ("name", "receiver", "says"),
    [
        (
            "slack_critcal",
            Receiver(url=URL),
            "TELEMETRY_RECEIVERS__SLACK_CRITCAL: there is no such receiver; routes.yaml has slack-critical",
        ),
        (
            "pagerduty",
            Receiver(url=URL),
            "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY is not set, though TELEMETRY_RECEIVERS__PAGERDUTY__URL",
        ),
        (
            "slack_ops",
            Receiver(token=TOKEN),
            "TELEMETRY_RECEIVERS__SLACK_OPS__CHANNEL is not set, though TELEMETRY_RECEIVERS__SLACK_OPS__TOKEN",
        ),
        ("slack_ops", Receiver(url=URL, channel="C0123456789"), "TELEMETRY_RECEIVERS__SLACK_OPS__TOKEN is not set"),
        ("slack_ops", Receiver(token=TOKEN, channel="#ops"), "TELEMETRY_RECEIVERS__SLACK_OPS__CHANNEL is the channel's id"),
        ("email_team", Receiver(url=MAIL, sender="t@n.example"), "TELEMETRY_RECEIVERS__EMAIL_TEAM__RECIPIENTS is not set"),
        (
            "email_team",
            Receiver(url=URL, sender="a", recipients=["b"]),
            "TELEMETRY_RECEIVERS__EMAIL_TEAM__URL: the address of a mail server",
        ),
        ("linear_tickets", Receiver(url=URL, routing_key=KEY), "TELEMETRY_RECEIVERS__LINEAR_TICKETS__ROUTING_KEY is nothing that"),
        ("anything", Receiver(url=SecretStr("nosuch://s3cret")), "TELEMETRY_RECEIVERS__ANYTHING__URL: not an address that Apprise knows"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_their_secrets(
    config: AlertingConfig, name: str, receiver: Receiver, says: str
) -> None:
    """The line names the setting, never its value."""
    with pytest.raises(ConfigurationError) as refused:
        check_settings(Settings(receivers={name: receiver}), config)
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recipients are separated by commas."""
    wanted: dict[str, Any] = {"URL": "smtp://m", "SENDER": "t@n.example", "RECIPIENTS": "a@n.example, b@n.example"}
    for field, value in wanted.items():
        monkeypatch.setenv(f"TELEMETRY_RECEIVERS__EMAIL_TEAM__{field}", value)
    receiver = load_settings(tmp_path / ".env").receiver("email-team")
    assert (receiver.sender, receiver.recipients) == ("t@n.example", ["a@n.example", "b@n.example"])
