ALTER TABLE telemetry.alerts_raw
    ADD COLUMN IF NOT EXISTS owner LowCardinality(String) COMMENT 'Team the rule belongs to',
    ADD COLUMN IF NOT EXISTS context String
        COMMENT 'Top error classes, suspects with their lift and trace ids of the failing events when it fired, JSON; empty before',
    COMMENT COLUMN state 'firing, acknowledged, no_data, resolved, retro_fired or retro_cleared',
    COMMENT COLUMN unit 'ratio, ms, rating or count, of value and threshold',
    COMMENT COLUMN labels 'Labels of the rule and of the series it fires for'
