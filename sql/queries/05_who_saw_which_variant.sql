-- How many people are in each variant of each experiment, since when, and is the split what it should be? Who saw several is in none.
SELECT
    flag,
    variant,
    count() AS people,
    if(variant = 'multiple', NULL, round(100 * people / sum(if(variant = 'multiple', 0, people)) OVER (PARTITION BY flag), 1)) AS share_percent,
    min(first_at) AS began_at,
    max(first_at) AS last_joined_at
FROM telemetry.exposure_variants
GROUP BY flag, variant
ORDER BY flag, variant
