-- Calls of requests, statements and outgoing calls by step and duration, from roll-ups: one reading in place of three.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        CASE
            WHEN list_contains($requests, category) THEN 'requests'
            WHEN list_contains($outgoing, category) THEN 'outgoing'
            WHEN category = 'db' THEN 'queries'
        END AS kind
    FROM operations
    WHERE $service IS NULL OR service = $service
),
buckets AS (
    SELECT
        chosen.kind,
        calls.time // $step * $step AS time,
        calls.bucket,
        sum(calls.calls) AS calls,
        sum(calls.errors) AS errors,
        sum(calls.total) AS total,
        max(calls.longest) AS longest,
        sum(calls.rows) AS returned
    FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
    JOIN chosen ON chosen.id = calls.operation
    WHERE chosen.kind IS NOT NULL
    GROUP BY ALL
)
SELECT
    kind,
    time,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    sum(returned) AS returned,
    list(bucket) AS buckets,
    list(calls) AS counts
FROM buckets
GROUP BY kind, time
ORDER BY kind, time
