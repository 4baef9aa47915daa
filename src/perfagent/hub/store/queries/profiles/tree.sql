-- The nodes of the flame graph that matter most, each after those that it is below: sums of the side that is asked for
-- (`now`) and of the one that it is compared with (`before`); $scale and $other_scale make both alike for the order.
WITH {profiles/chosen},
{profiles/told},
{profiles/by_stack},
by_line AS (
    SELECT node, line, sum(now) AS now, sum(before) AS before
    FROM (
        SELECT unnest(stacks.nodes) AS node, unnest(stacks.lines) AS line, by_stack.now, by_stack.before
        FROM by_stack
        JOIN stacks ON stacks.id = by_stack.stack
    )
    GROUP BY node, line
),
whole AS (
    SELECT node, arg_max(line, now + before) AS line, sum(now) AS now, sum(before) AS before
    FROM by_line
    GROUP BY node
),
own AS (
    SELECT stacks.nodes[len(stacks.nodes)] AS node, sum(by_stack.now) AS now, sum(by_stack.before) AS before
    FROM by_stack
    JOIN stacks ON stacks.id = by_stack.stack
    GROUP BY 1
)
SELECT
    whole.node,
    stack_nodes.parent,
    frames.id AS frame,
    frames.function,
    frames.file,
    frames.line AS first_line,
    whole.line,
    whole.now::DOUBLE AS now,
    whole.before::DOUBLE AS before,
    coalesce(own.now, 0)::DOUBLE AS own_now,
    coalesce(own.before, 0)::DOUBLE AS own_before
FROM whole
JOIN stack_nodes ON stack_nodes.id = whole.node
JOIN frames ON frames.id = stack_nodes.frame
LEFT JOIN own ON own.node = whole.node
ORDER BY whole.now * $scale + whole.before * $other_scale DESC, stack_nodes.depth
LIMIT $most
