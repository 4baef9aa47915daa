-- Functions by the time that they took themselves: `total` counts a function once a stack, however often it is in it.
WITH {profiles/chosen},
{profiles/told},
{profiles/by_stack},
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
