"""A record that could not be processed: original key and bytes on `dlq.v1`, everything about it in headers named `dlq.*`."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.timestamps import from_ms, isoformat_ms


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record. (`kafka_topic`, `kafka_partition`, `kafka_offset`) names it: written again it is the same one."""

    kafka_topic: str
    kafka_partition: int
    kafka_offset: int
    failed_at_ms: int
    error_code: str
    reason: str
    event_id: str
    event_type: str
    service: str
    key: bytes | None
    value: bytes

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers; texts are UTF-8."""
        fields = {
            "dlq.topic": self.kafka_topic,
            "dlq.partition": str(self.kafka_partition),
            "dlq.offset": str(self.kafka_offset),
            "dlq.failed_at": isoformat_ms(from_ms(self.failed_at_ms)),
            "dlq.error_code": self.error_code,
            "dlq.reason": self.reason,
            "dlq.event_id": self.event_id,
            "dlq.event_type": self.event_type,
            "dlq.service": self.service,
        }
        return [(name, text.encode("utf-8", "replace")) for name, text in fields.items()]
