-- Log records, the latest first, after the one at ($before, $position) where that is given.
SELECT
    logs.rowid AS position,
    logs.time,
    logs.severity,
    logs.scope,
    logs.body,
    logs.event,
    logs.attributes,
    logs.trace_id,
    logs.span_id,
    resources.service,
    resources.instance
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.time >= $begin
    AND logs.time < $end
    AND logs.severity >= $least
    AND logs.event IS DISTINCT FROM 'perfagent.cache.economics' -- figures of caches, which their own page shows
    AND ($trace_id IS NULL OR logs.trace_id = $trace_id)
    AND ($service IS NULL OR resources.service = $service)
    AND ($q IS NULL OR contains(lower(logs.body), lower($q)))
    AND ($before IS NULL OR (logs.time, logs.rowid) < ($before, $position))
ORDER BY logs.time DESC, logs.rowid DESC
LIMIT $limit
