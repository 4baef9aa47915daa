-- Readings and increments by block of $width_ns, process and metric, from the points themselves: each series averaged
-- over the block, then those of a process (CPU modes, hits of caches of one name) added up.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        name,
        service,
        resource,
        coalesce(json_extract_string(attributes, '$."cache.name"'), '') AS cache,
        coalesce(json_extract_string(attributes, '$."cache.system"'), '') AS system
    FROM series
    WHERE
        ($service IS NULL OR service = $service)
        AND ($resources IS NULL OR list_contains($resources, resource))
        AND (list_contains($names, name) OR regexp_matches(name, '[._]cache[._](hits|misses)(_total)?$'))
),
blocks AS (
    SELECT (time - $begin_ns) // $width_ns AS block, series, avg(value) AS value, sum(delta) AS delta
    FROM points
    WHERE time >= $begin_ns AND time < $end_ns AND series IN (SELECT id FROM chosen)
    GROUP BY ALL
)
SELECT
    chosen.name, chosen.service, chosen.resource, chosen.cache, chosen.system, blocks.block,
    sum(blocks.value) AS value, sum(blocks.delta) AS delta
FROM blocks
JOIN chosen ON chosen.id = blocks.series
GROUP BY ALL
ORDER BY ALL
