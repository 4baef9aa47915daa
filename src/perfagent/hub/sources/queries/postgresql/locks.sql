SELECT
    waiting.datname AS database,
    waiting.pid AS blocked,
    blocking.pid AS blocker,
    extract(epoch FROM clock_timestamp() - {since})::float8 AS seconds,
    waiting.query AS statement,
    coalesce(blocking.query, '') AS blocking_statement,
    coalesce(blocking.state, blocking.backend_type, '') AS blocking_state,
    extract(epoch FROM clock_timestamp() - blocking.xact_start)::float8 AS blocking_seconds,
    coalesce(wanted.mode || ' (' || wanted.locktype || ')', '') AS mode,
    coalesce((
        SELECT n.nspname || '.' || c.relname
        FROM pg_locks AS l
        JOIN pg_class AS c ON c.oid = l.relation
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE
            l.pid = waiting.pid
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (NOT l.granted OR l.locktype = 'tuple')
        ORDER BY l.granted
        LIMIT 1
    ), '') AS relation,
    coalesce(waiting.usename, '') AS "user",
    coalesce(waiting.application_name, '') AS application,
    coalesce(blocking.usename, '') AS blocking_user,
    coalesce(blocking.application_name, '') AS blocking_application
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS by_pid (pid)
JOIN pg_stat_activity AS blocking ON blocking.pid = by_pid.pid
LEFT JOIN LATERAL (SELECT * FROM pg_locks AS l WHERE l.pid = waiting.pid AND NOT l.granted LIMIT 1) AS wanted ON true
WHERE waiting.wait_event_type = 'Lock'
ORDER BY seconds DESC
LIMIT 200
