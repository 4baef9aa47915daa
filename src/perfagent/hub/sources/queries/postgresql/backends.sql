SELECT
    coalesce(datname, '') AS database,
    coalesce(state, 'unknown') AS state,
    count(*)::int AS backends,
    count(*) FILTER (WHERE wait_event_type = 'Lock')::int AS waiting
FROM pg_stat_activity
WHERE backend_type = 'client backend'
GROUP BY 1, 2
