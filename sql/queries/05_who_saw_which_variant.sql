-- How many people are in each variant of each experiment, since when, and is the split what it should be?
SELECT
    flag,
    variant,
    count() AS people,
    round(100 * people / sum(people) OVER (PARTITION BY flag), 1) AS share_percent,
    min(first_at) AS began_at,
    max(first_at) AS last_joined_at
FROM telemetry.first_exposures
GROUP BY flag, variant
ORDER BY flag, variant
