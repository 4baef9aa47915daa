-- Whole stacks with their sums, the largest first: for files of other tools.
WITH {profiles/chosen},
{profiles/told},
by_stack AS MATERIALIZED (
    SELECT
        told.stack,
        told.context,
        least(sum(told.value), 9000000000000000000)::BIGINT AS value,
        least(sum(told.samples), 9000000000000000000)::BIGINT AS samples
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
