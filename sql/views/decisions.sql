CREATE OR REPLACE VIEW telemetry.decisions
(
    rule LowCardinality(String) COMMENT 'Name of the rule',
    at DateTime64(3, 'UTC') COMMENT 'When it was decided',
    verdict LowCardinality(String) COMMENT 'true, false or unknown; empty for a delivery',
    reason String COMMENT 'Why',
    decision_id String COMMENT 'One decision; of a delivery its delivery_id, which has a row per outcome',
    kind LowCardinality(String) COMMENT 'verdict: verdict or gate changed; minute: how the rule stood; suppression: a notification was held back; delivery: what became of a notification; reading: an answer of ClickHouse; heartbeat: the alerter acts',
    previous Nullable(String) COMMENT 'The verdict before',
    incident_key Nullable(String) COMMENT 'The incident, when there is one',
    window_from Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant of the window that was judged',
    window_to Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant after it',
    judged_to Nullable(DateTime64(3, 'UTC')) COMMENT 'Events before this had been judged',
    terms String COMMENT 'Every comparison with its evidence, JSON',
    gates String COMMENT 'Conditions on the evidence and whether they let the verdict pass, JSON',
    labels Map(String, String) COMMENT 'Series that was judged; of a minute the worst one',
    state Nullable(String) COMMENT 'Of that series: inactive, pending, firing, acknowledged, no_data or retro_fired',
    series Map(String, UInt64) COMMENT 'Of a minute: how many series of the rule are in which state',
    reading String COMMENT 'What ClickHouse answered to a question of the rules, JSON',
    receiver LowCardinality(String) COMMENT 'Of a delivery: who is told, else empty',
    outcome LowCardinality(String) COMMENT 'Of a delivery: intended, retrying, delivered, rejected, gave_up, failed_over or stale, else empty'
)
AS SELECT
    rule, at, verdict, reason, decision_id, kind, previous, incident_key, window_from, window_to, judged_to, terms, gates,
    labels, state, series, reading, '' AS receiver, '' AS outcome
FROM telemetry.decisions_raw FINAL
UNION ALL
SELECT
    rule, at, '' AS verdict, concat(receiver, ': ', outcome, if(reason = '', '', concat(', ', reason))) AS reason, delivery_id AS decision_id,
    'delivery' AS kind, NULL AS previous, incident_key, NULL AS window_from, NULL AS window_to, NULL AS judged_to, '' AS terms, '' AS gates,
    map() AS labels, NULL AS state, map() AS series, '' AS reading, receiver, outcome
FROM telemetry.deliveries_raw FINAL
COMMENT 'Why a verdict changed, how each rule stood each minute, who was told or was not, one row each, from decisions.v1 and deliveries.v1. Fresh within seconds.'
