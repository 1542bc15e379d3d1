-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.onboarding_abandonment
(
    day Date COMMENT 'Day of occurred_at, UTC',
    step Int64 COMMENT 'The step of the onboarding at which people left',
    people UInt64 COMMENT 'Users, or sessions without a user, who left there last on that day',
    median_time_spent_ms Float64 COMMENT 'Median of their time_spent_ms'
)
AS SELECT day, tupleElement(last, 1) AS step, count() AS people, quantileExact(0.5)(tupleElement(last, 2)) AS median_time_spent_ms
FROM
(
    SELECT toDate(occurred_at, 'UTC') AS day, argMax((step, time_spent_ms), (occurred_at, event_id)) AS last
    FROM telemetry.onboarding_abandoned
    WHERE empty(bot_reasons)
    GROUP BY day, if(user_id != '', user_id, if(session_id != '', session_id, toString(event_id)))
)
GROUP BY day, step
COMMENT 'Where people left the onboarding on each day, UTC; who leaves twice on a day is counted where it was last. Fresh within a second; reaches as far back as the events, 90 days.'
