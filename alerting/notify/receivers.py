"""The receivers of routes.yaml with their settings: what reaches each, and what is missing for it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from pydantic import SecretStr

from alerting.config.load import AlertingConfig
from alerting.config.receivers import ReceiverConfig
from alerting.notify import any_service
from alerting.notify.any_service import AppriseReceiver
from alerting.notify.mail import MailReceiver, mail_server
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.plan import failover_routes
from alerting.notify.receiver import LogReceiver, Receiver
from alerting.notify.slack import SlackReceiver
from alerting.notify.slack_bot import WEB_API, SlackBot
from alerting.notify.ticket import TicketReceiver
from alerting.notify.webhook import WebhookReceiver
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.settings import Receiver as ReceiverSettings
from pipeline.runtime.settings import Settings

#: https://docs.slack.dev/reference/objects/conversation-object: chat.update and conversations.history take no names.
_CHANNEL_ID: Final = re.compile(r"[CGD][A-Z0-9]{8,}")
#: Settings beyond URL that a kind reads.
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "slack": frozenset({"token", "channel"}),
    "pagerduty": frozenset({"routing_key"}),
    "email": frozenset({"sender", "recipients"}),
    "ticket": frozenset({"token"}),
    "webhook": frozenset({"token"}),
    "apprise": frozenset(),
}


def make_receivers(
    settings: Settings, config: AlertingConfig, session: aiohttp.ClientSession, may_send: Callable[[], Awaitable[None]]
) -> dict[str, Receiver]:
    """Every receiver of routes.yaml, by name; `check_settings` has looked at them. `may_send` is asked as in `line.Desk`."""
    return {name: _make(kind_of(config, name), settings.receiver(name), session, may_send) for name in config.receivers}


def routes_of(settings: Settings, config: AlertingConfig) -> dict[str, tuple[str, ...]]:
    """For each receiver, itself and who stands in for it. One that is only written to the log stands in for nobody."""
    routes = failover_routes({name: receiver.failover for name, receiver in config.receivers.items()})
    return {
        name: (name, *(one for one in route[1:] if has_address(kind_of(config, one), settings.receiver(one))))
        for name, route in routes.items()
    }


def check_settings(settings: Settings, config: AlertingConfig) -> None:
    """Raise ConfigurationError for settings of receivers that do not exist or cannot work; the line names the setting, never its value."""
    known = {name.replace("-", "_").lower(): receiver for name, receiver in config.receivers.items()}
    for name, receiver in settings.receivers.items():
        prefix = f"TELEMETRY_RECEIVERS__{name.upper()}"
        if name not in known:
            raise ConfigurationError(f"{prefix}: there is no such receiver; routes.yaml has {', '.join(config.receivers)}")
        _check(prefix, known[name], receiver)


def kind_of(config: AlertingConfig, name: str) -> str:
    return config.receivers[name].kind


def has_address(kind: str, settings: ReceiverSettings) -> bool:
    """Whether its notifications leave this machine."""
    return settings.url is not None or (kind == "slack" and settings.token is not None)


def _make(kind: str, settings: ReceiverSettings, session: aiohttp.ClientSession, may_send: Callable[[], Awaitable[None]]) -> Receiver:
    made: Receiver = LogReceiver()
    match kind, settings:
        case "slack", ReceiverSettings(token=SecretStr() as token, channel=str(channel)):
            made = SlackBot(session, settings.url or SecretStr(WEB_API), token, channel, may_send)
        case "slack", ReceiverSettings(url=SecretStr() as url):
            made = SlackReceiver(session, url)
        case "pagerduty", ReceiverSettings(url=SecretStr() as url, routing_key=SecretStr() as routing_key):
            made = PagerDutyReceiver(session, url, routing_key)
        case "email", ReceiverSettings(url=SecretStr() as url, sender=str(sender)):
            made = MailReceiver(mail_server(url.get_secret_value()), sender, settings.recipients)
        case "ticket", ReceiverSettings(url=SecretStr() as url):
            made = TicketReceiver(session, url, settings.token)
        case "webhook", ReceiverSettings(url=SecretStr() as url):
            made = WebhookReceiver(session, url, settings.token)
        case "apprise", ReceiverSettings(url=SecretStr() as url):
            made = AppriseReceiver(url)
    return made


def _check(prefix: str, config: ReceiverConfig, settings: ReceiverSettings) -> None:
    _check_fields(prefix, config.kind, settings)
    if not has_address(config.kind, settings):
        return
    wanted = {"pagerduty": ("routing_key",), "email": ("sender", "recipients")}.get(config.kind, ())
    for field in wanted:
        if not getattr(settings, field):
            raise ConfigurationError(f"{prefix}__{field.upper()} is not set, though {prefix}__URL is")
    if config.kind == "slack":
        _check_slack(prefix, settings)
    if config.kind == "email" and settings.url is not None:
        _check_address(f"{prefix}__URL", settings.url, mail_server)
    if config.kind == "apprise" and settings.url is not None:
        if not any_service.is_installed():
            raise ConfigurationError(f"{prefix}__URL: apprise is not installed; install the extra: nutricoach-telemetry[apprise]")
        _check_address(f"{prefix}__URL", settings.url, any_service.check_address)


def _check_fields(prefix: str, kind: str, settings: ReceiverSettings) -> None:
    for field in settings.model_fields_set - _FIELDS[kind] - {"url"}:
        raise ConfigurationError(f"{prefix}__{field.upper()} is nothing that a receiver of kind {kind} reads")


def _check_slack(prefix: str, settings: ReceiverSettings) -> None:
    if (settings.token is None) != (settings.channel is None):
        missing, there = ("TOKEN", "CHANNEL") if settings.token is None else ("CHANNEL", "TOKEN")
        raise ConfigurationError(f"{prefix}__{missing} is not set, though {prefix}__{there} is")
    if settings.channel is not None and not _CHANNEL_ID.fullmatch(settings.channel):
        raise ConfigurationError(f"{prefix}__CHANNEL is the channel's id, as C0123456789 at the end of its details, not its name")


def _check_address(setting: str, url: SecretStr, read: Callable[[str], object]) -> None:
    try:
        read(url.get_secret_value())
    except ValueError as error:
        raise ConfigurationError(f"{setting}: {error}") from None
