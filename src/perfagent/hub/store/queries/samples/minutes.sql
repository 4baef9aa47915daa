-- The first and the last minute of a range in which each operation had calls longer than its bucket, seconds since the
-- epoch.
WITH limits AS (
    SELECT unnest($operations) AS operation, unnest($buckets) AS bucket
)
SELECT calls.operation, min(calls.time) AS first, max(calls.time) AS last
FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
JOIN limits ON limits.operation = calls.operation AND calls.bucket >= limits.bucket
GROUP BY ALL
