-- The log records of one trace.
SELECT
    logs.*,
    resources.service,
    resources.instance
FROM logs
LEFT JOIN resources ON resources.id = logs.resource
WHERE logs.trace_id = $trace_id
ORDER BY logs.time
LIMIT $most
