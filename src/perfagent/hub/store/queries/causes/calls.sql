-- Calls of each operation by duration, from the spans that ended in a range: to the moment, where roll-ups know minutes.
WITH ended AS (
    SELECT
        operation,
        CASE WHEN duration > 1 THEN floor(8 * log2(duration))::INTEGER ELSE 0 END AS bucket,
        weight,
        duration,
        status,
        rows
    FROM spans
    WHERE
        started >= $begin_ns - 600_000_000_000 AND started < $end_ns
        AND started + duration >= $begin_ns AND started + duration < $end_ns
),
buckets AS (
    SELECT
        operation,
        bucket,
        sum(weight) AS calls,
        sum(weight) FILTER (status = 2) AS errors,
        sum(weight * duration) AS total,
        max(duration) AS longest,
        sum(weight * rows) FILTER (rows > 0) AS returned
    FROM ended
    GROUP BY ALL
)
SELECT
    operations.id AS operation,
    any_value(operations.service) AS service,
    any_value(operations.category) AS category,
    any_value(operations.name) AS name,
    any_value(operations.system) AS system,
    any_value(operations.text) AS text,
    any_value(operations.first_seen) AS first_seen,
    sum(buckets.calls) AS calls,
    coalesce(sum(buckets.errors), 0) AS errors,
    sum(buckets.total) AS total,
    max(buckets.longest) AS longest,
    coalesce(sum(buckets.returned), 0) AS returned,
    list(buckets.bucket) AS buckets,
    list(buckets.calls) AS counts
FROM buckets
JOIN operations ON operations.id = buckets.operation
WHERE $service IS NULL OR operations.service = $service
GROUP BY operations.id
