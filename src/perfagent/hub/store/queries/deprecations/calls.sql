-- Calls of what is deprecated, as metrics count them.
SELECT
    series.service,
    series.attributes,
    sum(coalesce(points.delta, 0)) AS calls,
    min(points.time) AS first_seen,
    max(points.time) AS last_seen
FROM metric_points($since, $until, $hours_since, $hours_until) AS points
JOIN series ON series.id = points.series
WHERE
    series.name IN ('deprecated_function_calls_total', 'deprecated_function_calls')
    AND ($service IS NULL OR series.service = $service)
GROUP BY series.service, series.attributes
HAVING sum(coalesce(points.delta, 0)) > 0
ORDER BY calls DESC
LIMIT 1000
