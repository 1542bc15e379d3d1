"""The notifier: escalation events to Slack and PagerDuty. One process acts, others stand by.

    telemetry notifier                      or, the same with Faust's own command line:
    faust -A alerting.notifier worker

Intent is on `deliveries.v1` before the first attempt, every outcome after it. What has an intent and no outcome when a notifier
starts is sent again under the same key.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from mode import Service

from alerting import metrics
from alerting.config.load import AlertingConfig, configured
from alerting.config.receivers import ReceiverKind
from alerting.freeze import FreezeWatch
from alerting.loading import into, parsed
from alerting.notify.outbox import Outbox, Sending, delivery_of
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.plan import Due, Plan
from alerting.notify.receiver import LogReceiver, Receiver
from alerting.notify.slack import SlackReceiver
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.errors import ConfigurationError, RetryAfter, TelemetryError
from pipeline.runtime.health import HealthServer
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import Receiver as ReceiverSettings
from pipeline.runtime.settings import Settings, load_settings
from pipeline.runtime.shell import ShellApp, run
from pipeline.runtime.topic_tail import read_to_end
from schemas import topics
from schemas.delivery import Delivery, parse_delivery
from schemas.escalation import Escalation, parse_escalation
from schemas.timestamps import to_ms

log = structlog.get_logger(__name__)

ROLE: Final = "notifier"
GROUP_ID: Final = "nutricoach-notifier"
_ESCALATIONS: Final = TopicPartition(topics.ESCALATIONS.name, 0)
_LAST_ANSWERS_S: Final = 3.0


class Notifier(Service):
    """Acts while its `source` owns the one partition of `escalations.v1`."""

    source: ChunkSource

    def __init__(self, settings: Settings, config: AlertingConfig, clock: Clock | None = None, **service: Any) -> None:
        super().__init__(**service)
        self._settings, self._config = settings, config
        self._bootstrap_servers = settings.kafka.bootstrap_servers
        self._clock: Clock = SystemClock() if clock is None else clock
        self._plan = Plan()
        self._outbox: Outbox | None = None
        self._producer: AIOKafkaProducer | None = None
        self._session: aiohttp.ClientSession | None = None
        self._freeze = FreezeWatch(self._clock, beacon=self.beacon)

    async def on_start(self) -> None:
        await self.add_runtime_dependency(self._freeze)
        self._producer = await start_producer(self._bootstrap_servers, GROUP_ID)
        self._session = aiohttp.ClientSession()

    async def on_stop(self) -> None:
        """What is being sent gets a moment to be answered: else whoever takes over would send it again."""
        if self._outbox is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.idle(), _LAST_ANSWERS_S)
        await self._close_outbox()
        if self._session is not None:
            await self._session.close()
        if self._producer is not None:
            await stop_producer(self._producer)

    async def resume(self, resume: Resume) -> int:
        """Read what was asked for and what was done; go on with what was intended and has no outcome. Asked by the source."""
        await self._close_outbox()
        while True:
            try:
                position, unfinished = await self._load(resume)
                break
            except RetryAfter as error:
                log.warning("state cannot be read yet", error=str(error))
                await asyncio.sleep(error.seconds)
        self._freeze.thawed()
        outbox = self._open_outbox()
        for due in unfinished:
            outbox.put(self._sending(due, self._clock.now_ms()))
        log.info("state is loaded", position=position, sent_again=len(unfinished))
        return position

    async def notify(self, chunk: Chunk) -> None:
        """Queue what the events of a chunk ask for, once the intents are on Kafka; raises to have the chunk read again."""
        events = [event for record in chunk.records if (event := parsed(record, parse_escalation)) is not None]
        due = [one for event in events for one in self._plan.read(event)]
        now_ms = self._clock.now_ms()
        stale = [self._sending(one, now_ms) for one in due if one.stale]
        fresh = [self._sending(one, now_ms) for one in due if not one.stale]
        intents = [delivery_of(s, "intended", now_ms, reason=s.notification.event.reason) for s in fresh if not s.notification.resent]
        await self._record_all(intents)
        await self._record_all([delivery_of(s, "stale", now_ms, reason="acknowledged or over before it was sent") for s in stale])
        if chunk.abandoned or self._outbox is None:
            return  # the next owner reads the intents
        for sending in fresh:
            self._outbox.put(sending)
        chunk.done()

    async def _load(self, resume: Resume) -> tuple[int, list[Due]]:
        """Where to go on, and what of the events before it has an intent but no outcome."""
        position = max(resume.log_start, resume.log_start if resume.committed is None else resume.committed)
        deliveries: list[Delivery] = []
        events: list[Escalation] = []
        await read_to_end(self._bootstrap_servers, topics.DELIVERIES.name, into(deliveries, parse_delivery))

        def remember(record: ConsumerRecord) -> None:
            if record.offset < position and (event := parsed(record, parse_escalation)) is not None:
                events.append(event)

        await read_to_end(self._bootstrap_servers, topics.ESCALATIONS.name, remember)
        self._plan = Plan(deliveries)
        due = [one for event in events for one in self._plan.read(event)]
        return position, [one for one in due if one.notification.resent and not one.stale]

    def _sending(self, due: Due, now_ms: int) -> Sending:
        """With the intent and the attempts of an earlier process, if it has one."""
        intent = self._plan.intent_of(due.notification)
        return Sending(due.notification, now_ms) if intent is None else Sending(due.notification, to_ms(intent.intent_at), intent.attempt)

    def _open_outbox(self) -> Outbox:
        assert self._session is not None
        receivers = make_receivers(self._settings, self._config, self._session)
        self._outbox = Outbox(
            receivers, may_send=self._may_send, record=self._record, failed=self._failed, clock=self._clock, jitter=random.random
        )
        return self._outbox

    async def _close_outbox(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            await outbox.close()

    async def _record(self, delivery: Delivery) -> None:
        await self._record_all([delivery])

    async def _record_all(self, deliveries: Sequence[Delivery]) -> None:
        assert self._producer is not None
        messages = [Message(topics.DELIVERIES.name, d.model_dump_json().encode(), d.incident_key.encode()) for d in deliveries]
        if messages:
            await send_all(self._producer, messages)

    def _may_send(self) -> None:
        if self._freeze.frozen:
            raise RetryAfter("this process was frozen, another one may have sent what is queued")
        if _ESCALATIONS not in self.source.owned():
            raise RetryAfter("another notifier has the partition now")

    def _failed(self, error: Exception) -> None:
        """Start again from the topics, if this is still the process to do it."""
        log.warning("a queue has ended", error=str(error), exc_info=None if isinstance(error, TelemetryError) else error)
        self.add_future(self.source.rewind(_ESCALATIONS))


def make_receivers(settings: Settings, config: AlertingConfig, session: aiohttp.ClientSession) -> dict[str, Receiver]:
    """Every receiver of routes.yaml, by name; `check_settings` has looked at them."""
    return {name: _make_receiver(name, receiver.kind, settings.receiver(name), session) for name, receiver in config.receivers.items()}


def _make_receiver(name: str, kind: ReceiverKind, settings: ReceiverSettings, session: aiohttp.ClientSession) -> Receiver:
    if settings.url is None:
        return LogReceiver()
    if kind == "slack":
        return SlackReceiver(session, settings.url)
    assert settings.routing_key is not None, f"{name} has no routing key"
    return PagerDutyReceiver(session, settings.url, settings.routing_key)


def check_settings(settings: Settings, config: AlertingConfig) -> None:
    """Raise ConfigurationError for settings of receivers that do not exist or cannot work."""
    known = {name.replace("-", "_"): receiver.kind for name, receiver in config.receivers.items()}
    for name, receiver in settings.receivers.items():
        prefix = f"TELEMETRY_RECEIVERS__{name.upper()}"
        if name not in known:
            raise ConfigurationError(f"{prefix}: there is no such receiver; routes.yaml has {', '.join(config.receivers)}")
        if known[name] == "pagerduty" and receiver.url is not None and receiver.routing_key is None:
            raise ConfigurationError(f"{prefix}__ROUTING_KEY is not set, though {prefix}__URL is")


def create_app(settings: Settings, config: AlertingConfig | None = None) -> ShellApp:
    """The notifier's Faust app. Raises ConfigurationError when receivers or their settings are wrong."""
    config = config or configured(settings)
    check_settings(settings, config)
    app = ShellApp(ROLE, settings)
    notifier = Notifier(settings, config, beacon=app.beacon)
    chunks = app.channel(maxsize=0)
    source = ChunkSource(
        chunks, topics.ESCALATIONS.name, bootstrap_servers=settings.kafka.bootstrap_servers, group_id=GROUP_ID, resume=notifier.resume
    )
    notifier.source = source
    metrics.ACTIVE.labels(ROLE).set_function(lambda: _ESCALATIONS in source.owned())
    app.service(HealthServer(settings.health.host, settings.health.port, waiting_for=source.not_ready, beacon=app.beacon))
    app.service(notifier)
    app.service(source)

    @app.agent(chunks)
    async def notify(stream: Any) -> None:
        async for chunk in stream:
            if chunk.abandoned:
                continue
            async with source.guard(chunk):
                await notifier.notify(chunk)

    return app


def main(settings: Settings) -> None:
    """Run until a signal ends it; the process exits here."""
    run(create_app(settings))


def __getattr__(name: str) -> Any:
    """`app`, made when Faust's command line asks for it."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault("app", create_app(load_settings()))
