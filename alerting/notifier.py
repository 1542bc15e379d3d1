"""The notifier: escalation events to Slack, PagerDuty, mail and tickets. One process acts, others stand by.

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
from alerting.fence import Fence
from alerting.loading import into, parsed, said
from alerting.notify.heartbeats import Heartbeats
from alerting.notify.outbox import Outbox
from alerting.notify.plan import Due, Plan
from alerting.notify.receiver import Notification, Receiver
from alerting.notify.receivers import check_settings, make_receivers, routes_of
from alerting.notify.sending import Sending, delivery_of, intent_reason
from alerting.notify.watchdog import WATCHDOG, Watchdog
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.errors import RetryAfter, TelemetryError
from pipeline.runtime.health import HealthServer
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.producer import Message, start_producer, stop_producer
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import Settings, load_settings
from pipeline.runtime.shell import ShellApp, run
from pipeline.runtime.topic_tail import read_to_end
from schemas import topics
from schemas.decision import Decision
from schemas.delivery import Delivery, parse_delivery
from schemas.escalation import parse_escalation

log = structlog.get_logger(__name__)

ROLE: Final = "notifier"
GROUP_ID: Final = "nutricoach-notifier"
_ESCALATIONS: Final = TopicPartition(topics.ESCALATIONS.name, 0)
_LAST_ANSWERS_S: Final = 3.0
_WATCH_S: Final = 1.0


class Notifier(Service):
    """Acts while its `source` owns the one partition of `escalations.v1`."""

    source: ChunkSource

    def __init__(self, settings: Settings, config: AlertingConfig, clock: Clock | None = None, **service: Any) -> None:
        super().__init__(**service)
        self._settings, self._config = settings, config
        self._bootstrap_servers = settings.kafka.bootstrap_servers
        self._clock: Clock = SystemClock() if clock is None else clock
        # What cannot be read is said only: the archive, which reads each record once, makes a dead letter of it.
        self._fence = Fence(self._bootstrap_servers, {topics.DELIVERIES.name: parse_delivery}, self._clock, said)
        self._heartbeats = Heartbeats(self._bootstrap_servers, self._on_heartbeat, beacon=self.beacon)
        self._plan = Plan()
        self._receivers: dict[str, Receiver] = {}
        self._outbox: Outbox | None = None
        self._producer: AIOKafkaProducer | None = None
        self._unwritten: dict[str, Delivery] = {}  # delivered, while Kafka was away: not to be sent again
        self._in_doubt = False  # the producer was interrupted: what it had may still arrive, and its sequence may have a hole
        self._session: aiohttp.ClientSession | None = None
        self._watchdog: Watchdog | None = None

    async def on_start(self) -> None:
        self._producer = await start_producer(self._bootstrap_servers, GROUP_ID)
        self._session = aiohttp.ClientSession()
        self._watchdog = Watchdog(self._session, self._settings.receiver(WATCHDOG), self._clock)
        await self.add_runtime_dependency(self._heartbeats)

    async def on_stop(self) -> None:
        """What is being sent gets a moment to be answered: else whoever takes over would send it again."""
        if self._outbox is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.idle(), _LAST_ANSWERS_S)
        await self._close_outbox()
        if self._watchdog is not None:
            await self._watchdog.close()
        if self._session is not None:
            await self._session.close()
        await self._fence.close()
        if self._producer is not None:
            await stop_producer(self._producer)

    async def resume(self, resume: Resume) -> int:
        """Read what was asked for and what was done; go on with what was intended and has no outcome. Asked by the source."""
        await self._close_outbox()
        while True:
            try:
                await self._renew_producer()
                position, unfinished = await self._load(resume)
                await self._fence.check()
                outbox = self._open_outbox()
                await self._begin(unfinished, outbox)
                break
            except RetryAfter as error:
                log.warning("state cannot be read yet", error=str(error))
                await self._close_outbox()
                await asyncio.sleep(error.seconds)
        log.info("state is loaded", position=position, sent_again=len(unfinished))
        return position

    async def notify(self, chunk: Chunk) -> None:
        """Queue what the events of a chunk ask for, once the intents are on Kafka; raises to have the chunk read again."""
        events = [event for record in chunk.records if (event := parsed(record, parse_escalation)) is not None]
        due = [one for event in events for one in self._plan.read(event) if self._is_heard(one.notification)]
        now_ms = self._clock.now_ms()
        stale = [Sending(one.notification, now_ms) for one in due if one.stale]
        await self._record([delivery_of(one, "stale", now_ms, reason="acknowledged or over before it was sent") for one in stale])
        if chunk.abandoned or self._outbox is None:
            return  # the next owner reads it again
        await self._begin([one for one in due if not one.stale], self._outbox)
        chunk.done()

    @Service.task
    async def _watch(self) -> None:
        """Keep asking the broker: whoever stood still for long finds that its last answer is old, whatever runs first then."""
        while not self.should_stop:
            await self.sleep(_WATCH_S)
            if self._outbox is None:
                continue
            try:
                self._fence.fresh()
                await self._fence.check()
            except RetryAfter as error:
                self._failed(error)

    async def _begin(self, due: Sequence[Due], outbox: Outbox) -> None:
        """Queue them, once the intent of each is on Kafka; but record what this process delivered and could not write down."""
        now_ms = self._clock.now_ms()
        written_late = [one.notification.delivery_id for one in due if one.notification.delivery_id in self._unwritten]
        sendings = [self._sending(one.notification, now_ms) for one in due if one.notification.delivery_id not in self._unwritten]
        fresh = [one for one in sendings if not one.notification.resent]
        intents = [delivery_of(one, "intended", now_ms, reason=intent_reason(one.notification)) for one in fresh]
        await self._record([*(self._unwritten[key] for key in written_late), *intents])
        for key in written_late:
            del self._unwritten[key]
        for sending in sendings:
            outbox.put(sending)

    async def _load(self, resume: Resume) -> tuple[int, list[Due]]:
        """Where to go on, and what of the events before it is still to be done."""
        position = max(resume.log_start, resume.log_start if resume.committed is None else resume.committed)
        deliveries: list[Delivery] = []
        due: list[Due] = []

        def remember(record: ConsumerRecord) -> None:
            if record.offset < position and (event := parsed(record, parse_escalation)) is not None:
                due.extend(one for one in plan.read(event) if one.owed and not one.stale and self._is_heard(one.notification))

        read_to = await read_to_end(self._bootstrap_servers, topics.DELIVERIES.name, into(deliveries, parse_delivery))
        self._fence.read_to(topics.DELIVERIES.name, read_to)
        self._plan = plan = Plan(deliveries)
        self._receivers = self._made_receivers()
        await read_to_end(self._bootstrap_servers, topics.ESCALATIONS.name, remember)
        return position, due

    def _is_heard(self, notification: Notification) -> bool:
        """Receivers that cannot edit are told of beginnings and ends; one that is gone is refused by the outbox."""
        receiver = self._receivers.get(notification.receiver)
        return receiver is None or notification.action in receiver.hears

    def _sending(self, notification: Notification, now_ms: int) -> Sending:
        """With the intent and the attempts of an earlier process, if it has one."""
        intent = self._plan.intent_of(notification)
        return Sending(notification, now_ms) if intent is None else Sending(notification, intent.intent_at_ms, intent.attempts)

    def _made_receivers(self) -> dict[str, Receiver]:
        assert self._session is not None
        return make_receivers(self._settings, self._config, self._session, self._may_send)

    def _open_outbox(self) -> Outbox:
        self._outbox = Outbox(
            self._receivers,
            routes=routes_of(self._settings, self._config),
            may_send=self._may_send,
            record=self._record,
            stand_in=self._plan.stand_in,
            failed=self._failed,
            clock=self._clock,
            jitter=random.random,
        )
        return self._outbox

    async def _close_outbox(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            await outbox.close()

    async def _record(self, deliveries: Sequence[Delivery]) -> None:
        messages = [Message(topics.DELIVERIES.name, d.model_dump_json().encode(), d.incident_key.encode()) for d in deliveries]
        if not messages:
            return
        assert self._producer is not None
        try:
            await self._fence.publish(self._producer, messages)
        except BaseException:
            self._in_doubt = True
            self._unwritten |= {delivery.delivery_id: delivery for delivery in deliveries if delivery.outcome == "delivered"}
            raise

    async def _renew_producer(self) -> None:
        """With another one nothing arrives any more that the last one had when it was interrupted."""
        if self._in_doubt and self._producer is not None:
            await stop_producer(self._producer)
            self._producer = await start_producer(self._bootstrap_servers, GROUP_ID)
            self._in_doubt = False

    async def _may_send(self) -> None:
        """Raises RetryAfter when another notifier may be the one to send by now."""
        self._fence.fresh()
        await self._fence.check()
        if _ESCALATIONS not in self.source.owned():
            raise RetryAfter("another notifier has the partition now")
        self._fence.fresh()

    def _failed(self, error: Exception) -> None:
        """Start again from the topics, if this is still the process to do it."""
        log.warning("a queue has ended", error=str(error), exc_info=None if isinstance(error, TelemetryError) else error)
        self.add_future(self.source.rewind(_ESCALATIONS))

    def _on_heartbeat(self, decision: Decision) -> None:
        if self._watchdog is not None and _ESCALATIONS in self.source.owned():
            self._watchdog.heard(decision)


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
