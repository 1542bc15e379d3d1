CREATE OR REPLACE VIEW telemetry.exposure_variants
(
    subject String COMMENT 'user_id, else session_id',
    flag LowCardinality(String) COMMENT 'Feature flag',
    variant String COMMENT 'The variant the subject belongs to; multiple for who saw more than one: leave those out of an analysis',
    first_at DateTime64(3, 'UTC') COMMENT 'occurred_at of the first exposure',
    variants Array(String) COMMENT 'All that the subject saw, sorted'
)
AS SELECT
    f.subject AS subject, f.flag AS flag, if(length(variants) > 1, 'multiple', toString(f.variant)) AS variant, f.first_at AS first_at,
    arraySort(arrayDistinct(arrayPushBack(s.seen, toString(f.variant)))) AS variants
FROM telemetry.first_exposures AS f
LEFT JOIN
(
    SELECT if(user_id != '', user_id, session_id) AS subject, flag, groupUniqArray(variant) AS seen
    FROM telemetry.feature_exposure
    WHERE subject != '' AND empty(bot_reasons)
    GROUP BY subject, flag
) AS s ON f.subject = s.subject AND f.flag = s.flag
COMMENT 'Which variant of each flag a subject belongs to, with those apart who saw more than one. Fresh within a second; variants after the first are known from events, so for 90 days.'
