-- Requests and database statements of each service by the minute, with their typical duration in ms: the geometric mean,
-- which a few very slow ones do not move. One row a service and kind, with lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT id, service, category = 'db' AS db
    FROM operations
    WHERE category IN ('server', 'consumer', 'db')
),
single AS (
    -- The middle of bucket i is 2^((i + 0.5) / 8) ns.
    SELECT minute, operation, sum(calls) AS calls, sum(calls * (bucket + 0.5)) / 8 AS logarithms
    FROM span_minutes
    WHERE minute >= $since AND minute < $until
    GROUP BY ALL
),
minutes AS (
    SELECT
        chosen.service,
        chosen.db,
        single.minute,
        sum(single.calls) AS calls,
        pow(2, sum(single.logarithms) / sum(single.calls)) / 1e6 AS typical
    FROM single
    JOIN chosen ON chosen.id = single.operation
    GROUP BY ALL
)
SELECT
    service, db, list(minute ORDER BY minute) AS times, list(calls ORDER BY minute) AS calls,
    list(typical ORDER BY minute) AS typical
FROM minutes
GROUP BY service, db
