-- What counters stand at, by the minute, service and thing: circuit breakers by their name, with how often they opened
-- and were tried (half open), and how often they opened within the hour; error budgets by theirs, with what is left of
-- what may be spent, or, from who does not tell the latter, of what is left and what was spent. Counters that are sent as
-- differences are added up from $earlier on. Processes that share a budget tell the same of what is left of how much.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        service,
        cumulative,
        starts_with(name, 'circuit_breaker') AS breaker,
        coalesce(json_extract_string(attributes, '$.name'), json_extract_string(attributes, '$.service'), '') AS thing,
        CASE
            WHEN starts_with(name, 'circuit_breaker') THEN json_extract_string(attributes, '$.state')
            WHEN name = 'service_error_budget_remaining' THEN 'left'
            WHEN name = 'service_error_budget_limit' THEN 'limit'
            ELSE 'spent'
        END AS kind
    FROM series
    WHERE
        name IN (
            'circuit_breaker_state_transitions_total', 'circuit_breaker_state_transitions',
            'service_error_budget_remaining', 'service_error_budget_limit', 'service_errors_total', 'service_errors'
        )
        AND ($service IS NULL OR service = $service)
),
points AS (
    SELECT minute, series, max(last) AS last, avg(value) AS value, sum(delta) AS delta
    FROM point_minutes
    WHERE minute >= $earlier AND minute < $until AND series IN (SELECT id FROM chosen)
    GROUP BY ALL
),
counted AS (
    SELECT
        chosen.service,
        chosen.breaker,
        chosen.thing,
        chosen.kind,
        points.minute,
        points.delta,
        CASE
            WHEN chosen.kind IN ('left', 'limit') THEN points.value
            WHEN chosen.cumulative THEN points.last
            ELSE sum(points.delta) OVER (PARTITION BY points.series ORDER BY points.minute)
        END AS level
    FROM points
    JOIN chosen ON chosen.id = points.series
),
things AS (
    SELECT
        service,
        breaker,
        thing,
        minute,
        coalesce(sum(level) FILTER (kind = 'open'), 0) AS opened,
        coalesce(sum(level) FILTER (kind = 'half_open'), 0) AS tried,
        coalesce(sum(delta) FILTER (kind = 'open'), 0) AS newly,
        sum(level) FILTER (kind = 'left') AS remaining,
        min(level) FILTER (kind = 'left') AS least,
        max(level) FILTER (kind = 'limit') AS most,
        sum(level) FILTER (kind = 'spent') AS spent
    FROM counted
    GROUP BY ALL
),
judged AS (
    SELECT
        *,
        sum(newly) OVER (
            PARTITION BY service, breaker, thing ORDER BY minute RANGE BETWEEN 3600 PRECEDING AND CURRENT ROW
        ) AS lately
    FROM things
),
minutes AS (
    SELECT
        service,
        minute,
        -- Whatever opens is tried before anything else; one that was closed by hand would count as open for ever.
        sum(CASE WHEN lately > 0 THEN greatest(opened - tried, 0) ELSE 0 END) FILTER (breaker) AS open_breakers,
        min(coalesce(least / nullif(most, 0), remaining / nullif(remaining + spent, 0))) * 100 AS remaining
    FROM judged
    GROUP BY ALL
)
SELECT
    service, list(minute) AS times, list(open_breakers) AS open_breakers,
    list(remaining) AS error_budget_remaining_percent
FROM minutes
GROUP BY service
