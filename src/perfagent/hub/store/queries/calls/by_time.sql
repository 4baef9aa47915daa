-- Calls of all chosen operations together by step and duration, from roll-ups.
WITH buckets AS (
    SELECT
        calls.time // $step * $step AS time,
        calls.bucket,
        sum(calls.calls) AS calls,
        sum(calls.errors) AS errors,
        sum(calls.total) AS total,
        max(calls.longest) AS longest,
        sum(calls.rows) AS returned
    FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
    JOIN operations ON operations.id = calls.operation
    WHERE
        ($service IS NULL OR operations.service = $service)
        AND ($operation IS NULL OR calls.operation = $operation)
        AND ($categories IS NULL OR list_contains($categories, operations.category))
    GROUP BY ALL
)
SELECT
    time,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    sum(returned) AS returned,
    list(bucket) AS buckets,
    list(calls) AS counts
FROM buckets
GROUP BY time
ORDER BY time
