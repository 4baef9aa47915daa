-- The same from spans, for senders that send no histogram. A threshold lies within a bucket (9 % wide), of whose calls
-- the share $part counts as beyond it.
WITH chosen AS MATERIALIZED (
    SELECT id
    FROM operations
    WHERE
        category = 'server'
        AND service = $service
        AND ($route IS NULL OR name = $route OR ends_with(name, ' ' || $route))
)
SELECT
    calls.time // $step * $step AS time,
    sum(calls.calls) AS requests,
    sum(
        CASE
            WHEN $bucket IS NOT NULL
                THEN calls.calls * CASE WHEN calls.bucket > $bucket THEN 1 WHEN calls.bucket = $bucket THEN $part ELSE 0 END
            WHEN calls.status_code = 0 THEN calls.errors
            WHEN calls.status_code >= 500 THEN calls.calls
            ELSE 0
        END
    ) AS bad
FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
JOIN chosen ON chosen.id = calls.operation
GROUP BY 1
ORDER BY 1
