CREATE OR REPLACE VIEW telemetry.alerts
(
    incident_key String COMMENT 'One incident',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    severity LowCardinality(String) COMMENT 'critical, high, medium or low',
    state LowCardinality(String) COMMENT 'firing, acknowledged, no_data, resolved, retro_fired or retro_cleared',
    at DateTime64(3, 'UTC') COMMENT 'When the alerter decided',
    value Float64 COMMENT 'numerator / denominator',
    threshold Float64 COMMENT 'What value was compared with',
    window_from DateTime64(3, 'UTC') COMMENT 'First instant of the window',
    window_to DateTime64(3, 'UTC') COMMENT 'First instant after the window',
    transition_id String COMMENT 'One transition of the incident',
    since DateTime64(3, 'UTC') COMMENT 'Event time at which the condition became what it is',
    condition String COMMENT 'The rule''s condition, literally',
    term String COMMENT 'The comparison that decided',
    unit LowCardinality(String) COMMENT 'ratio, ms, rating or count, of value and threshold',
    numerator Float64 COMMENT 'Errors, or milliseconds in all, or what else the rule divides',
    denominator Float64 COMMENT 'Events',
    judged_to DateTime64(3, 'UTC') COMMENT 'Events before this had been judged',
    watermark Nullable(DateTime64(3, 'UTC')) COMMENT 'Lowest effective watermark of all partitions, NULL while one had said nothing',
    labels Map(String, String) COMMENT 'Labels of the rule and of the series it fires for',
    terms String COMMENT 'Every comparison of the condition with its evidence, JSON',
    gates String COMMENT 'Conditions on the evidence and whether they let the verdict pass, JSON',
    sql String COMMENT 'Gives the same numerator, denominator and value from events',
    window_sql String COMMENT 'Gives them from panes once all of the window is closed',
    summary String COMMENT 'One line for people',
    reason String COMMENT 'Why this transition',
    runbook String COMMENT 'Where to read what to do',
    channels Array(String) COMMENT 'Receivers of the first step',
    owner LowCardinality(String) COMMENT 'Team the rule belongs to',
    context String COMMENT 'Top error classes, suspects with their lift and trace ids when it fired, JSON; empty before'
)
AS SELECT
    incident_key, rule, severity, state, at, value, threshold, window_from, window_to, transition_id, since, condition, term, unit,
    numerator, denominator, judged_to, watermark, labels, terms, gates, sql, window_sql, summary, reason, runbook, channels,
    owner, context
FROM telemetry.alerts_raw FINAL
COMMENT 'Every transition of every incident, one row each, from alerts.v1. Fresh within seconds; the newest row of an incident is its state.'
