-- Each metric minute by minute as one number, then its last, mean, smallest and largest: readings of gauges (the mean of
-- their series), levels (their sum), increments of counters a second, means of histograms.
WITH minutes AS (
    SELECT
        series.name,
        series.unit,
        series.kind,
        series.monotonic,
        points.time,
        sum(points.total) / nullif(sum(points.count), 0) AS mean,
        sum(points.delta) / $seconds AS rate,
        sum(points.last) AS level,
        avg(points.value) AS reading
    FROM metric_points($since, $until, $hours_since, $hours_until) AS points
    JOIN series ON series.id = points.series
    WHERE $service IS NULL OR series.service = $service
    GROUP BY series.name, series.unit, series.kind, series.monotonic, points.time
),
figures AS (
    SELECT
        * EXCLUDE (mean, rate, level, reading),
        CASE
            WHEN kind IN ('histogram', 'exponential', 'summary') THEN mean
            WHEN kind = 'sum' AND monotonic THEN rate
            WHEN kind = 'sum' THEN level
            ELSE reading
        END AS value
    FROM minutes
)
SELECT
    name,
    arg_max(unit, time) AS unit,
    arg_max(kind, time) AS kind,
    bool_or(monotonic) AS monotonic,
    arg_max(value, time) AS current,
    avg(value) AS average,
    min(value) AS smallest,
    max(value) AS largest,
    max(time) AS time
FROM figures
WHERE value IS NOT NULL
GROUP BY name
ORDER BY name
LIMIT 1000
