CREATE OR REPLACE VIEW telemetry.menu_generation_latency
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    attempts UInt64 COMMENT 'menu_generated events of any outcome in [window_start, window_start + window_s)',
    p95_ms Float64 COMMENT 'The duration of rank ceil(0.95 * attempts), at most 1.1 % off'
)
AS SELECT window_start, window_s, count AS attempts, p95_ms
FROM telemetry.latency_total
WHERE metric = 'menu_generation'
COMMENT 'How long people wait for a menu or for being told that there is none, p95 over all providers and outcomes, in aligned windows. Always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
