-- Processes that sent something in the range, when last, and how many requests they had. Raw points only of the last minutes: a minute's row does
-- for what is older.
WITH moments AS (
    SELECT
        resource,
        min(started) AS earliest,
        max(started) AS latest,
        sum(weight) FILTER (WHERE kind IN (2, 5) AND started < $end_ns) AS requests
    FROM spans
    WHERE started >= $begin_ns
    GROUP BY resource
    UNION ALL
    SELECT resource, min(time), max(time), 0
    FROM logs
    WHERE time >= $begin_ns
    GROUP BY resource
    UNION ALL
    SELECT series.resource, min(recent.earliest), max(recent.latest), 0
    FROM (
        SELECT series, min(time) AS earliest, max(time) AS latest
        FROM points
        WHERE time >= $recent_ns
        GROUP BY series
    ) AS recent
    JOIN series ON series.id = recent.series
    GROUP BY series.resource
    UNION ALL
    SELECT series.resource, min(minutes.earliest) * 1000000000, max(minutes.latest) * 1000000000, 0
    FROM (
        SELECT series, min(time) AS earliest, max(time) AS latest
        FROM metric_points($since, $until, $hours_since, $hours_until)
        GROUP BY series
    ) AS minutes
    JOIN series ON series.id = minutes.series
    GROUP BY series.resource
),
seen AS (
    SELECT resource, min(earliest) AS earliest, max(latest) AS latest, coalesce(sum(requests), 0) AS requests
    FROM moments
    GROUP BY resource
    HAVING min(earliest) < $end_ns
)
SELECT
    resources.id,
    resources.service,
    resources.instance,
    resources.version,
    resources.environment,
    resources.attributes,
    resources.first_seen,
    seen.earliest,
    seen.latest,
    seen.requests
FROM seen
JOIN resources ON resources.id = seen.resource
WHERE
    ($service IS NULL OR resources.service = $service)
    AND json_extract_string(resources.attributes, '$."perfagent.source.kind"') IS NULL -- the hub's own sources
    AND resources.service <> 'perfagent.doctor' -- the span by which `perfagent doctor` sees whether one arrives
ORDER BY resources.service, seen.latest DESC, resources.instance
LIMIT 5000
