-- Whether the requests to health routes passed, by the minute and service: 1, or 0 where one failed; lists in the same
-- order.
WITH chosen AS MATERIALIZED (
    SELECT id, service
    FROM operations
    WHERE
        category = 'server'
        AND regexp_matches(name, ' /(health|healthz|healthcheck|livez|readyz)(/[^ ]*)?$')
        AND ($service IS NULL OR service = $service)
),
minutes AS (
    SELECT
        chosen.service,
        single.minute,
        CASE WHEN bool_or(single.status_code >= 500) THEN 0 ELSE 1 END AS passed
    FROM span_minutes AS single
    JOIN chosen ON chosen.id = single.operation
    WHERE single.minute >= $since AND single.minute < $until
    GROUP BY ALL
)
SELECT service, list(minute) AS times, list(passed) AS values
FROM minutes
GROUP BY service
