-- What agents noticed by themselves and was seen since $lately_ns, and plans of all the range: for each kind, service and
-- subject the last event, and how often it was seen in the range. Subject and count are looked for as text, a tenth of
-- what reading the JSON takes: within another text, their quotes would have a backslash.
WITH told AS (
    SELECT
        time,
        event,
        resource,
        regexp_extract(attributes, '"perfagent\.notice\.subject": ?"((?:[^"\\]|\\.)*)"', 1) AS quoted,
        try_cast(regexp_extract(attributes, '"perfagent\.notice\.count": ?"?([0-9]+)', 1) AS BIGINT) AS seen
    FROM logs
    WHERE event LIKE 'perfagent.%' AND time >= $begin_ns AND time < $end_ns
),
lately AS (
    SELECT * FROM logs WHERE event LIKE 'perfagent.%' AND time >= $lately_ns AND time < $end_ns
    UNION ALL
    SELECT * FROM logs WHERE event = 'perfagent.query.plan' AND time >= $begin_ns AND time < $lately_ns
),
latest AS (
    SELECT
        lately.event,
        resources.service,
        regexp_extract(lately.attributes, '"perfagent\.notice\.subject": ?"((?:[^"\\]|\\.)*)"', 1) AS quoted,
        arg_max(lately.body, lately.time) AS body,
        arg_max(lately.attributes, lately.time) AS attributes,
        arg_max(lately.trace_id, lately.time) AS trace_id
    FROM lately
    JOIN resources ON resources.id = lately.resource
    WHERE quoted <> '' AND ($service IS NULL OR resources.service = $service)
    GROUP BY ALL
    ORDER BY max(lately.time) DESC
    LIMIT 500
)
SELECT
    latest.event,
    latest.service,
    latest.body,
    latest.attributes,
    latest.trace_id,
    min(told.time) AS first_seen,
    max(told.time) AS last_seen,
    sum(coalesce(told.seen, 1)) AS seen
FROM latest
JOIN told ON told.event = latest.event AND told.quoted = latest.quoted
JOIN resources ON resources.id = told.resource AND resources.service = latest.service
GROUP BY ALL
ORDER BY last_seen DESC
