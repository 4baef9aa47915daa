-- Metrics that have points in the range, by name.
WITH told AS (
    SELECT series, max(time) AS last_seen
    FROM metric_points($since, $until, $hours_since, $hours_until)
    GROUP BY series
)
SELECT
    series.name,
    arg_max(series.kind, told.last_seen) AS kind,
    bool_or(series.monotonic) AS monotonic,
    arg_max(series.unit, told.last_seen) AS unit,
    arg_max(series.description, told.last_seen) AS description,
    list_sort(list(DISTINCT series.service)) AS services,
    count(*) AS series,
    max(told.last_seen) AS last_seen
FROM told
JOIN series ON series.id = told.series
WHERE
    ($service IS NULL OR series.service = $service)
    AND ($q IS NULL OR contains(lower(series.name), lower($q)) OR contains(lower(series.description), lower($q)))
    AND ($after IS NULL OR series.name > $after)
GROUP BY series.name
ORDER BY series.name
LIMIT $limit
