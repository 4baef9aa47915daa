-- In the requests of which operations a statement runs.
WITH runs AS MATERIALIZED (
    SELECT trace_id, resource, count(*) AS times
    FROM spans
    WHERE
        operation = $operation
        AND started >= $begin_ns AND started < $end_ns
    GROUP BY ALL
),
entries AS (
    SELECT trace_id, resource, operation
    FROM spans
    WHERE
        entry
        AND started >= $begin_ns - 3_600_000_000_000 AND started < $end_ns
)
SELECT
    operations.id AS operation,
    operations.name,
    operations.service,
    sum(found.calls) AS calls,
    sum(found.requests) AS requests
FROM (
    SELECT entries.operation, sum(runs.times) AS calls, count(*) AS requests
    FROM runs
    JOIN entries ON entries.trace_id = runs.trace_id AND entries.resource = runs.resource
    GROUP BY entries.operation
) AS found
JOIN operations ON operations.id = found.operation
GROUP BY ALL
ORDER BY calls DESC
LIMIT 50
