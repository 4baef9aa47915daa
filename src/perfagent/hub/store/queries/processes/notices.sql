-- What agents noticed by themselves: for each kind, service and subject the last event, and how often it was seen.
SELECT
    logs.event,
    resources.service,
    json_extract_string(logs.attributes, '$."perfagent.notice.subject"') AS subject,
    arg_max(logs.body, logs.time) AS body,
    arg_max(logs.attributes, logs.time) AS attributes,
    arg_max(logs.trace_id, logs.time) AS trace_id,
    min(logs.time) AS first_seen,
    max(logs.time) AS last_seen,
    sum(coalesce(try_cast(json_extract_string(logs.attributes, '$."perfagent.notice.count"') AS BIGINT), 1)) AS seen
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.event LIKE 'perfagent.%'
    AND subject IS NOT NULL
    AND logs.time >= $begin_ns
    AND logs.time < $end_ns
    AND ($service IS NULL OR resources.service = $service)
GROUP BY ALL
ORDER BY last_seen DESC
LIMIT 500
