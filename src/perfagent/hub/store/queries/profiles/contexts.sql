-- What there are profiles of in a range: sums by context and process.
WITH told AS (
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
    profile_contexts.kind,
    profile_contexts.unit,
    profile_contexts.endpoint,
    profile_contexts.thread,
    profile_contexts.task,
    profile_contexts.state,
    told.resource,
    sum(told.value)::DOUBLE AS value,
    sum(told.samples)::BIGINT AS samples,
    min(told.moment) AS earliest,
    max(told.moment) AS latest
FROM told
JOIN profile_contexts ON profile_contexts.id = told.context
WHERE list_contains($resources, told.resource)
GROUP BY ALL
ORDER BY value DESC
LIMIT $most
