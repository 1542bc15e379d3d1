"""bytewax for the same work (see `work`): its Kafka source in batches, and a sink that folds and writes whole batches.

Its windows work on single items by key and cost more. Run as it runs without a recovery store: no offset is kept anywhere, so after a
crash it begins again at the start of the topic. Rows are written by a thread while the next are folded.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main
from confluent_kafka import Producer

from tests.bench.peers.work import EVENTS_TOPIC, FLUSH_RECORDS, FLUSH_S, KAFKA, PANES_TOPIC, Taken, Warehouse, Work, tame_collector


class PanePartition(StatelessSinkPartition[Any]):
    def __init__(self) -> None:
        self._work, self._warehouse = Work(), Warehouse()
        self._producer = Producer({"bootstrap.servers": KAFKA, "compression.type": "zstd", "acks": "all", "message.max.bytes": 2 << 20})
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._lock, self._flushed_at = Lock(), monotonic()
        Thread(target=self._flush_aged, daemon=True).start()
        tame_collector()

    def write_batch(self, items: list[Any]) -> None:
        with self._lock:
            partition = items[0].partition  # a batch comes from one partition's consumer
            self._work.fold(partition, [m.value for m in items], [m.offset for m in items], [m.timestamp[1] for m in items])
            if self._work.records >= FLUSH_RECORDS:
                self._flush()

    def _flush_aged(self) -> None:
        """bytewax calls a sink only with items, so the last ones need somebody else to write them."""
        while True:
            sleep(FLUSH_S / 2)
            with self._lock:
                if self._work.records and monotonic() - self._flushed_at >= FLUSH_S:
                    self._flush()

    def _flush(self) -> None:
        if self._writing is not None:
            self._writing.result()
        self._flushed_at = monotonic()
        self._writing = self._writer.submit(self._write, self._work.take())

    def _write(self, taken: Taken) -> None:
        for key, value in taken.messages:
            self._producer.produce(PANES_TOPIC, value, key)
        self._warehouse.write(taken)
        self._producer.flush()


class PaneSink(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> PanePartition:
        return PanePartition()


def flow() -> Dataflow:
    dataflow = Dataflow("panes")
    records = op.input("events", dataflow, KafkaSource([KAFKA], [EVENTS_TOPIC], batch_size=2_000))
    op.output("panes", records, PaneSink())
    return dataflow


if __name__ == "__main__":
    cli_main(flow())
