-- The last plan that an agent told of a statement.
SELECT logs.time, logs.attributes
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.event = 'perfagent.query.plan'
    AND logs.time >= $begin_ns
    AND logs.time < $end_ns
    AND resources.service = $service
    AND json_extract_string(logs.attributes, '$."db.query.text"') = $text
ORDER BY logs.time DESC
LIMIT 1
