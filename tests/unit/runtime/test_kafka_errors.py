from __future__ import annotations

import pytest
from aiokafka import errors

from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.kafka_errors import reaction, unreachable


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        errors.KafkaTimeoutError(),
        errors.RequestTimedOutError(),
        errors.NotLeaderForPartitionError(),
        errors.NotEnoughReplicasError(),
        errors.KafkaConnectionError("closed"),
        errors.LeaderNotAvailableError(),
    ],
)
def test_a_broker_that_is_away_or_busy_is_asked_again(error: errors.KafkaError | TimeoutError) -> None:
    """The same call may succeed later, so nothing is given up."""
    answer = reaction(error, "sending to alerts.v1")
    assert isinstance(answer, RetryAfter)
    assert str(answer).startswith("sending to alerts.v1: Kafka does not answer")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.MessageSizeTooLargeError("x"), "larger than"),
        (errors.TopicAuthorizationFailedError("alerts.v1"), "refuses"),
        (errors.GroupAuthorizationFailedError("worker"), "refuses"),
        (errors.OutOfOrderSequenceNumber(), "OutOfOrderSequenceNumber"),
        (errors.ProducerFenced(), "ProducerFenced"),
        (errors.CorruptRecordException("bad\ncrc"), "CorruptRecordException"),
    ],
)
def test_what_will_never_work_ends_the_process_with_one_line(error: errors.KafkaError, says: str) -> None:
    """Trying again would spin for ever, or write twice."""
    answer = reaction(error, "sending to alerts.v1")
    assert isinstance(answer, Stop)
    assert says in str(answer)
    assert "\n" not in str(answer)


def test_no_broker_at_all_names_the_address_and_the_setting() -> None:
    """What a person needs to repair it."""
    line = str(unreachable("10.0.0.1:9092", errors.KafkaConnectionError("x")))
    assert "10.0.0.1:9092" in line
    assert "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS" in line
