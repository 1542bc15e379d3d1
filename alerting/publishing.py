"""What the engine says, on its way to Kafka: alerts with their context, fenced, in the order in which a crash leaves them whole."""

from __future__ import annotations

from collections import Counter
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
from schemas.decision import Decision
from schemas.escalation import Escalation

log = structlog.get_logger(__name__)

#: Alerts before the escalations that follow from them, these before what is only told: what a crash leaves half said is completed then.
_ORDER: Final[tuple[Callable[[Output], bool], ...]] = (
    lambda output: isinstance(output, Alert),
    lambda output: isinstance(output, Escalation),
    lambda output: isinstance(output, Decision),
)
#: Outputs that are made records and sent together: thousands of incidents that fire at once hold up nothing else of the process, and a part
#: of them is on Kafka within the time that one sending may take.
_AT_ONCE: Final = 500


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
            await self._send([output for output in outputs if is_next(output)])
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
        found = await self._context.find(self._rules, list(fired.values()))
        for key, context in found.items():
            engine.attach(key, context)
        return [_carrying(output, found) for output in outputs]

    async def _send(self, outputs: Sequence[Output]) -> None:
        assert self._producer is not None
        for first in range(0, len(outputs), _AT_ONCE):
            await self._fence.publish(self._producer, [_message(output) for output in outputs[first : first + _AT_ONCE]])

    def _show(self, engine: Engine, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            metrics.TRANSITIONS.labels(alert.rule, alert.state).inc()
            log.info("alert", rule=alert.rule, state=alert.state, incident_key=alert.incident_key, summary=alert.summary)
        if alerts:
            of_rule = Counter(alert.rule for alert in engine.open_alerts)
            for name in self._rules:
                metrics.OPEN_INCIDENTS.labels(name).set(of_rule[name])


def _wants_context(alert: Alert) -> bool:
    return alert.state == "firing" and alert.context is None


def _carrying(output: Output, found: Mapping[str, Context]) -> Output:
    """The same with the context of its incident, by incident_key, if there is one."""
    if isinstance(output, Decision) or (context := found.get(output.incident_key)) is None:
        return output
    if isinstance(output, Alert):
        return output.model_copy(update={"context": context})
    return output.model_copy(update={"alert": output.alert.model_copy(update={"context": context})})


def _message(output: Output) -> Message:
    value = output.model_dump_json().encode()
    if isinstance(output, Alert):
        return Message(topics.ALERTS.name, value, output.incident_key.encode())
    if isinstance(output, Escalation):
        return Message(topics.ESCALATIONS.name, value, output.incident_key.encode())
    return Message(topics.DECISIONS.name, value, output.rule.encode())
