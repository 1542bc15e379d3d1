CREATE OR REPLACE VIEW telemetry.error_rate_percentage
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    requests UInt64 COMMENT 'api_request events in [window_start, window_start + window_s)',
    errors UInt64 COMMENT 'Those answered with 5xx',
    error_percentage Float64 COMMENT '100 * errors / requests: a percentage, not a ratio'
)
AS SELECT window_start, window_s, total AS requests, errors, 100 * errors / total AS error_percentage
FROM telemetry.error_rate_total
WHERE metric = 'api_request'
COMMENT 'Share of API requests that failed, in percent, in aligned windows, only where there were requests. Always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
