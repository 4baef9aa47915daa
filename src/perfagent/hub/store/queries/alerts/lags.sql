-- How late event loops were, by the minute and service: the upper bound of the bucket that holds the 99th percentile, in
-- ms, at most the longest; lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT id, service, bounds
    FROM series
    WHERE
        name = 'perfagent.eventloop.lag'
        AND bounds IS NOT NULL
        AND ($service IS NULL OR service = $service)
),
points AS (
    SELECT
        chosen.service,
        points.minute,
        CASE
            -- Most minutes: nothing was late, and nothing needs to be added up.
            WHEN points.largest < 0.02 THEN points.largest
            ELSE least(
                points.largest,
                chosen.bounds[len(list_filter(
                    list_transform(range(1, len(points.buckets) + 1), lambda i: list_sum(points.buckets[i:])),
                    lambda above: above > 0.01 * points.count
                ))]
            )
        END AS p99
    FROM point_minutes AS points
    JOIN chosen ON chosen.id = points.series
    WHERE points.minute >= $since AND points.minute < $until AND points.count > 0
),
minutes AS (
    SELECT service, minute, max(p99) * 1000 AS p99
    FROM points
    GROUP BY ALL
)
SELECT service, list(minute) AS times, list(p99) AS values
FROM minutes
GROUP BY service
