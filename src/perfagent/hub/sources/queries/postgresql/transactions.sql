SELECT
    datname AS database, pid, usename AS "user", application_name AS application, coalesce(state, '') AS state, query,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
    CASE WHEN state LIKE 'idle%%' THEN extract(epoch FROM clock_timestamp() - state_change)::float8 ELSE 0 END AS idle
FROM pg_stat_activity
WHERE
    xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
    AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
ORDER BY xact_start
LIMIT 50
