CREATE TABLE IF NOT EXISTS telemetry.decisions_raw
(
    rule LowCardinality(String) COMMENT 'Name of the rule',
    decision_id String COMMENT 'One decision',
    kind LowCardinality(String) COMMENT 'verdict: verdict or gate changed; suppression: a notification was held back',
    at DateTime64(3, 'UTC') COMMENT 'When it was decided',
    verdict LowCardinality(String) COMMENT 'true, false or unknown',
    previous Nullable(String) COMMENT 'The verdict before',
    reason String COMMENT 'Why',
    incident_key Nullable(String) COMMENT 'The incident, when there is one',
    window_from Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant of the window that was judged',
    window_to Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant after it',
    judged_to Nullable(DateTime64(3, 'UTC')) COMMENT 'Events before this had been judged',
    terms String COMMENT 'Every comparison with its evidence, JSON',
    gates String COMMENT 'Conditions on the evidence and whether they let the verdict pass, JSON',
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(at))) COMMENT 'Highest for the first record of a decision'
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (rule, decision_id)
COMMENT 'Archive of decisions.v1: read the view decisions instead.'
