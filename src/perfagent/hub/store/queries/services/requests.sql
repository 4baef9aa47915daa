-- Requests of each service by duration, from roll-ups.
WITH buckets AS (
    SELECT
        operations.service,
        calls.bucket,
        sum(calls.calls) AS calls,
        sum(calls.errors) AS errors,
        sum(calls.total) AS total,
        max(calls.longest) AS longest,
        sum(calls.rows) AS returned
    FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
    JOIN operations ON operations.id = calls.operation
    WHERE operations.category IN ('server', 'consumer')
    GROUP BY ALL
)
SELECT
    service,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    sum(returned) AS returned,
    list(bucket) AS buckets,
    list(calls) AS counts
FROM buckets
GROUP BY service
