-- When the largest content of pages was painted, by the minute and service: the upper bound of the bucket that holds the
-- 95th percentile, in ms, at most the longest; lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT id, service, bounds
    FROM series
    WHERE
        name = 'browser.web_vital.lcp'
        AND bounds IS NOT NULL
        AND ($service IS NULL OR service = $service)
),
single AS (
    SELECT
        chosen.service,
        points.minute,
        chosen.bounds[generate_subscripts(points.buckets, 1)] AS upper,
        unnest(points.buckets) AS amount,
        points.largest
    FROM point_minutes AS points
    JOIN chosen ON chosen.id = points.series
    WHERE points.minute >= $since AND points.minute < $until AND points.count > 0
),
buckets AS (
    SELECT service, minute, upper, sum(amount) AS amount, max(largest) AS largest
    FROM single
    WHERE amount > 0
    GROUP BY ALL
),
summed AS (
    SELECT
        *,
        sum(amount) OVER (PARTITION BY service, minute ORDER BY upper NULLS LAST) AS upto,
        0.95 * sum(amount) OVER (PARTITION BY service, minute) AS rank
    FROM buckets
),
minutes AS (
    SELECT service, minute, least(min(coalesce(upper, largest)) FILTER (upto >= rank), max(largest)) AS p95
    FROM summed
    GROUP BY ALL
)
SELECT service, list(minute) AS times, list(p95) AS values
FROM minutes
GROUP BY service
