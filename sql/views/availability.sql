CREATE OR REPLACE VIEW telemetry.availability
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    requests UInt64 COMMENT 'api_request events in [window_start, window_start + window_s)',
    successes UInt64 COMMENT 'Those not answered with 5xx',
    availability_ratio Float64 COMMENT 'successes / requests, 0 to 1'
)
AS SELECT window_start, window_s, total AS requests, total - errors AS successes, successes / total AS availability_ratio
FROM telemetry.error_rate_total
WHERE metric = 'api_request'
COMMENT 'Share of API requests that were answered without a server error, in aligned windows, only where there were requests. Always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
