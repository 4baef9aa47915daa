-- Readings of a metric of a service in a range, as they came.
SELECT coalesce(points.value, points.total / nullif(points.count, 0)) AS value
FROM points
JOIN series ON series.id = points.series
WHERE series.name = $name AND series.service = $service AND points.time >= $begin_ns AND points.time < $end_ns
ORDER BY points.time
LIMIT 20000
