"""The alerter: flushes and commands to alerts, escalations and decisions. One process acts, others stand by.

telemetry alerter                       or, the same with Faust's own command line:
faust -A alerting.alerter worker
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from mode import Service

from alerting import metrics
from alerting.config.load import AlertingConfig, load_config
from alerting.engine.engine import Engine, Output, metrics_of
from alerting.engine.reading import parse_flush_for
from alerting.freeze import FreezeWatch
from alerting.loading import Loaded, load
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.health import HealthServer
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import Settings, load_settings
from pipeline.runtime.shell import ShellApp, run
from pipeline.runtime.topic_tail import TopicTail
from schemas import topics
from schemas.alert import Alert
from schemas.command import parse_command
from schemas.escalation import Escalation
from schemas.pane import Flush

log = structlog.get_logger(__name__)

ROLE: Final = "alerter"
GROUP_ID: Final = "nutricoach-alerter"
Decide = Callable[[Engine, int], list[Output]]

TICK_S: Final = 0.2
_PANES: Final = TopicPartition(topics.PANES.name, 0)


class Alerter(Service):
    """Acts while its `source` owns the one partition of `panes.v1`: everything it says is on Kafka before it goes on.

    Whatever goes wrong while publishing, the state is thrown away and read again from the topics, which know what was said.
    """

    source: ChunkSource

    def __init__(self, settings: Settings, config: AlertingConfig, clock: Clock | None = None, **service: Any) -> None:
        super().__init__(**service)
        self._bootstrap_servers, self._config = settings.kafka.bootstrap_servers, config
        self._clock: Clock = SystemClock() if clock is None else clock
        self._metrics = metrics_of(config.rules)
        self._acting = asyncio.Lock()
        self._loaded: Loaded | None = None
        self._begun = False
        self._tail: TopicTail | None = None
        self._producer: AIOKafkaProducer | None = None
        self._freeze = FreezeWatch(self._clock, beacon=self.beacon)

    async def on_start(self) -> None:
        await self.add_runtime_dependency(self._freeze)
        self._producer = await start_producer(self._bootstrap_servers, GROUP_ID)

    async def on_stop(self) -> None:
        await self._stop_tail()
        if self._producer is not None:
            await stop_producer(self._producer)

    async def resume(self, resume: Resume) -> int:
        """Read the state for a new ownership; where to go on in `panes.v1`. Asked by the source, until Kafka answers."""
        self._loaded, self._begun = None, False
        await self._stop_tail()
        async with self._acting:
            pass  # what was being published when the ownership ended is on the topics before they are read
        while True:
            try:
                loaded = await load(self._bootstrap_servers, self._config, resume, self._clock.now_ms())
                break
            except RetryAfter as error:
                log.warning("state cannot be read yet", error=str(error))
                await asyncio.sleep(error.seconds)
        self._loaded = loaded
        self._freeze.thawed()
        return loaded.position

    async def judge(self, chunk: Chunk) -> None:
        """Judge every flush of a chunk in order; returns once everything they led to is on Kafka, raises to have them read again."""
        for record in chunk.records:
            flush = self._parse(record)
            if flush is None:
                continue
            with metrics.JUDGING_SECONDS.time():
                if not await self._act(_judging(flush)):
                    return
        chunk.done()

    @Service.task
    async def _tick(self) -> None:
        while not self.should_stop:
            await self.sleep(TICK_S)
            await self._act_or_reload(lambda engine, now_ms: engine.on_tick(now_ms))

    async def _on_command(self, record: ConsumerRecord) -> None:
        try:
            command = parse_command(record.value or b"")
        except ValueError as error:
            log.error("command cannot be read", offset=record.offset, error=str(error).splitlines()[0])
            metrics.COMMANDS.labels("unreadable", "ignored").inc()
            return

        def obey(engine: Engine, now_ms: int) -> list[Output]:
            outputs = engine.on_command(command, now_ms)
            metrics.COMMANDS.labels(command.action, "obeyed" if outputs else "nothing to do").inc()
            log.info("command", action=command.action, command_id=command.command_id, by=command.by, events=len(outputs))
            return outputs + engine.on_tick(now_ms)

        await self._act_or_reload(obey)

    async def _act_or_reload(self, decide: Decide) -> None:
        try:
            await self._act(decide)
        except RetryAfter as error:
            log.warning("could not publish, the state is read again", error=str(error))
            await self.source.rewind(_PANES)

    async def _act(self, decide: Decide) -> bool:
        """Let the engine decide and publish what it says; False when this process does not own the partition (any more)."""
        async with self._acting:
            loaded = self._loaded
            if loaded is None or not self._owns():
                return False
            if self._freeze.frozen:
                log.warning("this process was frozen, another one may have acted: the state is read again")
                self._loaded = None
                await self.source.rewind(_PANES)
                return False
            if not self._begun:
                self._begun = True
                await self._follow_commands(loaded.commands_from)
                await self._publish(loaded.engine.catch_up(self._clock.now_ms()))
            await self._publish(decide(loaded.engine, self._clock.now_ms()))
            return True

    def _owns(self) -> bool:
        return _PANES in self.source.owned()

    async def _publish(self, outputs: list[Output]) -> None:
        """Alerts before the escalations that follow from them: what a crash leaves half said can then be completed."""
        if not outputs:
            return
        assert self._producer is not None
        for kinds in ((Alert,), (Escalation,)):
            await send_all(self._producer, [_message(output) for output in outputs if isinstance(output, kinds)])
        await send_all(self._producer, [_message(output) for output in outputs if not isinstance(output, Alert | Escalation)])
        self._show([output for output in outputs if isinstance(output, Alert)])

    def _show(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            metrics.TRANSITIONS.labels(alert.rule, alert.state).inc()
            log.info("alert", rule=alert.rule, state=alert.state, incident_key=alert.incident_key, summary=alert.summary)
        if alerts and self._loaded is not None:
            open_alerts = self._loaded.engine.open_alerts
            for rule in self._config.rules:
                metrics.OPEN_INCIDENTS.labels(rule.name).set(sum(alert.rule == rule.name for alert in open_alerts))

    def _parse(self, record: ConsumerRecord) -> Flush | None:
        try:
            flush = parse_flush_for(record.value or b"", self._metrics)
        except ValueError as error:
            metrics.FLUSHES.labels("unreadable").inc()
            log.error("flush cannot be read, it is skipped", offset=record.offset, error=str(error).splitlines()[0])
            return None
        metrics.FLUSHES.labels("read").inc()
        return flush

    async def _follow_commands(self, from_offset: int) -> None:
        self._tail = TopicTail(self._bootstrap_servers, topics.COMMANDS.name, self._on_command, from_offset=from_offset, beacon=self.beacon)
        await self._tail.start()

    async def _stop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            await tail.stop()


def _judging(flush: Flush) -> Decide:
    return lambda engine, now_ms: engine.on_flush(flush, now_ms)


def _message(output: Output) -> Message:
    value = output.model_dump_json().encode()
    if isinstance(output, Alert):
        return Message(topics.ALERTS.name, value, output.incident_key.encode())
    if isinstance(output, Escalation):
        return Message(topics.ESCALATIONS.name, value, output.incident_key.encode())
    return Message(topics.DECISIONS.name, value, output.rule.encode())


def create_app(settings: Settings, config: AlertingConfig | None = None) -> ShellApp:
    """The alerter's Faust app. Raises ConfigurationError when a rule file is wrong."""
    app = ShellApp(ROLE, settings)
    alerter = Alerter(settings, config or load_config(), beacon=app.beacon)
    chunks = app.channel(maxsize=0)
    source = ChunkSource(
        chunks, topics.PANES.name, bootstrap_servers=settings.kafka.bootstrap_servers, group_id=GROUP_ID, resume=alerter.resume
    )
    alerter.source = source
    metrics.ACTIVE.labels(ROLE).set_function(lambda: _PANES in source.owned())
    app.service(HealthServer(settings.health.host, settings.health.port, waiting_for=source.not_ready, beacon=app.beacon))
    app.service(alerter)
    app.service(source)

    @app.agent(chunks)
    async def judge(stream: Any) -> None:
        async for chunk in stream:
            if chunk.abandoned:
                continue
            async with source.guard(chunk):
                await alerter.judge(chunk)

    return app


def main(settings: Settings) -> None:
    """Run until a signal ends it; the process exits here."""
    run(create_app(settings))


def __getattr__(name: str) -> Any:
    """`app`, made when Faust's command line asks for it."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault("app", create_app(load_settings()))
