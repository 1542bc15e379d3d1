"""What the engine says, on its way to Kafka: alerts with their context, fenced, in the order in which a crash leaves them whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer

from alerting import metrics
from alerting.context import ContextFinder
from alerting.engine.engine import Engine, Output
from alerting.engine.rule import Rule
from alerting.fence import Fence
from pipeline.runtime.producer import Message, start_producer, stop_producer
from pipeline.runtime.unreadable import Unreadable
from schemas import topics
from schemas.alert import Alert, Context
from schemas.escalation import Escalation

log = structlog.get_logger(__name__)

#: Alerts before the escalations that follow from them, these before what is only told: what a crash leaves half said is completed then.
_ORDER: Final[tuple[Callable[[Output], bool], ...]] = (
    lambda output: isinstance(output, Alert),
    lambda output: isinstance(output, Escalation),
    lambda output: not isinstance(output, Alert | Escalation),
)


class Publisher:
    """Publishes for one alerter. RetryAfter of any method: the state is to be read again, others may have written it."""

    def __init__(self, bootstrap_servers: str, rules: Sequence[Rule], fence: Fence, context: ContextFinder, unreadable: Unreadable) -> None:
        self._bootstrap_servers, self._fence, self._context, self._unreadable = bootstrap_servers, fence, context, unreadable
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Raises Stop when no broker answers."""
        self._producer = await start_producer(self._bootstrap_servers, "nutricoach-alerter")

    async def stop(self) -> None:
        """Within about two seconds, also when Kafka is away."""
        await self._context.close()
        await self._fence.close()
        if self._producer is not None:
            await stop_producer(self._producer)

    async def publish(self, engine: Engine, outputs: Sequence[Output]) -> None:
        """Returns when all of `outputs` are on Kafka; alerts that fire are given their context before."""
        outputs = await self._with_context(engine, outputs)
        for is_next in _ORDER:
            await self._send([_message(output) for output in outputs if is_next(output)])
        self._show(engine, [output for output in outputs if isinstance(output, Alert)])

    async def check(self) -> None:
        """Raises RetryAfter when another process has written since."""
        await self._fence.check()

    async def send_letters(self) -> None:
        """Send the dead letters of what could not be read; not fenced: from whom they come makes no difference."""
        assert self._producer is not None
        await self._unreadable.send(self._producer)

    async def _with_context(self, engine: Engine, outputs: Sequence[Output]) -> Sequence[Output]:
        fired = {output.incident_key: output for output in outputs if isinstance(output, Alert) and _wants_context(output)}
        if not fired:
            return outputs
        await self._fence.check()  # nobody waits for the context of what another has published
        for key, context in (await self._context.find(self._rules, list(fired.values()))).items():
            engine.attach(key, context)
            outputs = [_carrying(output, key, context) for output in outputs]
        return outputs

    async def _send(self, messages: Sequence[Message]) -> None:
        if messages:
            assert self._producer is not None
            await self._fence.publish(self._producer, messages)

    def _show(self, engine: Engine, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            metrics.TRANSITIONS.labels(alert.rule, alert.state).inc()
            log.info("alert", rule=alert.rule, state=alert.state, incident_key=alert.incident_key, summary=alert.summary)
        if alerts:
            open_alerts = engine.open_alerts
            for name in self._rules:
                metrics.OPEN_INCIDENTS.labels(name).set(sum(alert.rule == name for alert in open_alerts))


def _wants_context(alert: Alert) -> bool:
    return alert.state == "firing" and alert.context is None


def _carrying(output: Output, incident_key: str, context: Context) -> Output:
    """The same with the incident's context."""
    if isinstance(output, Alert) and output.incident_key == incident_key:
        return output.model_copy(update={"context": context})
    if isinstance(output, Escalation) and output.incident_key == incident_key:
        return output.model_copy(update={"alert": output.alert.model_copy(update={"context": context})})
    return output


def _message(output: Output) -> Message:
    value = output.model_dump_json().encode()
    if isinstance(output, Alert):
        return Message(topics.ALERTS.name, value, output.incident_key.encode())
    if isinstance(output, Escalation):
        return Message(topics.ESCALATIONS.name, value, output.incident_key.encode())
    return Message(topics.DECISIONS.name, value, output.rule.encode())
