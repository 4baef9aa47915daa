-- Each process that told its age: its service, the first and last minute in which it did, and how old it was, s.
SELECT
    series.service,
    min(points.minute) AS first,
    max(points.minute) AS last,
    max(points.last) AS age
FROM point_minutes AS points
JOIN series ON series.id = points.series
WHERE
    series.name = 'process.uptime'
    AND points.minute >= $earlier AND points.minute < $until
    AND ($service IS NULL OR series.service = $service)
GROUP BY series.service, series.resource
ORDER BY first
