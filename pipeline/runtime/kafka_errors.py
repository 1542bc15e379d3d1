"""What an error of aiokafka asks for: try again, or end the process."""

from __future__ import annotations

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from pipeline.runtime.errors import RetryAfter, Stop, TelemetryError

_DENIED = (AuthenticationFailedError, ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)


def reaction(error: KafkaError | TimeoutError, doing: str) -> TelemetryError:
    """The error to raise instead: RetryAfter when the same call may succeed later, Stop when it never will.

    Args:
        error: what aiokafka raised, or the TimeoutError of the wait around it (aiokafka retries some requests for ever).
        doing: what was being done, for the line people read, e.g. "sending to nutricoach.telemetry.panes.v1".
    """
    name = type(error).__name__
    if isinstance(error, TimeoutError | KafkaTimeoutError) or error.retriable:
        return RetryAfter(f"{doing}: Kafka does not answer ({name}), trying again")
    if isinstance(error, MessageSizeTooLargeError):
        return Stop(f"{doing}: a message is larger than the topic or the producer allows; split it or raise max.message.bytes")
    if isinstance(error, OffsetOutOfRangeError):
        return Stop(f"{doing}: the log does not hold that offset any more; start again, so that the state is built anew")
    if isinstance(error, _DENIED):
        return Stop(f"{doing}: Kafka refuses it ({name}); grant the role the rights it needs")
    return Stop(f"{doing}: {name}: {_one_line(error)}")


def unreachable(bootstrap_servers: str, error: KafkaConnectionError) -> Stop:
    """No broker answered when a client started."""
    return Stop(
        f"no Kafka broker answers at {bootstrap_servers} ({type(error).__name__}); start it or set TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
