-- Hits and look-ups of the caches of a service in a range.
WITH caches AS MATERIALIZED (
    SELECT id, regexp_extract(name, '[._]cache[._](hits|misses)(_total)?$', 1) AS figure
    FROM series
    WHERE service = $service AND contains(name, 'cache') AND regexp_matches(name, '[._]cache[._](hits|misses)(_total)?$')
)
SELECT
    coalesce(sum(points.delta) FILTER (caches.figure = 'hits'), 0) AS hits,
    coalesce(sum(points.delta), 0) AS lookups
FROM points
JOIN caches ON caches.id = points.series
WHERE points.time >= $begin_ns AND points.time < $end_ns
