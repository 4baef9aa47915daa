-- The hours in [$since, $until), made of their minutes.
INSERT INTO span_hours
SELECT
    minute // 3600 * 3600 AS hour,
    operation,
    status_code,
    bucket,
    sum(calls),
    sum(errors),
    sum(total),
    max(longest),
    sum(rows)
FROM span_minutes
WHERE minute >= $since AND minute < $until
GROUP BY ALL
ORDER BY hour, operation;

INSERT INTO point_hours
SELECT *
FROM merged_points($since, $until, 3600)
ORDER BY time, series;

INSERT INTO profile_hours
SELECT
    minute // 3600 * 3600 AS hour,
    resource,
    context,
    stack,
    least(sum(value), 9000000000000000000)::BIGINT,
    least(sum(samples), 9000000000000000000)::BIGINT
FROM profile_minutes
WHERE minute >= $since AND minute < $until
GROUP BY ALL
ORDER BY hour, resource, context;

UPDATE progress SET hours = $until
