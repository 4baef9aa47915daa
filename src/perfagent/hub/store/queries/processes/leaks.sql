-- What a process keeps more and more of, by holder: the last event about each, and how many entries each event told.
SELECT
    json_extract_string(logs.attributes, '$."perfagent.notice.subject"') AS holder,
    arg_max(logs.attributes, logs.time) AS attributes,
    min(logs.time) AS first_seen,
    max(logs.time) AS last_seen,
    list(logs.time ORDER BY logs.time) AS times,
    list(
        try_cast(json_extract_string(logs.attributes, '$."perfagent.memory_leak.entries"') AS DOUBLE)
        ORDER BY logs.time
    ) AS entries
FROM logs
JOIN resources ON resources.id = logs.resource
WHERE
    logs.event = 'perfagent.memory_leak'
    AND resources.instance = $instance
    AND logs.time >= $begin_ns
    AND logs.time < $end_ns
GROUP BY holder
HAVING holder IS NOT NULL
ORDER BY last_seen DESC
LIMIT 50
