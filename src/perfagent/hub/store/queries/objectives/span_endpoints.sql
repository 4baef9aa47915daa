-- What spent a budget, from spans; as in spans.sql.
WITH chosen AS MATERIALIZED (
    SELECT id, name
    FROM operations
    WHERE
        category = 'server'
        AND service = $service
        AND ($route IS NULL OR name = $route OR ends_with(name, ' ' || $route))
),
single AS (
    SELECT
        chosen.name,
        if($bucket IS NULL AND calls.status_code > 0, calls.status_code::VARCHAR, '') AS code,
        calls.calls AS requests,
        CASE
            WHEN $bucket IS NOT NULL
                THEN calls.calls * CASE WHEN calls.bucket > $bucket THEN 1 WHEN calls.bucket = $bucket THEN $part ELSE 0 END
            WHEN calls.status_code = 0 THEN calls.errors
            WHEN calls.status_code >= 500 THEN calls.calls
            ELSE 0
        END AS bad
    FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
    JOIN chosen ON chosen.id = calls.operation
),
codes AS (
    SELECT name, code, sum(requests) AS requests, sum(bad) AS bad
    FROM single
    GROUP BY ALL
)
SELECT
    if(contains(name, ' '), split_part(name, ' ', 1), '') AS method,
    if(contains(name, ' '), name[position(' ' IN name) + 1 :], name) AS route,
    sum(requests) AS requests,
    sum(bad) AS bad,
    list(code ORDER BY bad DESC) FILTER (bad > 0 AND code <> '') AS codes,
    list(bad ORDER BY bad DESC) FILTER (bad > 0 AND code <> '') AS counts
FROM codes
GROUP BY name
HAVING sum(bad) > 0
ORDER BY bad DESC, name
LIMIT $most
