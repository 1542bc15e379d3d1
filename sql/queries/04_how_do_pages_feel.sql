-- How do pages feel to three of four visitors (75th percentile, as Google judges Core Web Vitals), over the last 28 days?
SELECT
    name,
    page,
    count() AS measurements,
    if(measurements >= 50, round(arraySort(groupArray(value))[intDiv(75 * measurements + 99, 100)], 3), NULL) AS p75,
    round(100 * countIf(rating = 'poor') / measurements, 1) AS poor_percent
FROM telemetry.web_vitals
WHERE occurred_at >= now() - INTERVAL 28 DAY AND name != 'FID'
GROUP BY name, page
ORDER BY name, poor_percent DESC, page
