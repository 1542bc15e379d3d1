CREATE OR REPLACE VIEW telemetry.web_vitals_p75
(
    day Date COMMENT 'UTC, of the last report of each measurement',
    name String COMMENT 'LCP, INP, FCP, TTFB, in ms; CLS, a score; FID',
    page String COMMENT 'Path template',
    device String COMMENT 'Empty when absent',
    version LowCardinality(String) COMMENT 'Release of the sender, empty when absent',
    n UInt64 COMMENT 'Measurements, each counted once however often it was reported',
    p75 Nullable(Float64) COMMENT 'The value of rank ceil(0.75 * n), NULL below 50 measurements: too few to say',
    poor_ratio Float64 COMMENT 'Measurements rated poor / n, 0 to 1',
    assessment String COMMENT 'good, needs-improvement or poor by p75 and Google''s thresholds; insufficient below 50 measurements; legacy for FID, which is never judged'
)
AS WITH
    arraySort(groupArray((value, rating)))[intDiv(75 * n + 99, 100)] AS of_rank
SELECT
    toDate(occurred_at) AS day, name, page, device, version,
    count() AS n,
    if(n >= 50, of_rank.1, NULL) AS p75,
    countIf(rating = 'poor') / n AS poor_ratio,
    multiIf(name = 'FID', 'legacy', n < 50, 'insufficient', of_rank.2) AS assessment
FROM telemetry.web_vitals AS v
GROUP BY day, name, page, device, version
COMMENT 'How pages feel to three of four visitors, by day, page, device and release, as Google judges Core Web Vitals: the 75th percentile over visits, good up to 2500 ms LCP, 200 ms INP, 0.1 CLS, 1800 ms FCP, 800 ms TTFB, poor above 4000, 500, 0.25, 3000, 1800. For longer periods take web_vitals: percentiles of days do not add up. Fresh within a second.'
