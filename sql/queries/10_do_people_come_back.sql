-- Do people come back: of those who came first in each week, how many percent were there one, seven and thirty days later?
SELECT
    toMonday(cohort_day) AS week,
    sumIf(cohort_size, day_n = 0) AS people,
    round(100 * sumIf(retained, day_n = 1 AND mature) / nullIf(sumIf(cohort_size, day_n = 1 AND mature), 0), 2) AS d1_percent,
    round(100 * sumIf(retained, day_n = 7 AND mature) / nullIf(sumIf(cohort_size, day_n = 7 AND mature), 0), 2) AS d7_percent,
    round(100 * sumIf(retained, day_n = 30 AND mature) / nullIf(sumIf(cohort_size, day_n = 30 AND mature), 0), 2) AS d30_percent
FROM telemetry.retention
GROUP BY week
ORDER BY week
