CREATE OR REPLACE VIEW telemetry.web_vitals
(
    metric_id String COMMENT 'Given by the web-vitals library to one metric of one visit of a page; the event_id where it was not sent',
    name String COMMENT 'LCP, INP, FCP, TTFB, in ms; CLS, a score; FID, which libraries no longer measure',
    value Float64 COMMENT 'The last value reported for it: of two at one instant the higher',
    rating String COMMENT 'good, needs-improvement, poor',
    page String COMMENT 'Path template: no query, :id for what names one thing among many, as in panes',
    device String COMMENT 'Empty when absent',
    version LowCardinality(String) COMMENT 'Release of the sender, empty when absent',
    service LowCardinality(String) COMMENT 'source.service',
    environment LowCardinality(String) COMMENT 'source.environment',
    session_id String COMMENT 'Empty when absent',
    user_id String COMMENT 'Empty when absent',
    flags Map(String, String) COMMENT 'Feature flag to variant',
    navigation_type String COMMENT 'navigate, reload, back-forward …; empty when absent',
    occurred_at DateTime64(3, 'UTC') COMMENT 'Of the last report',
    reports UInt64 COMMENT 'How often it was reported'
)
AS WITH
    -- The same rules as pipeline/aggregation/paths.py, which says what they are for; a test holds both against each other.
    replaceRegexpOne(replaceRegexpOne(last.page, '[?#].*', ''), '^[A-Za-z][A-Za-z0-9+.-]*://[^/]*', '') AS path,
    token -> multiIf(
        NOT match(token, '[0-9]') OR NOT match(token, '[A-Za-z]'), false,
        match(token, '^[0-9A-Fa-f]{6,}$|^[0-9]+[A-Fa-f]+[0-9][0-9A-Fa-f]*$'), true,
        length(token) >= 10, match(token, '^[0-9]+[A-Za-z]+[0-9]|^[A-Za-z]+[0-9]+[A-Za-z]'),
        length(token) >= 6 AND match(token, '^[0-9]+[A-Za-z]+[0-9]+[A-Za-z]|^[A-Za-z]+[0-9]+[A-Za-z]+[0-9]')) AS is_id_token,
    segment -> NOT startsWith(segment, ':') AND (
        match(segment, '[0-9]{5}|^[A-Za-z][-_][0-9]+$|@|%40|[A-Za-z]{32}')
        OR (match(segment, '[0-9]') AND match(segment, '^[!-@[-`{-~]+(?:\\.[A-Za-z]{2,5})?$'))
        OR arrayExists(is_id_token, extractAll(segment, '[0-9A-Za-z]+'))) AS is_id,
    if(match(path, '[0-9@]|[A-Za-z]{32}'), arrayStringConcat(arrayMap(segment -> if(is_id(segment), ':id', segment), splitByChar('/', path)), '/'), path) AS template
SELECT
    id AS metric_id, name, last.value AS value, last.rating AS rating, if(template = '', '/', template) AS page,
    ifNull(last.device, '') AS device, last.version AS version, last.service AS service, last.environment AS environment,
    last.session_id AS session_id, last.user_id AS user_id, last.flags AS flags, ifNull(last.navigation_type, '') AS navigation_type,
    last.occurred_at AS occurred_at, reports
FROM
(
    SELECT
        ifNull(v.metric_id, toString(v.event_id)) AS id,
        v.name AS name,
        argMax(
            CAST((v.value, v.rating, v.page, v.device, v.version, v.service, v.environment, v.session_id, v.user_id, v.flags, v.navigation_type, v.occurred_at),
                'Tuple(value Float64, rating String, page String, device Nullable(String), version String, service String, environment String, session_id String, user_id String, flags Map(String, String), navigation_type Nullable(String), occurred_at DateTime64(3, ''UTC''))'),
            (v.occurred_at, v.value, v.event_id)) AS last,
        count() AS reports
    FROM telemetry.web_vital AS v
    WHERE empty(v.bot_reasons)
    GROUP BY id, name
)
COMMENT 'Every measurement of a page''s speed once, bots'' left out: browsers report the same metric_id again as its value grows, and the last report is what the visitor felt. Panes count every report. Fresh within a second.'
