ALTER TABLE telemetry.decisions_raw
    ADD COLUMN IF NOT EXISTS labels Map(String, String) COMMENT 'Series that was judged; of a minute the worst one',
    ADD COLUMN IF NOT EXISTS state Nullable(String) COMMENT 'Of that series: inactive, pending, firing, acknowledged, no_data or retro_fired',
    ADD COLUMN IF NOT EXISTS series Map(String, UInt64) COMMENT 'Of a minute: how many series of the rule are in which state',
    ADD COLUMN IF NOT EXISTS reading String COMMENT 'What ClickHouse answered to a question of the rules, JSON',
    COMMENT COLUMN kind 'verdict: verdict or gate changed; minute: how the rule stood; suppression: a notification was held back; reading: an answer of ClickHouse; heartbeat: the alerter acts'
