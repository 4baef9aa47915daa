-- Signs of each service by the minute, lists in the same order: the part of the minute that the garbage collector stopped
-- a process for, in percent; how far a replica is behind, ms; calls of deprecated functions; telemetry lost and exported.
WITH chosen AS MATERIALIZED (
    SELECT id, service, resource, name
    FROM series
    WHERE
        name IN (
            'perfagent.gc.pause', 'replication_lag_seconds', 'deprecated_function_calls_total',
            'deprecated_function_calls', 'perfagent.telemetry.dropped', 'perfagent.telemetry.exported'
        )
        AND ($service IS NULL OR service = $service)
),
points AS (
    SELECT minute, series, max(value) AS value, sum(delta) AS delta, sum(total) AS total
    FROM point_minutes
    WHERE minute >= $earlier AND minute < $until AND series IN (SELECT id FROM chosen)
    GROUP BY ALL
),
processes AS (
    SELECT
        chosen.service,
        points.minute,
        chosen.resource,
        sum(points.total) FILTER (chosen.name = 'perfagent.gc.pause') / 60 * 100 AS paused,
        max(points.value) FILTER (chosen.name = 'replication_lag_seconds') * 1000 AS behind,
        sum(points.delta) FILTER (starts_with(chosen.name, 'deprecated_function_calls')) AS deprecated,
        sum(points.delta) FILTER (chosen.name = 'perfagent.telemetry.dropped') AS dropped,
        sum(points.delta) FILTER (chosen.name = 'perfagent.telemetry.exported') AS exported
    FROM points
    JOIN chosen ON chosen.id = points.series
    GROUP BY ALL
),
minutes AS (
    SELECT
        service,
        minute,
        max(paused) AS paused,
        max(behind) AS behind,
        sum(deprecated) AS deprecated,
        sum(dropped) AS dropped,
        sum(exported) AS exported
    FROM processes
    GROUP BY ALL
)
SELECT
    service, list(minute) AS times, list(paused) AS gc_pause_percent, list(behind) AS replication_lag_ms,
    list(deprecated) AS deprecated, list(dropped) AS dropped, list(exported) AS exported
FROM minutes
GROUP BY service
