-- Where deprecated things were called from, as the agents' log events tell.
SELECT
    resources.service,
    logs.attributes,
    count(*) AS events,
    min(logs.time) AS first_seen,
    max(logs.time) AS last_seen
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.event = 'deprecation'
    AND logs.time >= $begin_ns AND logs.time < $end_ns
    AND ($service IS NULL OR resources.service = $service)
GROUP BY ALL
ORDER BY events DESC
LIMIT 1000
