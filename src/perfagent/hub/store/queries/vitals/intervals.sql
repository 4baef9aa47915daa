-- How many seconds pass between the metric points of each process: the median.
WITH gaps AS (
    SELECT
        series.resource,
        points.time - lag(points.time) OVER (PARTITION BY points.series ORDER BY points.time) AS gap
    FROM points
    JOIN series ON series.id = points.series
    WHERE points.time >= $begin_ns AND points.time < $end_ns
)
SELECT resource, median(gap) / 1e9 AS seconds
FROM gaps
WHERE gap > 0
GROUP BY resource
