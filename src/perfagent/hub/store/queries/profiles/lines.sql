-- The lines that stacks were at, of one function or of all: `own` where nothing was called from there.
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
spread AS (
    SELECT DISTINCT ON (stack, frame, line) stack, frame, line, now, before, position = deepest AS leaf
    FROM (
        SELECT
            by_stack.stack,
            unnest(stacks.frames) AS frame,
            unnest(stacks.lines) AS line,
            unnest(generate_series(1, len(stacks.frames))) AS position,
            len(stacks.frames) AS deepest,
            by_stack.now,
            by_stack.before
        FROM by_stack
        JOIN stacks ON stacks.id = by_stack.stack
        WHERE $frame IS NULL OR list_contains(stacks.frames, $frame)
    )
    WHERE $frame IS NULL OR frame = $frame
    ORDER BY stack, frame, line, position DESC
)
SELECT
    frames.id AS frame,
    frames.function,
    frames.file,
    frames.line AS first_line,
    spread.line,
    sum(spread.now)::DOUBLE AS now,
    sum(spread.before)::DOUBLE AS before,
    sum(CASE WHEN spread.leaf THEN spread.now ELSE 0 END)::DOUBLE AS own_now,
    sum(CASE WHEN spread.leaf THEN spread.before ELSE 0 END)::DOUBLE AS own_before
FROM spread
JOIN frames ON frames.id = spread.frame
GROUP BY ALL
ORDER BY (CASE WHEN $by_total THEN sum(spread.now) ELSE own_now END) DESC, sum(spread.now) DESC, spread.line
LIMIT $most
