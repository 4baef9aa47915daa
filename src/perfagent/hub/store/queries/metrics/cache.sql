-- Hits and misses of all caches.
SELECT
    coalesce(sum(points.delta) FILTER (WHERE list_contains($hits, series.name)), 0) AS hits,
    coalesce(sum(points.delta) FILTER (WHERE list_contains($misses, series.name)), 0) AS misses
FROM metric_points($since, $until, $hours_since, $hours_until) AS points
JOIN series ON series.id = points.series
WHERE
    (list_contains($hits, series.name) OR list_contains($misses, series.name))
    AND ($service IS NULL OR series.service = $service)
