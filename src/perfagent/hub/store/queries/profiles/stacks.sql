-- Whole stacks with their sums, the largest first: for files of other tools.
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
),
by_stack AS MATERIALIZED (
    SELECT
        told.stack,
        told.context,
        sum(told.value)::BIGINT AS value,
        sum(told.samples)::BIGINT AS samples
    FROM told
    WHERE
        told.context IN (FROM chosen)
        AND told.moment >= $begin_ns AND told.moment < $end_ns
        AND list_contains($resources, told.resource)
    GROUP BY told.stack, told.context
    ORDER BY value DESC
    LIMIT $most
)
SELECT
    stacks.frames,
    stacks.lines,
    by_stack.value,
    by_stack.samples,
    profile_contexts.endpoint,
    profile_contexts.thread,
    profile_contexts.task,
    profile_contexts.state,
    profile_contexts.unit
FROM by_stack
JOIN stacks ON stacks.id = by_stack.stack
JOIN profile_contexts ON profile_contexts.id = by_stack.context
ORDER BY by_stack.value DESC
