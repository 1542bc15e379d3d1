-- How do pages feel to three of four visitors (75th percentile, as Google judges Core Web Vitals), over the last week?
SELECT
    name,
    page,
    count() AS reports,
    round(quantileExact(0.75)(value), 3) AS p75,
    round(100 * countIf(rating = 'poor') / reports, 1) AS poor_percent
FROM telemetry.web_vital
WHERE occurred_at >= now() - INTERVAL 7 DAY
GROUP BY name, page
HAVING reports >= 5
ORDER BY name, poor_percent DESC, page
