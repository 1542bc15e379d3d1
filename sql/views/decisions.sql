CREATE OR REPLACE VIEW telemetry.decisions
(
    rule LowCardinality(String) COMMENT 'Name of the rule',
    at DateTime64(3, 'UTC') COMMENT 'When it was decided',
    verdict LowCardinality(String) COMMENT 'true, false or unknown',
    reason String COMMENT 'Why',
    decision_id String COMMENT 'One decision',
    kind LowCardinality(String) COMMENT 'verdict: verdict or gate changed; suppression: a notification was held back',
    previous Nullable(String) COMMENT 'The verdict before',
    incident_key Nullable(String) COMMENT 'The incident, when there is one',
    window_from Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant of the window that was judged',
    window_to Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant after it',
    judged_to Nullable(DateTime64(3, 'UTC')) COMMENT 'Events before this had been judged',
    terms String COMMENT 'Every comparison with its evidence, JSON',
    gates String COMMENT 'Conditions on the evidence and whether they let the verdict pass, JSON'
)
AS SELECT
    rule, at, verdict, reason, decision_id, kind, previous, incident_key, window_from, window_to, judged_to, terms, gates
FROM telemetry.decisions_raw FINAL
COMMENT 'Why a verdict changed or somebody was not told, one row per decision, from decisions.v1. Fresh within seconds.'
