-- Calls and time of the $most operations that took most time, by the minute; lists in the same order.
WITH heaviest AS (
    SELECT operations.id, operations.service, operations.category, operations.name, sum(span_minutes.total) AS whole
    FROM span_minutes
    JOIN operations ON operations.id = span_minutes.operation
    WHERE
        span_minutes.minute >= $since AND span_minutes.minute < $until
        AND operations.category <> 'internal'
        AND ($service IS NULL OR operations.service = $service)
    GROUP BY ALL
    ORDER BY whole DESC
    LIMIT $most
),
minutes AS (
    SELECT operation, minute, sum(calls) AS calls, sum(total) AS total
    FROM span_minutes
    WHERE minute >= $since AND minute < $until AND operation IN (SELECT id FROM heaviest)
    GROUP BY ALL
)
SELECT
    heaviest.service,
    heaviest.category,
    heaviest.name,
    any_value(heaviest.whole) AS whole,
    list(minutes.minute) AS times,
    list(minutes.calls) AS calls,
    list(minutes.total) AS total
FROM minutes
JOIN heaviest ON heaviest.id = minutes.operation
GROUP BY heaviest.id, heaviest.service, heaviest.category, heaviest.name
ORDER BY whole DESC
