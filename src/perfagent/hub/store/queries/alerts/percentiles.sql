-- The 95th percentile of the requests of each service in some minutes.
WITH buckets AS (
    SELECT
        minutes.minute AS time,
        operations.service,
        minutes.bucket,
        sum(minutes.calls) AS calls,
        max(minutes.longest) AS longest
    FROM span_minutes AS minutes
    JOIN operations ON operations.id = minutes.operation
    WHERE
        minutes.minute >= $since AND minutes.minute < $until
        AND minutes.minute IN (SELECT unnest($minutes))
        AND operations.category IN ('server', 'consumer')
        AND ($service IS NULL OR operations.service = $service)
    GROUP BY ALL
),
summed AS (
    SELECT
        *,
        sum(calls) OVER (PARTITION BY time, service ORDER BY bucket) AS upto,
        0.95 * sum(calls) OVER (PARTITION BY time, service) AS rank
    FROM buckets
),
minutes AS (
    SELECT
        time,
        service,
        least(min(pow(2, (bucket + (rank - upto + calls) / calls) / 8)) FILTER (upto >= rank), max(longest)) AS p95
    FROM summed
    GROUP BY ALL
)
SELECT service, list(time) AS times, list(p95 / 1e6) AS values
FROM minutes
GROUP BY service
