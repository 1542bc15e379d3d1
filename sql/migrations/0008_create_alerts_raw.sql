CREATE TABLE IF NOT EXISTS telemetry.alerts_raw
(
    incident_key String COMMENT 'One incident',
    transition_id String COMMENT 'One transition of it',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    severity LowCardinality(String) COMMENT 'critical, high, medium or low',
    state LowCardinality(String) COMMENT 'firing, resolved, retro_fired or retro_cleared',
    at DateTime64(3, 'UTC') COMMENT 'When the alerter decided',
    since DateTime64(3, 'UTC') COMMENT 'Event time at which the condition became what it is',
    condition String COMMENT 'The rule''s condition, literally',
    term String COMMENT 'The comparison that decided',
    value Float64 COMMENT 'numerator / denominator',
    threshold Float64 COMMENT 'What value was compared with',
    unit LowCardinality(String) COMMENT 'ratio or ms, of value and threshold',
    numerator Float64 COMMENT 'Errors, or milliseconds in all',
    denominator Float64 COMMENT 'Events',
    window_from DateTime64(3, 'UTC') COMMENT 'First instant of the window',
    window_to DateTime64(3, 'UTC') COMMENT 'First instant after the window',
    judged_to DateTime64(3, 'UTC') COMMENT 'Events before this had been judged',
    watermark Nullable(DateTime64(3, 'UTC')) COMMENT 'Lowest effective watermark of all partitions, NULL while one had said nothing',
    labels Map(String, String) COMMENT 'Selection the rule is restricted to',
    terms String COMMENT 'Every comparison of the condition with its evidence, JSON',
    gates String COMMENT 'Conditions on the evidence and whether they let the verdict pass, JSON',
    sql String COMMENT 'Gives the same numerator, denominator and value from events',
    window_sql String COMMENT 'Gives them from panes once all of the window is closed',
    summary String COMMENT 'One line for people',
    reason String COMMENT 'Why this transition',
    runbook String COMMENT 'Where to read what to do',
    channels Array(String) COMMENT 'Receivers of the first step',
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(at))) COMMENT 'Highest for the first record of a transition'
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (incident_key, transition_id)
COMMENT 'Archive of alerts.v1, open incidents once a day again: read the view alerts instead.'
