-- What agents told of caches: sums by cache and shape; of a whole cache, `shape` is ''. Processes add up.
WITH told AS MATERIALIZED (
    SELECT
        resources.service,
        logs.time,
        from_json( -- once a row: each json_extract would read the text anew
            logs.attributes,
            '{"cache.system": "VARCHAR", "cache.name": "VARCHAR", "perfagent.cache.address": "VARCHAR",
              "perfagent.cache.shape": "VARCHAR", "perfagent.cache.seconds": "DOUBLE",
              "perfagent.cache.gets": "DOUBLE", "perfagent.cache.hits": "DOUBLE", "perfagent.cache.sets": "DOUBLE",
              "perfagent.cache.lookup_seconds": "DOUBLE", "perfagent.cache.set_seconds": "DOUBLE",
              "perfagent.cache.bytes": "DOUBLE", "perfagent.cache.set_bytes": "DOUBLE",
              "perfagent.cache.fills": "DOUBLE", "perfagent.cache.fill_seconds": "DOUBLE",
              "perfagent.cache.duplicates": "DOUBLE", "perfagent.cache.wasted_seconds": "DOUBLE",
              "perfagent.cache.peak": "DOUBLE", "perfagent.cache.unread": "DOUBLE",
              "perfagent.cache.cold": "DOUBLE", "perfagent.cache.expired": "DOUBLE",
              "perfagent.cache.evicted": "DOUBLE", "perfagent.cache.dropped": "DOUBLE",
              "perfagent.cache.ttls": "DOUBLE", "perfagent.cache.ttl_seconds": "DOUBLE",
              "perfagent.cache.ttl_hits": ["DOUBLE"], "perfagent.cache.size": "DOUBLE",
              "perfagent.cache.size_hits": ["DOUBLE"], "perfagent.cache.size_known": "BOOLEAN",
              "perfagent.cache.saved_seconds": "DOUBLE", "perfagent.cache.priced_gets": "DOUBLE",
              "perfagent.cache.watched": "DOUBLE", "perfagent.cache.hottest": ["VARCHAR"],
              "perfagent.cache.hottest_gets": ["DOUBLE"], "code.file.path": "VARCHAR", "code.line.number": "BIGINT",
              "code.function.name": "VARCHAR", "perfagent.cache.set.code.file.path": "VARCHAR",
              "perfagent.cache.set.code.line.number": "BIGINT",
              "perfagent.cache.set.code.function.name": "VARCHAR"}'
        ) AS one
    FROM logs
    JOIN resources ON resources.id = logs.resource
    WHERE
        logs.event = 'perfagent.cache.economics'
        AND logs.time >= $begin_ns
        AND logs.time < $end_ns
        AND ($service IS NULL OR resources.service = $service)
)
SELECT
    service,
    coalesce(one."cache.system", '') AS system,
    coalesce(one."cache.name", '') AS cache,
    coalesce(one."perfagent.cache.address", '') AS address,
    coalesce(one."perfagent.cache.shape", '') AS shape,
    min(time - 1e9 * one."perfagent.cache.seconds") / 1e9 AS first_seen,
    max(time) / 1e9 AS last_seen,
    sum(one."perfagent.cache.gets") AS gets,
    sum(one."perfagent.cache.hits") AS hits,
    sum(one."perfagent.cache.sets") AS sets,
    sum(one."perfagent.cache.lookup_seconds") AS lookup_seconds,
    sum(one."perfagent.cache.set_seconds") AS set_seconds,
    sum(one."perfagent.cache.bytes") AS bytes,
    sum(one."perfagent.cache.set_bytes") AS set_bytes,
    sum(one."perfagent.cache.fills") AS fills,
    sum(one."perfagent.cache.fill_seconds") AS fill_seconds,
    sum(one."perfagent.cache.duplicates") AS duplicates,
    sum(one."perfagent.cache.wasted_seconds") AS wasted_seconds,
    max(one."perfagent.cache.peak") AS peak,
    sum(one."perfagent.cache.unread") AS unread,
    sum(one."perfagent.cache.cold") AS cold,
    sum(one."perfagent.cache.expired") AS expired,
    sum(one."perfagent.cache.evicted") AS evicted,
    sum(one."perfagent.cache.dropped") AS dropped,
    sum(one."perfagent.cache.ttls") AS ttls,
    sum(one."perfagent.cache.ttl_seconds") AS ttl_seconds,
    [sum(one."perfagent.cache.ttl_hits"[1]), sum(one."perfagent.cache.ttl_hits"[2]),
     sum(one."perfagent.cache.ttl_hits"[3]), sum(one."perfagent.cache.ttl_hits"[4]),
     sum(one."perfagent.cache.ttl_hits"[5]), sum(one."perfagent.cache.ttl_hits"[6])] AS ttl_hits,
    avg(one."perfagent.cache.size") AS size,
    [sum(one."perfagent.cache.size_hits"[1]), sum(one."perfagent.cache.size_hits"[2]),
     sum(one."perfagent.cache.size_hits"[3]), sum(one."perfagent.cache.size_hits"[4]),
     sum(one."perfagent.cache.size_hits"[5]), sum(one."perfagent.cache.size_hits"[6])] AS size_hits,
    bool_or(one."perfagent.cache.size_known") AS size_known,
    sum(one."perfagent.cache.saved_seconds") AS saved_seconds,
    sum(one."perfagent.cache.priced_gets") AS priced_gets,
    avg(one."perfagent.cache.watched") AS watched,
    arg_max(one."perfagent.cache.hottest", time) AS hottest,
    arg_max(one."perfagent.cache.hottest_gets", time) AS hottest_gets,
    arg_max(one."perfagent.cache.gets", time) AS last_gets,
    arg_max(one."code.file.path", time) AS path,
    arg_max(one."code.line.number", time) AS line,
    arg_max(one."code.function.name", time) AS function,
    arg_max(one."perfagent.cache.set.code.file.path", time) AS set_path,
    arg_max(one."perfagent.cache.set.code.line.number", time) AS set_line,
    arg_max(one."perfagent.cache.set.code.function.name", time) AS set_function
FROM told
GROUP BY ALL
ORDER BY gets DESC
LIMIT 2000
