"""Rules, panes and flushes by hand, for any metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from alerting.engine.judge import Judge
from alerting.engine.rule import Rule, parse_rules
from schemas.pane import Flush, Pane
from schemas.timestamps import from_ms
from tests.unit.alerting.traffic import T0_MS, now_at

PARTITIONS = 12


def rule(condition: str = "error_rate > 5% OR avg_time > 30s", *, name: str = "r", by: Iterable[str] = (), more: str = "") -> Rule:
    text = f"rules: [{{name: {name}, condition: '{condition}', by: {list(by)}, channels: [c], severity: critical, runbook: x{more}}}]"
    return parse_rules(text)[0]


def pane(
    metric: str,
    labels: Mapping[str, str],
    at_s: float,
    count: int,
    *,
    total: int = 0,
    buckets: Mapping[int, int] | None = None,
    version: int = 2,
) -> Pane:
    """The pane that `at_s` (seconds after T0) lies in; `total` in millionths."""
    start_ms = now_at(at_s) // 10_000 * 10_000
    return Pane(
        metric=metric,
        labels=dict(labels),
        start=from_ms(start_ms),
        count=count,
        sum=total,
        buckets=dict(buckets or {}),
        last_offset=version // 2,
        version=version,
    )


def flush(partition: int, watermark_s: float, *panes: Pane) -> Flush:
    return Flush(
        source_partition=partition,
        last_offset=max((one.last_offset for one in panes), default=0),
        watermark=from_ms(now_at(watermark_s)),
        caught_up_at=None,
        panes=list(panes),
    )


def judge_of(*rules: Rule, flushes: Iterable[Flush] = (), at_s: float = 60, partitions: int = PARTITIONS) -> Judge:
    """A judge that remembers these flushes, all of them heard at `at_s`."""
    judge = Judge(rules, partitions=partitions)
    for one in flushes:
        judge.remember(one, now_at(at_s))
    return judge


def level(panes: Iterable[Pane], watermark_s: float, partitions: int = PARTITIONS) -> list[Flush]:
    """All panes from partition 0, and every other one as far as that."""
    return [flush(0, watermark_s, *panes), *(flush(partition, watermark_s) for partition in range(1, partitions))]


__all__ = ["PARTITIONS", "T0_MS", "flush", "judge_of", "level", "pane", "rule"]
