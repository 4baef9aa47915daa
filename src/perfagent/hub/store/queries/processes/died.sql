-- What was told of processes that died, the latest first.
SELECT logs.time, logs.body, logs.attributes, logs.trace_id, resources.service
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.event = 'perfagent.process.died'
    AND logs.time >= $begin_ns
    AND logs.time < $end_ns
    AND ($service IS NULL OR resources.service = $service)
ORDER BY logs.time DESC
LIMIT 100
