-- What the metrics of caches say, by cache and step; `value` is a reading, `delta` an increment. Processes add up.
WITH caches AS MATERIALIZED ( -- JSON is read once a series, not once a point: 3 times faster
    SELECT
        id,
        service,
        coalesce(json_extract_string(attributes, '$."cache.name"'), '') AS cache,
        coalesce(json_extract_string(attributes, '$."cache.system"'), '') AS system,
        regexp_extract(name, '[._]cache[._](hits|misses|evictions|size|max_size)(_total)?$', 1) AS figure
    FROM series
    WHERE
        contains(name, 'cache')
        AND regexp_extract(name, '[._]cache[._](hits|misses|evictions|size|max_size)(_total)?$', 1) <> ''
        AND ($service IS NULL OR service = $service)
),
steps AS (
    SELECT
        points.time // $step * $step AS time,
        points.series,
        arg_max(points.value, points.time) AS value,
        sum(points.delta) AS delta
    FROM metric_points($since, $until, $hours_since, $hours_until) AS points
    WHERE points.series IN (SELECT id FROM caches)
    GROUP BY ALL
)
SELECT
    steps.time,
    caches.service,
    caches.cache,
    caches.system,
    caches.figure,
    sum(steps.value) AS value,
    coalesce(sum(steps.delta), 0) AS delta
FROM steps
JOIN caches ON caches.id = steps.series
GROUP BY ALL
ORDER BY ALL
