-- Readings and increments of metrics by step and process: each series averaged over the step, then those of a process
-- (CPU modes, states of a pool) added up.
WITH chosen AS MATERIALIZED (
    SELECT id, name, resource
    FROM series
    WHERE list_contains($names, name) AND ($service IS NULL OR service = $service)
),
steps AS (
    SELECT time // $step * $step AS time, series, avg(value) AS value, sum(delta) AS delta
    FROM metric_points($since, $until, $hours_since, $hours_until)
    WHERE series IN (SELECT id FROM chosen)
    GROUP BY ALL
)
SELECT steps.time, chosen.name, chosen.resource, sum(steps.value) AS value, sum(steps.delta) AS delta
FROM steps
JOIN chosen ON chosen.id = steps.series
GROUP BY ALL
