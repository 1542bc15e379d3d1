"""The alerter: flushes and commands to alerts, escalations and decisions. One process acts, others stand by.

telemetry alerter                       or, the same with Faust's own command line:
faust -A alerting.alerter worker
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from mode import Service

from alerting import metrics
from alerting.asking import Asker
from alerting.config.load import AlertingConfig, configured
from alerting.context import ContextFinder
from alerting.engine.engine import Engine, Output
from alerting.engine.readings import Question
from alerting.fence import Fence
from alerting.freeze import FreezeWatch
from alerting.heartbeat import Heartbeat
from alerting.loading import Loaded, Loader, parsed, said
from alerting.publishing import Publisher
from pipeline.runtime.chunk_source import ChunkSource, Limits
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.health import HealthServer
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import Settings, load_settings
from pipeline.runtime.shell import ShellApp, run
from pipeline.runtime.topic_tail import TopicTail
from pipeline.runtime.unreadable import Unreadable
from pipeline.runtime.waiting import Waiting
from schemas import topics
from schemas.alert import parse_alert
from schemas.command import parse_command
from schemas.decision import Reading
from schemas.escalation import parse_escalation
from schemas.pane import Flush

log = structlog.get_logger(__name__)

ROLE: Final = "alerter"
GROUP_ID: Final = "nutricoach-alerter"
Decide = Callable[[Engine, int], list[Output]]

TICK_S: Final = 0.2
_LETTERS_S: Final = 1.0
_PANES: Final = TopicPartition(topics.PANES.name, 0)
#: What is open when it stops is judged again by the next alerter: a Kafka that does not answer need not hold it up.
_LIMITS: Final = Limits(drain_timeout_s=1.5, leave_timeout_s=1.5)


class Alerter(Service):
    """Acts while its `source` owns the one partition of `panes.v1`: everything it says is on Kafka before it goes on.

    Whatever goes wrong while publishing, the state is thrown away and read again from the topics, which know what was said. Until it has
    judged all that was in `panes.v1` when it started, and read what has been asked of it since, it pages nobody (decision 0012).
    """

    source: ChunkSource

    def __init__(self, settings: Settings, config: AlertingConfig, clock: Clock | None = None, **service: Any) -> None:
        super().__init__(**service)
        self._bootstrap_servers = settings.kafka.bootstrap_servers
        self._clock: Clock = SystemClock() if clock is None else clock
        self._unreadable = Unreadable(self._clock)
        written = {topics.ALERTS.name: parse_alert, topics.ESCALATIONS.name: parse_escalation}
        fence = Fence(self._bootstrap_servers, written, self._clock, said)  # the archive makes dead letters of what is on these
        self._loader = Loader(self._bootstrap_servers, config, fence, settings.clickhouse, self._clock, self._unreadable)
        context = ContextFinder(settings.clickhouse, self._clock)
        self._publisher = Publisher(self._bootstrap_servers, config.rules, fence, context, self._unreadable)
        self._acting = asyncio.Lock()
        self._loaded: Loaded | None = None
        self._tail: TopicTail | None = None
        self._heartbeat = Heartbeat()
        self._freeze = FreezeWatch(self._clock, beacon=self.beacon)
        self._asker = Asker(settings.clickhouse, self._clock, due=self._questions, tell=self._on_reading, beacon=self.beacon)

    async def on_start(self) -> None:
        await self._publisher.start()
        await self.add_runtime_dependency(self._freeze)
        await self.add_runtime_dependency(self._asker)

    async def on_stop(self) -> None:
        await self._stop_tail()
        await self._publisher.stop()

    async def resume(self, resume: Resume) -> int:
        """Read the state for a new ownership; where to go on in `panes.v1`. Asked by the source, until Kafka answers."""
        before, self._loaded = self._loaded, None
        await self._stop_tail()
        async with self._acting:
            pass  # what was being published when the ownership ended is on the topics before they are read
        loaded = await self._kept(before, resume)
        while loaded is None:
            try:
                loaded = await self._loader.load(resume)
            except RetryAfter as error:
                log.warning("state cannot be read yet", error=str(error))
                await asyncio.sleep(error.seconds)
        self._loaded = loaded
        self._freeze.thawed()
        return loaded.position

    async def _kept(self, before: Loaded | None, resume: Resume) -> Loaded | None:
        """The state as it is, when nobody has acted since: another member came or went, and the partition stayed here."""
        position = max(resume.log_start, resume.committed or 0)
        if before is None or not before.whole or self._freeze.frozen or position > before.judged_to or resume.log_end < before.judged_to:
            return None
        try:
            await self._publisher.check()
        except RetryAfter:
            return None
        log.info("state is kept", position=position, judged_to=before.judged_to)
        return replace(before, position=position, begins_at=resume.log_end, begun=False)

    async def judge(self, chunk: Chunk) -> None:
        """Judge every flush of a chunk in order; returns once everything they led to is on Kafka, raises to have them read again."""
        for record in chunk.records:
            flush = parsed(record, self._loader.parse_flush, self._unreadable)
            metrics.FLUSHES.labels("unreadable" if flush is None else "read").inc()
            if flush is not None:
                with metrics.JUDGING_SECONDS.time():
                    if not await self._act(self._judging(flush, record.timestamp)):
                        return
            if self._loaded is not None:
                self._loaded.judged_to = max(self._loaded.judged_to, record.offset + 1)
        chunk.done()

    def _judging(self, flush: Flush, at_ms: int) -> Decide:
        def decide(engine: Engine, now_ms: int) -> list[Output]:
            outputs = engine.on_flush(flush, at_ms, now_ms)
            return outputs + engine.on_tick(now_ms) if self._may_page() else outputs

        return decide

    def _may_page(self) -> bool:
        return self._loaded is not None and self._loaded.begun

    @Service.task
    async def _tick(self) -> None:
        while not self.should_stop:
            await self.sleep(TICK_S)
            loaded = self._loaded
            if loaded is None:
                continue
            if loaded.begun:
                await self._act_or_reload(self._on_tick)
            elif loaded.judged_to >= loaded.begins_at:
                await self._begin(loaded)

    def _on_tick(self, engine: Engine, now_ms: int) -> list[Output]:
        outputs = engine.on_tick(now_ms)
        beat = self._heartbeat.due(now_ms)
        return outputs if beat is None else [*outputs, beat]

    async def _begin(self, loaded: Loaded) -> None:
        """Say what an earlier alerter left unsaid, obey what came meanwhile, and let time act from now on."""
        if not loaded.caught_up:
            loaded.caught_up = await self._act_or_reload(lambda engine, now_ms: engine.catch_up(now_ms))
            if not loaded.caught_up:
                return
        try:
            commands = await self._loader.commands_since(loaded.commands_from)
        except RetryAfter as error:
            await self._reload(error)
            return
        for record in commands:
            if self._loaded is loaded:
                await self._on_command(record)
        if self._loaded is loaded:
            loaded.begun = True
            await self._follow_commands(loaded.commands_from)
            log.info("acts", judged_to=loaded.judged_to)

    async def _on_command(self, record: ConsumerRecord) -> None:
        """Obey; what comes between two ownerships is obeyed by nobody, and read again from `commands_from` in the next one."""
        command = parsed(record, parse_command, self._unreadable)
        if command is None:
            metrics.COMMANDS.labels("unreadable", "ignored").inc()
            return

        def obey(engine: Engine, now_ms: int) -> list[Output]:
            outputs = engine.on_command(command, now_ms)
            metrics.COMMANDS.labels(command.action, "obeyed" if outputs else "nothing to do").inc()
            log.info("command", action=command.action, command_id=command.command_id, by=command.by, events=len(outputs))
            return outputs + engine.on_tick(now_ms) if self._may_page() else outputs

        if await self._act_or_reload(obey) and self._loaded is not None:
            self._loaded.commands_from = record.offset + 1

    def _questions(self) -> Sequence[Question]:
        loaded = self._loaded
        return loaded.engine.questions(self._clock.now_ms()) if loaded is not None and loaded.begun and self._owns() else ()

    async def _on_reading(self, reading: Reading) -> None:
        if self._may_page():
            await self._act_or_reload(lambda engine, now_ms: engine.on_reading(reading, now_ms))

    async def _act_or_reload(self, decide: Decide) -> bool:
        try:
            return await self._act(decide)
        except RetryAfter as error:
            await self._reload(error)
            return False

    async def _reload(self, why: RetryAfter) -> None:
        log.warning("could not publish, the state is read again", error=str(why))
        self._loaded = None
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
            loaded.whole = False
            outputs = decide(loaded.engine, self._clock.now_ms())
            await self._publisher.publish(loaded.engine, outputs)
            loaded.whole = True
            self._heartbeat.published(outputs)
            return True

    def _owns(self) -> bool:
        return _PANES in self.source.owned()

    @Service.task
    async def _send_letters(self) -> None:
        waiting = Waiting("sending dead letters", self._clock)
        while not self.should_stop:
            await self.sleep(_LETTERS_S)
            try:
                await self._publisher.send_letters()
                waiting.over()
            except RetryAfter as error:
                waiting.goes_on(str(error))

    async def _follow_commands(self, from_offset: int) -> None:
        self._tail = TopicTail(self._bootstrap_servers, topics.COMMANDS.name, self._on_command, from_offset=from_offset, beacon=self.beacon)
        await self._tail.start()

    async def _stop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            await tail.stop()


def create_app(settings: Settings, config: AlertingConfig | None = None) -> ShellApp:
    """The alerter's Faust app. Raises ConfigurationError when a rule file is wrong."""
    app = ShellApp(ROLE, settings)
    alerter = Alerter(settings, config or configured(settings), beacon=app.beacon)
    chunks = app.channel(maxsize=0)
    source = ChunkSource(
        chunks,
        topics.PANES.name,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=GROUP_ID,
        resume=alerter.resume,
        limits=_LIMITS,
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
