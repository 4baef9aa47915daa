-- Calls of each operation by duration, from roll-ups.
WITH buckets AS (
    SELECT
        calls.operation,
        calls.bucket,
        sum(calls.calls) AS calls,
        sum(calls.errors) AS errors,
        sum(calls.total) AS total,
        max(calls.longest) AS longest,
        sum(calls.rows) AS returned
    FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
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
    sum(buckets.errors) AS errors,
    sum(buckets.total) AS total,
    max(buckets.longest) AS longest,
    sum(buckets.returned) AS returned,
    list(buckets.bucket) AS buckets,
    list(buckets.calls) AS counts
FROM buckets
JOIN operations ON operations.id = buckets.operation
WHERE
    ($service IS NULL OR operations.service = $service)
    AND ($operation IS NULL OR operations.id = $operation)
    AND ($categories IS NULL OR list_contains($categories, operations.category))
GROUP BY operations.id
