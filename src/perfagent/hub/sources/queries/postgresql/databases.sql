SELECT
    datname AS database, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted,
    tup_updated, tup_deleted, deadlocks, temp_files, temp_bytes,
    extract(epoch FROM stats_reset)::float8 AS since,
    CASE WHEN has_database_privilege(datid, 'CONNECT') OR pg_has_role(current_user, 'pg_read_all_stats', 'MEMBER')
        THEN pg_database_size(datid) END AS bytes
FROM pg_stat_database
WHERE datid <> 0 AND datname NOT IN ('template0', 'template1')
ORDER BY xact_commit DESC
LIMIT 100
