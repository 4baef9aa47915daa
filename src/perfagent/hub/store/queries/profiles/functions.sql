-- Functions by the time that they took themselves: `total` counts a function once a stack, however often it is in it.
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
        stack,
        sum(CASE WHEN moment >= $begin_ns AND moment < $end_ns AND list_contains($resources, resource) THEN value ELSE 0 END)
        AS now,
        sum(
            CASE
                WHEN moment >= $other_begin_ns AND moment < $other_end_ns AND list_contains($other_resources, resource) THEN value
                ELSE 0
            END
        ) AS before
    FROM told
    WHERE context IN (FROM chosen)
    GROUP BY stack
    HAVING now > 0 OR before > 0
),
whole AS (
    SELECT frame, sum(now) AS now, sum(before) AS before
    FROM (
        SELECT unnest(list_distinct(stacks.frames)) AS frame, by_stack.now, by_stack.before
        FROM by_stack
        JOIN stacks ON stacks.id = by_stack.stack
    )
    GROUP BY frame
),
own AS (
    SELECT
        stacks.frames[len(stacks.frames)] AS frame,
        sum(by_stack.now) AS now,
        sum(by_stack.before) AS before
    FROM by_stack
    JOIN stacks ON stacks.id = by_stack.stack
    GROUP BY 1
)
SELECT
    frames.id AS frame,
    frames.function,
    frames.file,
    frames.line AS first_line,
    whole.now::DOUBLE AS now,
    whole.before::DOUBLE AS before,
    coalesce(own.now, 0)::DOUBLE AS own_now,
    coalesce(own.before, 0)::DOUBLE AS own_before
FROM whole
JOIN frames ON frames.id = whole.frame
LEFT JOIN own ON own.frame = whole.frame
ORDER BY
    CASE WHEN $by_total THEN whole.now * $scale + whole.before * $other_scale
        ELSE coalesce(own.now, 0) * $scale + coalesce(own.before, 0) * $other_scale
    END DESC,
    whole.now DESC,
    frames.function
LIMIT $most
