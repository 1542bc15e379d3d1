from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka.structs import RecordMetadata

from alerting.config.load import load_config
from alerting.notifier import Notifier
from alerting.notify.outbox import Outbox
from alerting.notify.plan import Plan
from alerting.notify.receiver import Attempt
from alerting.notify.sending import Sending, delivery_of
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message
from pipeline.runtime.settings import Settings
from schemas.delivery import Delivery, parse_delivery
from tests.contract.notify.incidents import an_event


class Kafka:
    """In place of a fence: takes what is published, or is away."""

    def __init__(self) -> None:
        self.away, self.taken = False, list[Delivery]()

    async def publish(self, _producer: object, messages: Sequence[Message]) -> list[RecordMetadata]:
        if self.away:
            raise RetryAfter("Kafka does not answer")
        self.taken += [parse_delivery(message.value or b"") for message in messages]
        return []


class Nobody(Outbox):
    """Is given nothing, and says so."""

    def __init__(self) -> None:
        self.given: list[Sending] = []

    def put(self, sending: Sending) -> None:
        self.given.append(sending)


async def test_what_was_delivered_while_kafka_was_away_is_written_down_and_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack has the page, the outcome could not be recorded: after the state was read again the outcome is recorded, nothing is sent."""
    page = an_event("step_due", target="slack-critical", step=0)
    (fresh,) = Plan().read(page)
    intent = delivery_of(Sending(fresh.notification, 0), "intended", 0)
    (again,) = Plan([intent]).read(page)
    delivered = delivery_of(Sending(fresh.notification, 0, 1), "delivered", 5, Attempt("delivered", 200, message_ref="C0123456789/1.1"))
    notifier, kafka, outbox = Notifier(Settings(), load_config()), Kafka(), Nobody()
    monkeypatch.setattr(notifier, "_fence", kafka)
    monkeypatch.setattr(notifier, "_producer", object())
    kafka.away = True
    with pytest.raises(RetryAfter):
        await notifier._record([delivered])
    kafka.away = False
    await notifier._begin([again], outbox)
    assert (kafka.taken, outbox.given) == ([delivered], [])
    await notifier._begin([again], outbox)
    assert [one.notification.delivery_id for one in outbox.given] == [delivered.delivery_id]
