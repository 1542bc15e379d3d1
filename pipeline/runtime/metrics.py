"""The metrics of the runtime, as /metrics of every role shows them. Labels are bounded: topics, partitions, fixed words."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS_READ = Counter("nutricoach_source_records_total", "Records delivered in chunks, replays included.", ["topic"])
RECORDS_OPEN = Gauge("nutricoach_source_open_records", "Records held in memory by chunks that are not done.", ["topic"])
BYTES_OPEN = Gauge("nutricoach_source_open_bytes", "Bytes of keys and values held in memory by chunks that are not done.", ["topic"])
HEAD_AGE = Gauge(
    "nutricoach_source_head_age_seconds", "Age of the oldest chunk that is not done, the highest of all partitions.", ["topic"]
)
PARTITIONS = Gauge(
    "nutricoach_source_partitions", "Partitions owned, by whether they are read already or their state is loading.", ["topic", "state"]
)
THROTTLED = Counter("nutricoach_source_throttled_total", "Times reading was paused because too much was open.", ["topic"])
LAG = Gauge("nutricoach_source_lag_records", "Records at the broker that are not durable yet.", ["topic", "partition"])
COMMITS = Counter(
    "nutricoach_source_commits_total", "Commits by outcome: committed, refused (read again by somebody), retried.", ["topic", "outcome"]
)
REWINDS = Counter(
    "nutricoach_source_rewinds_total", "Partitions read again from their committed offset, by reason: failed, asked.", ["topic", "reason"]
)
REBALANCES = Counter("nutricoach_source_rebalances_total", "Assignments of partitions received from the group.", ["topic"])
SENT = Counter("nutricoach_producer_messages_total", "Messages handed to Kafka by outcome: acknowledged, failed.", ["topic", "outcome"])
TAILED = Counter("nutricoach_tail_records_total", "Records of topics read outside a group.", ["topic"])
UNREADABLE = Counter("nutricoach_unreadable_records_total", "Records of any topic that were not what the topic holds.", ["topic"])
LOG_LINES_DROPPED = Counter("nutricoach_log_lines_dropped_total", "Repeated lines of a logger that were not written.", ["logger"])
