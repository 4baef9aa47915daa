-- How long each process was looked at within a range, seconds.
WITH chosen AS (
    SELECT id
    FROM profile_contexts
    WHERE
        kind = $kind
        AND ($endpoint IS NULL OR endpoint = $endpoint)
        AND ($thread IS NULL OR thread = $thread)
        AND ($task IS NULL OR task = $task)
        AND ($state IS NULL OR state = $state)
),
told AS (
    SELECT time AS moment, resource, context, stack, value, samples
    FROM profile_samples
    WHERE
        time >= $raw_begin AND time < $raw_end
        AND ($trace_id IS NULL OR trace_id = $trace_id)
        AND ($span_id IS NULL OR span_id = $span_id)
    UNION ALL
    SELECT minute * 1_000_000_000, resource, context, stack, value, samples
    FROM profile_minutes
    WHERE minute >= $minute_begin AND minute < $minute_end
    UNION ALL
    SELECT hour * 1_000_000_000, resource, context, stack, value, samples
    FROM profile_hours
    WHERE hour >= $hour_begin AND hour < $hour_end
)
SELECT
    resource,
    (max(moment) - min(moment)) / 1e9 AS seconds,
    count(DISTINCT moment) AS windows,
    sum(value)::DOUBLE AS value,
    sum(samples)::BIGINT AS samples
FROM told
WHERE
    context IN (FROM chosen)
    AND moment >= $begin_ns AND moment < $end_ns
    AND list_contains($resources, resource)
GROUP BY resource
