-- The metrics that there are at all, and `health` where there is a health route: what is not there needs no look at its
-- minutes, which takes 10 to 30 ms a day.
SELECT DISTINCT name
FROM series
WHERE $service IS NULL OR service = $service
UNION ALL
SELECT 'health'
WHERE
    EXISTS (
        SELECT 1
        FROM operations
        WHERE
            category = 'server'
            AND regexp_matches(name, ' /(health|healthz|healthcheck|livez|readyz)(/[^ ]*)?$')
            AND ($service IS NULL OR service = $service)
    )
