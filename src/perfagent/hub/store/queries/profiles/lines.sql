-- The lines that stacks were at, of one function or of all: `own` where nothing was called from there.
WITH {profiles/chosen},
{profiles/told},
{profiles/by_stack},
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
