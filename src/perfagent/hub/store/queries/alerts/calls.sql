-- Requests and database statements of each service by the minute, and how many lasted longer than bucket $limit: one row
-- a service and kind, with lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT id, service, category = 'db' AS db
    FROM operations
    WHERE category IN ('server', 'consumer', 'db') AND ($service IS NULL OR service = $service)
),
single AS (
    SELECT
        minute,
        operation,
        sum(calls) AS calls,
        sum(errors) AS errors,
        sum(total) AS total,
        max(longest) AS longest,
        sum(CASE WHEN bucket > $limit THEN calls ELSE 0 END) AS above
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
        sum(single.errors) AS errors,
        sum(single.total) AS total,
        max(single.longest) AS longest,
        sum(single.above) AS above
    FROM single
    JOIN chosen ON chosen.id = single.operation
    GROUP BY ALL
)
SELECT
    service, db, list(minute) AS times, list(calls) AS calls, list(errors) AS errors, list(total) AS total,
    list(longest) AS longest, list(above) AS above
FROM minutes
GROUP BY service, db
