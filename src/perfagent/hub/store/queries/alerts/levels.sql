-- How full something is, by the minute and service: the fullest file system, the memory of the machine or of a process
-- with a limit, CPU, connection pools; 0..1, lists in the same order.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        service,
        resource,
        name,
        coalesce(json_extract_string(attributes, '$."db.client.connection.pool.name"'), '') AS pool,
        coalesce(
            json_extract_string(attributes, '$."cpu.mode"'),
            json_extract_string(attributes, '$."system.cpu.state"'),
            json_extract_string(attributes, '$.state'),
            ''
        ) IN ('idle', 'iowait', 'wait') AS idle
    FROM series
    WHERE
        (
            name IN (
                'process.cpu.utilization', 'system.cpu.utilization', 'db.client.connection.max',
                'container.memory.limit', 'process.memory.limit', 'process.memory.usage'
            )
            OR (
                name IN ('system.filesystem.utilization', 'system.memory.utilization', 'db.client.connection.count')
                AND coalesce(
                    json_extract_string(attributes, '$."system.memory.state"'),
                    json_extract_string(attributes, '$."system.filesystem.state"'),
                    json_extract_string(attributes, '$."db.client.connection.state"'),
                    json_extract_string(attributes, '$.state'), -- as the Collector calls them all
                    'used'
                ) = 'used'
            )
        )
        AND ($service IS NULL OR service = $service)
),
points AS (
    SELECT minute, series, avg(value) AS value
    FROM point_minutes
    WHERE minute >= $since AND minute < $until AND series IN (SELECT id FROM chosen)
    GROUP BY ALL
),
processes AS (
    SELECT
        chosen.service,
        points.minute,
        chosen.resource,
        chosen.pool,
        sum(points.value) FILTER (chosen.name = 'process.cpu.utilization') AS process_cpu,
        sum(points.value) FILTER (chosen.name = 'system.cpu.utilization' AND NOT chosen.idle) AS busy,
        sum(points.value) FILTER (chosen.name = 'system.cpu.utilization' AND chosen.idle) AS idle,
        max(points.value) FILTER (chosen.name = 'system.filesystem.utilization') AS disk,
        max(points.value) FILTER (chosen.name = 'system.memory.utilization') AS memory,
        max(points.value) FILTER (chosen.name = 'process.memory.usage')
            / nullif(min(points.value) FILTER (ends_with(chosen.name, 'memory.limit')), 0) AS limited,
        sum(points.value) FILTER (chosen.name = 'db.client.connection.count')
            / nullif(max(points.value) FILTER (chosen.name = 'db.client.connection.max'), 0) AS pools
    FROM points
    JOIN chosen ON chosen.id = points.series
    GROUP BY ALL
),
minutes AS (
    SELECT
        service,
        minute,
        -- Where a sender tells how long each processor did nothing, too, all of them together are the whole.
        coalesce(max(busy / if(idle IS NULL, 1, busy + idle)), sum(process_cpu)) * 100 AS cpu,
        max(disk) * 100 AS disk,
        coalesce(max(limited), max(memory)) * 100 AS memory,
        max(pools) * 100 AS pools
    FROM processes
    GROUP BY ALL
)
SELECT
    service, list(minute) AS times, list(cpu) AS cpu_usage_percent, list(disk) AS disk_usage_percent,
    list(memory) AS memory_usage_percent, list(pools) AS database_pool_percent
FROM minutes
GROUP BY service
