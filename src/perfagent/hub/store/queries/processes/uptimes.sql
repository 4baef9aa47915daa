-- The last uptime that each process told, in seconds, and when.
SELECT series.resource, arg_max(points.value, points.time) AS uptime, max(points.time) AS time
FROM points
JOIN series ON series.id = points.series
WHERE series.name = 'process.uptime' AND points.time >= $recent_ns
GROUP BY series.resource
