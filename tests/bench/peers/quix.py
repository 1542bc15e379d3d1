"""quixstreams for the same work (see `work`): a sink that keeps the raw records and does everything in one batch at each checkpoint.

Its own windows and per-record functions cost several times as much; with a sink only its path per record is left. At-least-once: the
checkpoint commits after `flush` has returned.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from confluent_kafka import Producer
from quixstreams import Application
from quixstreams.sinks.base import BaseSink

from tests.bench.peers.work import EVENTS_TOPIC, FLUSH_RECORDS, FLUSH_S, KAFKA, PANES_TOPIC, Warehouse, Work, tame_collector


class PaneSink(BaseSink):
    def setup(self) -> None:
        self._waiting: dict[int, tuple[list[bytes], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
        self._work, self._warehouse = Work(), Warehouse()
        self._producer = Producer({"bootstrap.servers": KAFKA, "compression.type": "zstd", "acks": "all", "message.max.bytes": 2 << 20})
        tame_collector()

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        values, offsets, received = self._waiting[partition]
        values.append(value)
        offsets.append(offset)
        received.append(timestamp)

    def flush(self) -> None:
        for partition, (values, offsets, received) in self._waiting.items():
            for at in range(0, len(values), 2_000):
                part = slice(at, at + 2_000)
                self._work.fold(partition, values[part], offsets[part], received[part])
        self._waiting.clear()
        taken = self._work.take()
        for key, value in taken.messages:
            self._producer.produce(PANES_TOPIC, value, key)
        self._warehouse.write(taken)
        self._producer.flush()


def main() -> None:
    app = Application(
        broker_address=KAFKA,
        consumer_group="quix",
        auto_offset_reset="earliest",
        commit_every=FLUSH_RECORDS,
        commit_interval=FLUSH_S,
        consumer_poll_timeout=0.1,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(EVENTS_TOPIC, key_deserializer="bytes", value_deserializer="bytes"))
    frame.sink(PaneSink())
    app.run()


if __name__ == "__main__":
    main()
