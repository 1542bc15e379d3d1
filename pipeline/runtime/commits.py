"""Commits of what ledgers say is durable, and what each refusal means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from pipeline.runtime import metrics
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.kafka_errors import reaction
from pipeline.runtime.ledger import Ledger

COMMIT_TIMEOUT_S = 5.0  # aiokafka retries a commit for ever

log = structlog.get_logger(__name__)


async def commit(consumer: AIOKafkaConsumer, topic: str, ledgers: Iterable[Ledger]) -> None:
    """Commit what is durable and not committed yet. A refusal is no loss: the records are read again by whoever owns the partition.

    Raises Stop when the broker will never accept it (authorization, a wrong group).
    """
    ahead = [ledger for ledger in ledgers if ledger.committable > ledger.committed]
    if not ahead:
        return
    offsets = {ledger.tp: ledger.committable for ledger in ahead}
    try:
        await asyncio.wait_for(consumer.commit(offsets), COMMIT_TIMEOUT_S)
    except (CommitFailedError, IllegalStateError, TimeoutError) as refusal:
        metrics.COMMITS.labels(topic, "refused").inc()
        log.warning("not committed, it will be read again", topic=topic, partitions=len(offsets), error=repr(refusal)[:200])
    except KafkaError as error:
        answer = reaction(error, f"committing offsets of {topic}")
        if not isinstance(answer, RetryAfter):
            raise answer from error
        metrics.COMMITS.labels(topic, "retried").inc()
    else:
        metrics.COMMITS.labels(topic, "committed").inc()
        for ledger in ahead:
            ledger.committed = max(ledger.committed, offsets[ledger.tp])
