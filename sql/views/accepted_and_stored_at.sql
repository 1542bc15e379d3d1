CREATE OR REPLACE VIEW telemetry.accepted_and_stored_at
AS WITH
    {end:DateTime64(3, 'UTC')} - toIntervalSecond({window_s:UInt32}) AS from_at,
    -- What gateways say. Without positions it is only an event, whoever sent it.
    claims AS
    (
        SELECT
            toStartOfMinute(sent_at) AS minute, JSONExtractString(properties, 'source') AS source,
            sum(JSONExtractUInt(properties, 'count')) AS count,
            maxForEach(JSONExtract(properties, 'positions', 'Array(UInt64)')) AS positions
        FROM telemetry.events_raw FINAL
        WHERE event_type = 'accepted_count' AND JSONHas(properties, 'positions')
            AND toStartOfHour(sent_at) >= toStartOfHour(from_at) AND sent_at >= from_at AND sent_at < {end:DateTime64(3, 'UTC')}
        GROUP BY minute, source
    ),
    -- What workers have read of it, as sets of offsets: a run may be there twice, cut differently.
    runs AS
    (
        SELECT
            toStartOfMinute(received_at) AS minute, accepted_by AS source, kafka_partition,
            groupBitmapMergeState(bitmapBuild(range(first_offset, last_offset + 1))) AS read,
            groupBitmapMergeState(bitmapBuild(repeated)) AS repeats,
            groupBitmapMergeState(bitmapBuild(dead_lettered)) AS refused
        FROM telemetry.accepted_runs
        WHERE received_at >= from_at AND received_at < {end:DateTime64(3, 'UTC')}
        GROUP BY minute, source, kafka_partition
    ),
    rows AS
    (
        SELECT kafka_partition, groupBitmapState(kafka_offset) AS events
        FROM telemetry.events_raw WHERE received_at >= from_at AND received_at < {end:DateTime64(3, 'UTC')}
        GROUP BY kafka_partition
    ),
    letters AS
    (
        SELECT kafka_partition, groupBitmapState(kafka_offset) AS refused
        FROM telemetry.dead_letters_raw
        WHERE kafka_topic = 'nutricoach.telemetry.events.v1' AND failed_at >= from_at AND failed_at < {end:DateTime64(3, 'UTC')}
        GROUP BY kafka_partition
    ),
    offsets AS
    (
        SELECT
            minute, source, kafka_partition,
            bitmapAndnot(bitmapAndnot(read, repeats), runs.refused) AS counted,
            bitmapAnd(counted, events) AS stored,
            bitmapAndnot(counted, events) AS absent,
            bitmapAnd(bitmapAndnot(runs.refused, repeats), letters.refused) AS dead_lettered,
            repeats
        FROM runs LEFT JOIN rows USING (kafka_partition) LEFT JOIN letters USING (kafka_partition)
    ),
    -- Of those that counted and are not there, some repeat an event of long ago, which is kept instead.
    kept_before AS
    (
        SELECT minute, source, uniqExact(kafka_partition, kafka_offset) AS records
        FROM telemetry.events_raw INNER JOIN
        (
            SELECT minute, source, kafka_partition, kafka_offset, event_id
            FROM telemetry.counted_events INNER JOIN
            (
                SELECT minute, source, kafka_partition, arrayJoin(bitmapToArray(absent)) AS kafka_offset FROM offsets
            ) AS absent USING (kafka_partition, kafka_offset)
            WHERE received_at >= from_at AND received_at < {end:DateTime64(3, 'UTC')}
        ) AS absent USING (event_id)
        GROUP BY minute, source
    )
SELECT
    minute, source,
    if(empty(positions), NULL, claimed) AS accepted,
    stored, dead_lettered, repeated,
    if(
        notEmpty(positions) AND minute > now() - INTERVAL 29 DAY
            AND arrayAll((position, partition) -> position <= read_to[toUInt16(partition - 1)], positions, arrayEnumerate(positions)),
        greatest(toInt64(claimed) - toInt64(stored + dead_lettered + repeated), 0), NULL) AS missing,
    missing / nullIf(accepted, 0) AS missing_ratio
FROM
(
    -- First of all: what is seen of the tables afterwards is at least as new as this.
    SELECT (SELECT mapFromArrays(groupArray(kafka_partition), groupArray(position)) FROM telemetry.partition_progress FINAL) AS read_to
) AS progress
CROSS JOIN
(
    SELECT
        minute, source, sum(count) AS claimed, maxForEach(positions) AS positions,
        sum(stored) AS stored, sum(dead_lettered) AS dead_lettered, sum(repeated) AS repeated
    FROM
    (
        SELECT minute, source, count, positions, 0 AS stored, 0 AS dead_lettered, 0 AS repeated FROM claims
        UNION ALL
        SELECT
            minute, source, 0, [], sum(bitmapCardinality(offsets.stored)), sum(bitmapCardinality(offsets.dead_lettered)),
            sum(bitmapCardinality(repeats))
        FROM offsets GROUP BY minute, source
        UNION ALL
        SELECT minute, source, 0, [], records, 0, 0 FROM kept_before
    )
    GROUP BY minute, source
) AS counts
COMMENT 'accepted_and_stored_at(end = ''2026-11-23 10:15:00'', window_s = 900): records that gateways accepted in the minutes of [end - window_s, end), both on the minute, beside what became of them: minute, source, accepted, stored, dead_lettered, repeated, missing, missing_ratio, as in accepted_and_stored. Fresh within a second.'
