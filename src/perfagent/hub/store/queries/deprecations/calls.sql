-- Calls of what is deprecated: by the line that makes them, from perfagent's agents, and by function alone.
SELECT
    series.service,
    series.attributes,
    series.name = 'perfagent.deprecation.calls' AS placed,
    sum(points.delta) AS calls,
    min(points.time) AS first_seen,
    max(points.time) AS last_seen
FROM metric_points($since, $until, $hours_since, $hours_until) AS points
JOIN series ON series.id = points.series
WHERE
    series.name IN (
        'perfagent.deprecation.calls', 'deprecated_function_calls_total', 'deprecated_function_calls'
    )
    AND points.delta > 0
    AND ($service IS NULL OR series.service = $service)
GROUP BY series.service, series.attributes, placed
ORDER BY calls DESC
LIMIT 5000
