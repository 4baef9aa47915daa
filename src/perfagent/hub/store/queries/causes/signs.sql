-- Points of the vital signs of processes, of pools and of caches as they came, the oldest first. Readings have a
-- `value`, counters a `delta`, histograms a `count` and buckets.
WITH chosen AS MATERIALIZED (
    SELECT id, resource, service, name, bounds, attributes
    FROM series
    WHERE
        (
            list_contains($names, name)
            OR contains(name, 'cache') AND regexp_matches(name, '[._]cache[._](hits|misses)(_total)?$')
        )
        AND ($service IS NULL OR service = $service)
)
SELECT
    points.time,
    chosen.resource,
    chosen.service,
    chosen.name,
    chosen.attributes,
    chosen.bounds,
    points.value,
    points.delta,
    points.count,
    points.total,
    points.largest,
    points.buckets
FROM points
JOIN chosen ON chosen.id = points.series
WHERE points.time >= $begin_ns AND points.time < $end_ns
ORDER BY points.time
