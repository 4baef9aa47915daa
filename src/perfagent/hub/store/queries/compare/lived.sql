-- Processes with when they began and were last heard of, the newest first.
WITH moments AS (
    SELECT resource, min(started) AS earliest, max(started) AS latest
    FROM spans
    GROUP BY resource
    UNION ALL
    SELECT series.resource, min(minutes.earliest) * 1000000000, (max(minutes.latest) + 60) * 1000000000
    FROM (SELECT series, min(minute) AS earliest, max(minute) AS latest FROM point_minutes GROUP BY series) AS minutes
    JOIN series ON series.id = minutes.series
    GROUP BY series.resource
    UNION ALL
    SELECT resource, min(minute) * 1000000000, (max(minute) + 60) * 1000000000
    FROM profile_minutes
    GROUP BY resource
)
SELECT
    resources.id, resources.service, resources.instance, resources.version,
    min(moments.earliest) / 1e9 AS earliest, max(moments.latest) / 1e9 AS latest
FROM resources
JOIN moments ON moments.resource = resources.id
WHERE ($service IS NULL OR resources.service = $service)
GROUP BY ALL
ORDER BY latest DESC
LIMIT 5000
