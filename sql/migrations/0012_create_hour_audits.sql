CREATE TABLE IF NOT EXISTS telemetry.hour_audits
(
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    audited_to DateTime('UTC') COMMENT 'Panes of every hour before this one were compared with events_raw once they had closed, and repaired; the highest wins'
)
ENGINE = ReplacingMergeTree(audited_to)
ORDER BY kafka_partition
COMMENT 'How far the audit of closed hours has come; read with FINAL. Hours close in order, and what comes later for an audited hour is in stale_hours.'
