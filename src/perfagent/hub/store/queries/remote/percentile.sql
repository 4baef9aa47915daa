-- The bucket above which the slowest five in a hundred calls of an operation are.
WITH buckets AS (
    SELECT bucket, sum(calls) AS calls
    FROM span_minutes
    WHERE operation = $operation AND minute >= $since AND minute < $until
    GROUP BY bucket
),
summed AS (
    SELECT bucket, sum(calls) OVER (ORDER BY bucket) AS upto, sum(calls) OVER () AS whole
    FROM buckets
)
SELECT min(bucket) FILTER (upto >= 0.95 * whole) AS bucket
FROM summed
