-- Hits and look-ups of all caches of each service by the minute; lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT id, service, regexp_matches(name, 'hits') AS hit
    FROM series
    WHERE
        contains(name, 'cache')
        AND regexp_matches(name, '[._]cache[._](hits|misses)(_total)?$')
        AND ($service IS NULL OR service = $service)
),
points AS (
    SELECT minute, series, sum(delta) AS delta
    FROM point_minutes
    WHERE minute >= $since AND minute < $until AND series IN (SELECT id FROM chosen)
    GROUP BY ALL
),
minutes AS (
    SELECT
        chosen.service,
        points.minute,
        coalesce(sum(points.delta) FILTER (chosen.hit), 0) AS hits,
        coalesce(sum(points.delta), 0) AS lookups
    FROM points
    JOIN chosen ON chosen.id = points.series
    GROUP BY ALL
)
SELECT service, list(minute) AS times, list(hits) AS hits, list(lookups) AS lookups
FROM minutes
GROUP BY service
